"""Every kind of object we write, before the validators and readers that radiology uses: make validate."""

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.dimse.scu import Outgoing, RemoteAe, c_store
from dicom_ai.errors import SopClassRefused
from tests.acceptance.archives import DCMTK_AE_TITLE, ORTHANC_AE_TITLE, dcmqrscp, orthanc
from tests.integration import validators
from tests.integration.every_kind import (
    KINDS,
    MEASUREMENT_REPORTS,
    NAMES,
    RADIOGRAPHS,
    REPLACED,
    REPORTS,
    SEGS,
    write_every_kind,
)
from tests.peers import free_port

NOTES = ("note", "note-unsafe")

PDFS = ("pdf", *(f"pdf-{origin}" for origin in NAMES))

READ_BY_HIGHDICOM = [kind for kind in MEASUREMENT_REPORTS if kind != "sr-failed"]
"""highdicom 0.28 reads no NUM without a value, which PS3.3 C.18.1 allows."""

IODS = {
    "sr-fallback": "ComprehensiveSR",
    "seg-labelmap": "",
    **dict.fromkeys(PDFS, "EncapsulatedPDF"),
    "picture": "SCImage",
    **dict.fromkeys(NOTES, "KeyObjectSelectionDocument"),
}
"""What dciodvfy takes an object for, where it is neither SEG nor Comprehensive 3D SR."""

TREES = ("sr", "sr-failed", "sr-prior", "sr-enhanced", "sr-dx")
"""Reports whose trees differ: PixelMed takes 8 s a report, and looks at nothing but the tree."""

WITH_PLANE = [kind for kind in SEGS if kind not in RADIOGRAPHS]
BINARY = [kind for kind in WITH_PLANE if kind not in ("seg-soft", "seg-labelmap")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("objects")


@pytest.fixture(scope="module")
def objects(folder):
    return write_every_kind(folder)


@pytest.fixture(scope="module")
def pixelmed(objects):
    """PixelMed's answers by kind; asked for side by side."""
    answers = validators.complaints_of_pixelmed([objects[kind].path for kind in TREES])
    return dict(zip(TREES, answers, strict=True))


def test_every_object_is_looked_at(objects):
    assert set(objects) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_has_nothing_to_say(objects, kind):
    iod, complaints = validators.complaints_of_dciodvfy(objects[kind].path)

    assert complaints == (validators.LABELMAP_UNKNOWN if kind == "seg-labelmap" else [])
    assert iod == IODS.get(kind, "Segmentation" if kind in SEGS else "Comprehensive3DSR")


@pytest.mark.parametrize("kind", REPORTS)
def test_dsrdump_reads_the_report(objects, kind):
    text, errors = validators.complaints_of_dsrdump(objects[kind].path)

    assert errors == []
    assert "Verification Flag   : UNVERIFIED" in text


@pytest.mark.parametrize("kind", NOTES)
def test_a_note_is_read_with_what_it_rejects(objects, kind):
    text, errors = validators.complaints_of_dsrdump(objects[kind].path)

    assert errors == []
    assert "Rejected for" in text and "SG image" in text


@pytest.mark.parametrize("kind", PDFS)
def test_dcmtk_takes_the_pdf_out_again(objects, kind, tmp_path):
    document = dcmread(objects[kind].path)

    pdf = validators.pdf_by_dcmtk(objects[kind].path, tmp_path / "out.pdf")

    assert pdf == document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
    assert pdf.startswith(b"%PDF")


@pytest.mark.parametrize("kind", TREES)
def test_pixelmed_finds_tid_1500_kept(pixelmed, kind):
    assert pixelmed[kind] == []


def test_the_objects_of_a_study_agree_on_patient_and_study(objects, folder):
    ours = [written.path for written in objects.values() if written.source is objects["seg"].source]

    assert len(ours) > 5
    assert validators.complaints_of_dcentvfy([*sorted((folder / "neck").glob("*.dcm")), *ours]) == []


@pytest.mark.parametrize("kind", WITH_PLANE)
def test_dcmqi_reads_every_voxel_where_it_was(objects, kind, tmp_path):
    """dcmqi is what 3D Slicer reads SEGs with."""
    written = objects[kind]
    segments, attributes = validators.voxels_by_dcmqi(written.path, tmp_path / "out")

    assert len(segments) == int(written.labels.max())
    for number, points in enumerate(segments, 1):
        assert np.array_equal(points, _points(written, number))
    described = [one for one in dcmread(written.path).SegmentSequence if one.SegmentNumber > 0]  # 0: background
    assert [one["SegmentLabel"] for one in attributes] == [one.SegmentLabel for one in described]
    assert [one["TrackingUniqueIdentifier"] for one in attributes] == [one.TrackingUID for one in described]


@pytest.mark.parametrize("kind", RADIOGRAPHS)
def test_dcmqi_reads_no_seg_without_a_plane(objects, kind, tmp_path):
    """A radiograph has none; the outlines are in the report."""
    assert "ERROR: Failed to get image directions!" in validators.refusal_of_dcmqi(objects[kind].path, tmp_path / "o")


@pytest.mark.parametrize("kind", REPORTS)
def test_dcmqi_reads_every_number(objects, kind, tmp_path):
    path = objects[kind].path
    read = validators.report_by_dcmqi(path, tmp_path, text_only=kind == "sr-nothing")

    numbers = [
        (item["quantity"]["CodeMeaning"], item["value"], item["units"]["CodeValue"])
        for group in read["Measurements"]
        for item in group["measurementItems"]
    ]
    assert numbers == [number for group in _measurement_groups(dcmread(path)) for number in _numbers(group)]
    assert bool(numbers) == (kind != "sr-nothing")


@pytest.mark.parametrize("kind", BINARY)
def test_highdicom_reads_every_voxel_where_it_was(objects, kind):
    written = objects[kind]
    volume = hd.seg.segread(written.path).get_volume(combine_segments=True)

    for number in range(1, int(written.labels.max()) + 1):
        points = volume.map_indices_to_reference(np.argwhere(volume.array == number))
        assert np.array_equal(validators.in_order(points), _points(written, number))


@pytest.mark.parametrize("kind", READ_BY_HIGHDICOM)
def test_highdicom_reads_every_group(objects, kind):
    report = hd.sr.srread(objects[kind].path)

    groups = report.content.get_planar_roi_measurement_groups()

    assert len(groups) == len({group.tracking_uid for group in groups}) > 0
    assert all(group.roi.graphic_type == hd.sr.GraphicTypeValues.POLYLINE for group in groups)


@pytest.mark.parametrize("kind", KINDS)
def test_every_reference_is_to_an_object_that_exists(objects, folder, kind):
    known = {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in folder.rglob("*.dcm")}
    result = dcmread(objects[kind].path, stop_before_pixels=True)

    named = {str(element.value) for element in result.iterall() if element.keyword == "ReferencedSOPInstanceUID"}

    assert bool(named) == (kind != "picture")
    assert named - known <= {REPLACED}


@pytest.mark.parametrize("kind", KINDS)
def test_patient_study_and_frame_of_reference_are_those_of_the_source(objects, kind):
    written = objects[kind]
    source = dcmread(next(iter(written.source.folder.glob("*.dcm"))), stop_before_pixels=True)
    result = dcmread(written.path, stop_before_pixels=True)

    for keyword in ("PatientID", "StudyInstanceUID", "PatientName", "StudyDate", "StudyTime"):
        assert str(result.get(keyword, "")) == str(source.get(keyword, "")), keyword
    if kind in WITH_PLANE:
        assert result.FrameOfReferenceUID == source.FrameOfReferenceUID
        assert {str(item.SeriesInstanceUID) for item in result.ReferencedSeriesSequence} == {source.SeriesInstanceUID}
    assert result.SeriesInstanceUID != source.SeriesInstanceUID


@pytest.mark.parametrize("kind", MEASUREMENT_REPORTS)
def test_every_outline_is_closed_and_inside_its_image(objects, kind):
    written = objects[kind]
    images = {}
    for path in written.source.folder.glob("*.dcm"):
        image = dcmread(path, stop_before_pixels=True)
        images[str(image.SOPInstanceUID)] = image

    outlines = _outlines(dcmread(written.path))

    assert outlines
    for points, reference in outlines:
        image = images[str(reference.ReferencedSOPInstanceUID)]
        assert (points >= 0).all() and (points <= (image.Columns, image.Rows)).all()
        assert np.array_equal(points[0], points[-1])
        assert 1 <= int(reference.get("ReferencedFrameNumber", 1)) <= int(image.get("NumberOfFrames", 1))


@pytest.mark.parametrize(("origin", "hour"), [("japanese", "2100"), ("greek", "1400"), ("latin", "0830")])
@pytest.mark.parametrize("form", ["seg", "sr", "pdf"])
def test_name_and_clock_are_those_of_the_source(objects, form, origin, hour):
    """The results were made at noon, UTC."""
    result = dcmread(objects[f"{form}-{origin}"].path)

    assert (result.SpecificCharacterSet, result.PatientName) == ("ISO_IR 192", NAMES[origin][1])
    assert result.TimezoneOffsetFromUTC == NAMES[origin][2]
    for clock in ("ContentTime", "SeriesTime", "InstanceCreationTime"):
        assert str(result[clock].value).startswith(hour)


def test_orthanc_stores_every_kind_and_reads_every_name(objects, tmp_path):
    with orthanc(tmp_path, node_port=free_port(), forwards=False) as archive:
        outcomes = _sent(objects, RemoteAe("127.0.0.1", archive.port, ORTHANC_AE_TITLE, "DICOM_AI"))
        there = {item["MainDicomTags"]["SOPInstanceUID"] for item in archive.get("/instances?expand")}
        named = {item["PatientMainDicomTags"]["PatientName"] for item in archive.get("/studies?expand")}

    assert {kind: error for kind, error in outcomes.items() if error} == {}
    assert {_uid(written) for written in objects.values()} <= there
    assert {name for _, name, _ in NAMES.values()} <= named


def test_dcmtks_archive_stores_every_kind_but_the_label_map(objects, tmp_path):
    """For which the BINARY SEG goes: tests/integration/test_fallback.py."""
    with dcmqrscp(tmp_path, node_port=free_port()) as port:
        outcomes = _sent(objects, RemoteAe("127.0.0.1", port, DCMTK_AE_TITLE, "DICOM_AI"))

    assert {kind: type(error) for kind, error in outcomes.items() if error} == {"seg-labelmap": SopClassRefused}


def _sent(objects, peer: RemoteAe) -> dict[str, Exception | None]:
    """Send one object of every kind over one association; return what was against each."""
    outcomes = c_store([Outgoing(written.path) for written in objects.values()], peer)
    return {kind: outcome.error for kind, outcome in zip(objects, outcomes, strict=True)}


def _uid(written) -> str:
    return str(dcmread(written.path, stop_before_pixels=True).SOPInstanceUID)


def _points(written, number: int) -> np.ndarray:
    """Return where the voxels of a segment are that was written, in LPS millimetres."""
    return validators.in_order(written.source.source.image.to_mm(np.argwhere(written.labels == number)))


def _measurement_groups(report: Dataset) -> list[Dataset]:
    return [item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010"]


def _numbers(item: Dataset) -> list[tuple[str, str, str]]:
    """Return name, value and unit of every number below an item, in their order."""
    found = []
    for child in item.get("ContentSequence", []):
        if child.ValueType == "NUM":
            values = child.MeasuredValueSequence
            unit = values[0].MeasurementUnitsCodeSequence[0].CodeValue if values else ""
            value = str(values[0].NumericValue) if values else ""
            found.append((child.ConceptNameCodeSequence[0].CodeMeaning, value, unit))
        else:
            found += _numbers(child)
    return found


def _outlines(item: Dataset) -> list[tuple[np.ndarray, Dataset]]:
    """Return the points (column, row) of every outline, and the image it is drawn on."""
    found = []
    for child in item.get("ContentSequence", []):
        if child.ValueType == "SCOORD":
            points = np.array(child.GraphicData, float).reshape(-1, 2)
            found.append((points, child.ContentSequence[0].ReferencedSOPSequence[0]))
        else:
            found += _outlines(child)
    return found

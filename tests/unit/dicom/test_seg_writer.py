import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread

from dicom_ai.dicom.seg_writer import EmptySegmentation, write_seg, write_soft_seg
from dicom_ai.domain.findings import Segmentation, Structure, StructureKind
from dicom_ai.domain.result import ResultKind
from dicom_ai.errors import RejectedInput
from dicom_ai.imaging.palette import color_of
from tests import builders
from tests.unit.dicom import results

SHAPE = (5, 24, 32)


def seg(image: results.Read, *structures: Structure, **identity: object):
    return write_seg(
        image.series,
        image.source,
        results.segmentation(image, *structures),
        identity=results.identity(ResultKind.SEG, **identity),
        model=results.MODEL,
    )


def read_back(dataset, tmp_path) -> hd.seg.Segmentation:
    path = tmp_path / "seg.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return hd.seg.segread(path)


@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal"])
@pytest.mark.parametrize("enhanced", [False, True])
def test_every_voxel_comes_back_where_the_source_has_it(tmp_path, plane, enhanced):
    options = {"plane": plane, "spacing_mm": (3.3, 0.5, 0.7), "origin_mm": (-11.0, 22.0, 33.0)}
    datasets = (
        builders.enhanced_mr(frame_order=(4, 0, 2, 1, 3), **options) if enhanced else builders.mr_series(**options)
    )
    image = results.read(datasets, tmp_path / "source")
    labels = results.labels_of(image, 2)

    read = read_back(seg(image, results.CORD, results.vertebra("C3")), tmp_path)

    volume = read.get_volume(combine_segments=True)
    placed = image.source.image.to_indices(volume.affine[:3, 3])
    corner = np.round(placed).astype(int)
    assert placed == pytest.approx(corner, abs=1e-4)
    indices = np.argwhere(volume.array > 0)
    points = volume.map_indices_to_reference(indices)
    found = np.round(image.source.image.to_indices(points)).astype(int)
    assert len(found) == (labels > 0).sum()
    assert np.array_equal(labels[tuple(found.T)], volume.array[tuple(indices.T)])


@pytest.mark.parametrize("enhanced", [False, True])
def test_every_frame_names_the_source_frame_it_lies_on(tmp_path, enhanced):
    order = (4, 0, 2, 1, 3)
    image = results.read(builders.enhanced_mr(frame_order=order) if enhanced else builders.mr_series(), tmp_path)

    written = seg(image)

    sources = [
        group.DerivationImageSequence[0].SourceImageSequence[0] for group in written.PerFrameFunctionalGroupsSequence
    ]
    named = {(item.ReferencedSOPInstanceUID, item.get("ReferencedFrameNumber")) for item in sources}
    assert named == {(f.sop_instance_uid, f.frame_number) for f in image.source.frames[1:4]}
    assert written.ReferencedSeriesSequence[0].SeriesInstanceUID == image.series.series_uid


def test_empty_frames_are_left_out_and_the_bits_are_uncompressed(tmp_path):
    written = seg(results.read(builders.mr_series(), tmp_path))

    assert written.NumberOfFrames == 3
    assert written.SegmentationType == "BINARY"
    assert written.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


def test_segments_are_named_coded_coloured_tracked_and_signed(tmp_path):
    image = results.read(builders.mr_series(), tmp_path)
    structures = (results.CORD, results.vertebra("C3"), results.vertebra("L6"))
    chosen = results.segmentation(image, *structures)

    written = write_seg(
        image.series, image.source, chosen, identity=results.identity(ResultKind.SEG), model=results.MODEL
    )

    cord, c3, l6 = written.SegmentSequence
    assert [s.SegmentLabel for s in (cord, c3, l6)] == ["Spinal cord", "C3 vertebra", "L6 vertebra"]
    assert c3.SegmentedPropertyTypeCodeSequence[0].CodeValue == "113205007"
    modifier = l6.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert (modifier.CodeValue, modifier.CodingSchemeDesignator) == ("L6", "99DICOMAI")
    assert cord.SegmentAlgorithmType == "AUTOMATIC"
    algorithm = cord.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("spinal-cord", "1.0.0")
    assert results.MODEL.digest in algorithm.AlgorithmParameters
    assert [s.TrackingUID for s in written.SegmentSequence] == [s.tracking_uid for s in chosen.segments]
    shown = hd.color.CIELabColor.from_dicom_value(cord.RecommendedDisplayCIELabValue).to_rgb()
    assert shown == pytest.approx(color_of(results.CORD), abs=2)


def test_a_single_segment_is_identified_in_every_frame_and_nowhere_else(tmp_path):
    written = seg(results.read(builders.mr_series(), tmp_path))

    assert "SegmentIdentificationSequence" not in written.SharedFunctionalGroupsSequence[0]
    groups = written.PerFrameFunctionalGroupsSequence
    assert {g.SegmentIdentificationSequence[0].ReferencedSegmentNumber for g in groups} == {1}


def test_the_result_says_what_it_is_and_that_it_is_research(tmp_path):
    image = results.read(builders.mr_series(), tmp_path)

    first, again = seg(image), seg(image, run=2, predecessor=("1.2", "1.2.3", "1.2.3.4"))

    assert first.SeriesDescription == "AI Spinal cord (RUO)"
    assert again.SeriesDescription == "AI Spinal cord (RUO) run 2, replaces run 1"
    assert seg(image, results.vertebra("C3")).SeriesDescription == "AI Spine (RUO)"
    assert first.ContentQualification == "RESEARCH"
    assert first.Manufacturer == "dicom_ai"
    assert "spinal-cord 1.0.0" in first.SoftwareVersions
    assert first.StudyInstanceUID == image.series.study_uid
    assert first.PatientID == "SYN001"
    assert first.PatientName == "Phantom^Synthetic"
    assert first.FrameOfReferenceUID == image.source.image.frame_of_reference_uid


def test_the_clock_is_that_of_the_study(tmp_path):
    far = seg(results.read(builders.mr_series(TimezoneOffsetFromUTC="+0930"), tmp_path / "far"))
    near = seg(results.read(builders.mr_series(), tmp_path / "near"))

    assert (far.ContentDate, str(far.ContentTime)[:6], far.TimezoneOffsetFromUTC) == ("20260329", "213000", "+0930")
    assert "TimezoneOffsetFromUTC" not in near
    assert str(near.ContentTime)[:6] == results.NOON.astimezone().strftime("%H%M%S")


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Grüße^Änne"),
        ("ISO_IR 126", "Διονυσιος^Σ"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        ("ISO_IR 192", "Mononym"),
    ],
)
def test_names_survive_in_every_character_set(tmp_path, charset, name):
    image = results.read(builders.mr_series(SpecificCharacterSet=charset, PatientName=name), tmp_path / "source")

    read = read_back(seg(image), tmp_path)

    assert read.SpecificCharacterSet == "ISO_IR 192"
    assert read.PatientName == name


@pytest.mark.parametrize(
    "keyword",
    [
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "StudyID",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ReferringPhysicianName",
    ],
)
def test_a_source_without_a_type_2_attribute_gives_an_empty_one(tmp_path, keyword):
    image = results.read(builders.mr_series(**{keyword: None}), tmp_path)

    assert not seg(image)[keyword].value


def test_malformed_values_of_the_source_are_emptied(tmp_path):
    image = results.read(builders.mr_series(), tmp_path)
    for path in tmp_path.glob("*.dcm"):
        data = path.read_bytes().replace(b"19700101", b"unknown ").replace(b"PatientSex", b"PatientSex")
        path.write_bytes(data.replace(b"\x10\x00\x40\x00CS\x02\x00O ", b"\x10\x00\x40\x00CS\x02\x00W "))

    written = seg(image)

    assert (written.PatientBirthDate, written.PatientSex, written.PatientID) == ("", "", "SYN001")


def test_the_source_data_sets_are_not_changed(tmp_path):
    datasets = builders.mr_series()
    image = results.read(datasets, tmp_path)
    before = [ds.to_json() for ds in datasets]

    write_seg(
        datasets,
        image.source,
        results.segmentation(image),
        identity=results.identity(ResultKind.SEG),
        model=results.MODEL,
    )

    assert [ds.to_json() for ds in datasets] == before


def test_a_radiograph_is_segmented_without_a_frame_of_reference(tmp_path):
    image = results.read(builders.radiograph(FrameOfReferenceUID="1.2.3"), tmp_path / "source")

    written = seg(image, results.vertebra("C3"), results.vertebra("C4"))

    assert "FrameOfReferenceUID" not in written
    assert written.PatientOrientation == ["A", "F"]
    path = tmp_path / "seg.dcm"
    written.save_as(path, enforce_file_format=True)
    pixels = dcmread(path).pixel_array
    assert np.array_equal(pixels[0] + 2 * pixels[1], results.labels_of(image, 2))


def test_a_soft_mask_is_written_as_occupancy(tmp_path):
    image = results.read(builders.mr_series(), tmp_path / "source")
    soft = results.segmentation(image)

    written = write_soft_seg(
        image.series, image.source, soft, identity=results.identity(ResultKind.SEG), model=results.MODEL
    )

    assert (written.SegmentationType, written.SegmentationFractionalType) == ("FRACTIONAL", "OCCUPANCY")
    assert written.MaximumFractionalValue == 255
    assert written.SeriesDescription == "AI Spinal cord soft mask (RUO)"
    assert np.unique(read_back(written, tmp_path).pixel_array).tolist() == [0, 191]


def test_an_empty_mask_is_the_callers_decision(tmp_path):
    image = results.read(builders.mr_series(), tmp_path)
    empty = Segmentation(np.zeros(SHAPE, np.uint8), results.segments(results.CORD), 0.1)

    for write in (write_seg, write_soft_seg):
        with pytest.raises(EmptySegmentation):
            write(image.series, image.source, empty, identity=results.identity(ResultKind.SEG), model=results.MODEL)


def test_a_mask_that_touches_every_border_is_written(tmp_path):
    image = results.read(builders.mr_series(), tmp_path / "source")
    full = Segmentation(np.ones(SHAPE, np.uint8), results.segments(results.CORD), 0.9)

    written = write_seg(
        image.series, image.source, full, identity=results.identity(ResultKind.SEG), model=results.MODEL
    )

    assert read_back(written, tmp_path).pixel_array.sum() == np.prod(SHAPE)


def test_labels_that_no_segment_describes_are_refused(tmp_path):
    image = results.read(builders.mr_series(), tmp_path)
    wrong = Segmentation(np.full(SHAPE, 3, np.uint8), results.segments(results.CORD), 0.9)

    with pytest.raises(ValueError, match="label 3 where there are 1 segments"):
        write_seg(image.series, image.source, wrong, identity=results.identity(ResultKind.SEG), model=results.MODEL)


def test_a_missing_source_image_is_said(tmp_path):
    image = results.read(builders.mr_series(), tmp_path)
    paths = sorted(tmp_path.glob("*.dcm"))[1:]

    with pytest.raises(RejectedInput, match="1 of 5 source images"):
        write_seg(
            paths,
            image.source,
            results.segmentation(image),
            identity=results.identity(ResultKind.SEG),
            model=results.MODEL,
        )


def test_a_source_image_of_another_size_is_refused(tmp_path):
    datasets = builders.mr_series()
    image = results.read(datasets, tmp_path)
    datasets[2].Rows, datasets[2].Columns = SHAPE[2], SHAPE[1]

    with pytest.raises(RejectedInput, match="not all of 24 x 32 pixels"):
        write_seg(
            datasets,
            image.source,
            results.segmentation(image),
            identity=results.identity(ResultKind.SEG),
            model=results.MODEL,
        )


def test_structures_other_than_the_spine_keep_their_name(tmp_path):
    kidney = Structure(StructureKind.OTHER, "Left kidney", None, ("18639004", "SCT", "Left kidney"))

    written = seg(results.read(builders.mr_series(), tmp_path), kidney)

    assert written.SeriesDescription == "AI Left kidney (RUO)"
    assert written.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue == "18639004"

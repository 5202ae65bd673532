"""Sources that break the standard or hold nothing: the object is right, or the reason is said."""

import math

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.dataelem import DataElement

from dicom_ai.dicom.codes import SCHEME
from dicom_ai.dicom.seg_writer import EmptySegmentation, write_seg, write_soft_seg
from dicom_ai.domain.findings import Segmentation
from dicom_ai.domain.result import ResultKind
from dicom_ai.measurements.table import quantity
from tests import builders
from tests.unit.dicom import results


def seg_of(image, labels=None, soft=None):
    whole = results.segmentation(image)
    masks = Segmentation(whole.labels if labels is None else labels, whole.segments, 1.0, soft=soft)
    write = write_seg if soft is None else write_soft_seg
    return write(image.series, image.source, masks, identity=results.identity(ResultKind.SEG), model=results.MODEL)


def kept(dataset, folder):
    dataset.save_as(folder / "result.dcm", enforce_file_format=True)
    return dcmread(folder / "result.dcm")


@pytest.mark.parametrize(
    "attributes",
    [
        {"SliceThickness": None, "SpacingBetweenSlices": None},
        {"SliceThickness": ""},
        {"PatientID": None, "PatientName": None, "PatientBirthDate": None, "PatientSex": None},
        {
            "StudyDate": None,
            "StudyTime": None,
            "StudyID": None,
            "AccessionNumber": None,
            "ReferringPhysicianName": None,
        },
        {"PositionReferenceIndicator": None},
    ],
    ids=lambda attributes: " ".join(attributes),
)
def test_missing_attributes_of_type_2_cost_no_result(attributes, tmp_path):
    image = results.read(builders.mr_series(**attributes), tmp_path / "in")

    seg = kept(seg_of(image), tmp_path)
    report = kept(results.report(image, results.finding(image, "C3", "C3")), tmp_path)

    assert int(seg.pixel_array.sum()) == int((results.segmentation(image).labels == 1).sum())
    for keyword in (
        "PatientID",
        "PatientBirthDate",
        "StudyID",
        "StudyDate",
        "AccessionNumber",
        "ReferringPhysicianName",
    ):
        assert keyword in seg and keyword in report
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SliceThickness) == 4.0
    assert str(seg.FrameOfReferenceUID)


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("PatientBirthDate", "DA", "unknown"),
        ("PatientBirthDate", "DA", "1970-13-40"),
        ("PatientSex", "CS", "W"),
        ("StudyDate", "DA", "10.1.2026"),
        ("StudyTime", "TM", "9 am"),
    ],
)
def test_values_of_type_2_that_break_their_vr_are_emptied_in_every_result(keyword, vr, value, tmp_path):
    sources = builders.mr_series()
    for one in sources:
        one[keyword] = DataElement(keyword, vr, value, validation_mode=config.IGNORE)
    image = results.read(sources, tmp_path / "in")

    seg = kept(seg_of(image), tmp_path)
    report = kept(results.report(image, results.finding(image, "C3", "C3")), tmp_path)

    for result in (seg, report):
        assert (result[keyword].value, result.PatientID) == ("", "SYN001")


@pytest.mark.parametrize(
    ("character_set", "name", "shown"),
    [
        ("ISO_IR 101", "Kovács^Őrs", "Kovács^Őrs"),
        ("ISO_IR 144", "Иванов^Иван", "Иванов^Иван"),
        ("GB18030", "Wang^XiaoDong=王^小东", "Wang^XiaoDong=王^小东"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_odd_character_sets_come_through(character_set, name, shown, tmp_path):
    image = results.read(builders.mr_series(SpecificCharacterSet=character_set, PatientName=name), tmp_path / "in")

    assert kept(seg_of(image), tmp_path).PatientName == shown


def test_a_private_coding_scheme_of_the_source_is_kept_out_of_our_codes(tmp_path):
    procedure = [builders.code_item("X1", "99LOCAL", "Neck MR of this house")]
    image = results.read(builders.mr_series(ProcedureCodeSequence=procedure), tmp_path / "in")
    report = kept(results.report(image, results.finding(image, "C3", "C3")), tmp_path)

    [reported] = [i for i in report.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "121058"]
    assert reported.ConceptCodeSequence[0].CodingSchemeDesignator == "99LOCAL"
    assert [one.CodingSchemeDesignator for one in report.CodingSchemeIdentificationSequence] == [SCHEME]


def test_a_mask_that_touches_every_border_is_written_whole(tmp_path):
    image = results.read(builders.mr_series(), tmp_path / "in")
    everything = np.ones(image.source.image.shape, np.uint8)

    seg = kept(seg_of(image, everything), tmp_path)

    assert int(seg.NumberOfFrames) == everything.shape[0]
    assert seg.pixel_array.min() == 1


def test_an_empty_mask_is_no_seg(tmp_path):
    image = results.read(builders.mr_series(), tmp_path / "in")
    nothing = np.zeros(image.source.image.shape, np.uint8)

    with pytest.raises(EmptySegmentation, match="no voxel is labelled"):
        seg_of(image, nothing)
    with pytest.raises(EmptySegmentation, match="no soft mask"):
        seg_of(image, nothing, soft=nothing.astype(np.float32))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_said_to_be_missing(value, tmp_path):
    image = results.read(builders.mr_series(), tmp_path / "in")
    finding = results.finding(image, "C3", "C3", quantities=(quantity("csa_mean", value),))

    report = kept(results.report(image, finding), tmp_path)

    texts = [element.value for element in report.iterall() if element.keyword == "TextValue"]
    assert "Mean CSA over C3: not measured (the value is not a finite number)" in texts
    assert not any(
        element.keyword == "NumericValue" and not math.isfinite(float(element.value)) for element in report.iterall()
    )


def test_soft_values_that_are_no_numbers_are_no_cord(tmp_path):
    image = results.read(builders.mr_series(), tmp_path / "in")
    labels = results.segmentation(image).labels
    soft = np.where(labels == 1, 1.0, np.nan).astype(np.float32)

    seg = kept(seg_of(image, soft=soft), tmp_path)

    assert int((seg.pixel_array == 255).sum()) == int((labels == 1).sum())
    assert set(np.unique(seg.pixel_array)) <= {0, 255}

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_ai.dicom.headers import read_paths
from dicom_ai.dicom.sr_writer import Evidence
from dicom_ai.domain.findings import Contour, Quality, Quantity
from dicom_ai.domain.model import ModelReference
from dicom_ai.domain.result import ResultKind
from dicom_ai.domain.study import Series
from dicom_ai.errors import RejectedInput
from tests import builders
from tests.unit.dicom import results


@pytest.fixture(scope="module")
def neck(tmp_path_factory) -> results.Read:
    return results.read(builders.mr_series(), tmp_path_factory.mktemp("neck"))


def walk(item: Dataset):
    for child in item.get("ContentSequence", []):
        yield child
        yield from walk(child)


def named(item: Dataset, value: str) -> list[Dataset]:
    return [one for one in walk(item) if one.get("ConceptNameCodeSequence", [Dataset()])[0].get("CodeValue") == value]


def groups(report: Dataset) -> list[Dataset]:
    return named(report, "125007")


def test_the_report_is_a_preliminary_unverified_research_tid_1500(neck):
    written = results.report(neck, results.finding(neck, "C3", "C3"))

    assert written.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    assert written.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert written.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (written.VerificationFlag, written.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert written.CompletionFlag == "COMPLETE"
    assert written.ContentQualification == "RESEARCH"
    assert written.SeriesDescription == "AI report (RUO)"
    assert written.PatientName == "Phantom^Synthetic"
    assert written.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


def test_a_report_made_without_waiting_is_partial(neck):
    assert results.report(neck, results.finding(neck, "C3", "C3"), complete=False).CompletionFlag == "PARTIAL"


def test_every_group_has_a_closed_outline_on_a_source_image(neck):
    written = results.report(neck, results.finding(neck, "C3", "C3"), results.finding(neck, "C4", "C4", contour=None))

    for group in groups(written):
        [region] = named(group, "111030")
        points = np.array(region.GraphicData).reshape(-1, 2)
        image = region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        assert region.GraphicType == "POLYLINE"
        assert np.array_equal(points[0], points[-1])
        assert image == neck.source.frames[2].sop_instance_uid


def test_the_first_finding_site_is_what_viewers_draw(neck):
    sites = ("C3", "C3"), ("20-40 mm below top of cord", None), ("Spinal cord", None)
    written = results.report(neck, *(results.finding(neck, *site) for site in sites))

    drawn = [named(group, "363698007")[0].ConceptCodeSequence[0].CodeMeaning for group in groups(written)]
    assert drawn == ["C3 vertebra", "20-40 mm below top of cord", "Spinal cord"]


def test_every_number_reads_alone_and_is_written_to_its_last_digit(neck):
    written = results.report(neck, results.finding(neck, "C3", "C3"))

    numbers = [item for item in walk(groups(written)[0]) if item.ValueType == "NUM"]
    shown = [
        (
            item.ConceptNameCodeSequence[0].CodeMeaning,
            item.MeasuredValueSequence[0]["NumericValue"].value.original_string,
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for item in numbers
        if item.ConceptNameCodeSequence[0].CodeValue != "CSA-SLICES"
    ]
    assert shown == [
        ("Mean CSA over C3", "67.4", "mm2"),
        ("SD of CSA over C3", "2.1", "mm2"),
        ("Minimum CSA over C3", "64.0", "mm2"),
        ("Maximum CSA over C3", "71.3", "mm2"),
    ]
    assert str(named(written, "CSA-SLICES")[0].MeasuredValueSequence[0].NumericValue) == "12"


def test_the_numbers_that_matter_most_come_first_because_viewers_draw_five(neck):
    keys = ("cord_length", "csa_slices", "csa_max", "csa_min", "csa_sd", "ap_mean", "csa_slice", "csa_mean")
    numbers = tuple(Quantity(key, 1.0) for key in keys)

    written = results.report(neck, results.finding(neck, "C3", "C3", quantities=numbers))

    order = [i.ConceptNameCodeSequence[0].CodeValue for i in walk(groups(written)[0]) if i.ValueType == "NUM"]
    assert order[:5] == ["CSA-MEAN", "CSA-SLICE", "CSA-SD", "CSA-MIN", "CSA-MAX"]
    assert order[5:] == ["CORD-LENGTH", "CSA-SLICES", "AP-MEAN"]


def test_derivation_and_method_stand_beside_the_name(neck):
    written = results.report(neck, results.finding(neck, "C3", "C3"))

    modifiers = [
        [child.ConceptCodeSequence[0].CodeValue for child in item.ContentSequence]
        for item in walk(groups(written)[0])
        if item.ValueType == "NUM" and "ContentSequence" in item
    ]
    assert modifiers[0] == ["CSA-PERP", "373098007"]


def test_a_number_that_could_not_be_given_is_empty_and_says_why(neck):
    numbers = (Quantity("csa_mean", None, "edge"), Quantity("csa_sd", None, "edge"), Quantity("csa_slices", 1.0))
    failed = results.finding(neck, "C5", "C5", quantities=numbers, quality=Quality.FAIL)

    written = results.report(neck, failed)

    [mean] = named(written, "CSA-MEAN")
    assert len(mean.MeasuredValueSequence) == 0
    assert mean.NumericValueQualifierCodeSequence[0].CodeValue == "114006"
    assert len(named(written, "CSA-SLICES")[0].MeasuredValueSequence) == 1
    assert [item.TextValue for item in named(written, "121106")] == [
        "Mean CSA over C5; SD of CSA over C5: not measured (edge)"
    ]
    assert named(written, "QC")[0].ConceptCodeSequence[0].CodeValue == "QC-FAIL"


def test_a_finding_without_an_outline_shows_the_image_that_was_searched(neck):
    written = results.report(neck, results.finding(neck, "C4", "C4", contour=None))

    assert named(written, "OUTLINE")[0].ConceptCodeSequence[0].CodeValue == "OUTLINE-SEARCHED"
    assert list(named(written, "111030")[0].GraphicData) == [0.5, 0.5, 31.5, 0.5, 31.5, 23.5, 0.5, 23.5, 0.5, 0.5]


@pytest.mark.parametrize(("locates", "value"), [(True, "OUTLINE-LOCATES"), (False, "OUTLINE-MEASURED")])
def test_an_outline_that_only_locates_says_so(neck, locates, value):
    contour = Contour(neck.series.series_uid, 2, results.SQUARE, locates_only=locates)

    written = results.report(neck, results.finding(neck, "C3", "C3", contour=contour))

    assert named(written, "OUTLINE")[0].ConceptCodeSequence[0].CodeValue == value


def test_nothing_found_is_a_text_tree_with_the_reason(neck):
    reason = "no cord found: highest score 0.12 where 0.5 is needed"

    written = results.report(neck, notes=[reason])

    assert written.ConceptNameCodeSequence[0].CodeValue != "126000"
    assert {item.ValueType for item in walk(written)} == {"CONTAINER", "CODE", "TEXT", "UIDREF"}
    assert all("ConceptNameCodeSequence" in item for item in walk(written))
    # viewers print the name of each item only where the content is separate
    assert {item.get("ContinuityOfContent", "SEPARATE") for item in (written, *walk(written))} == {"SEPARATE"}
    assert reason in [item.get("TextValue") for item in walk(written)]
    assert any("spinal-cord 1.0.0" in item.get("TextValue", "") for item in walk(written))


def test_notes_of_the_study_stand_beside_the_measurements(neck):
    written = results.report(neck, results.finding(neck, "C3", "C3"), notes=["one series was refused"])

    [container] = named(written, "C0034375")
    assert container.ContentSequence[0].TextValue == "one series was refused"


def test_evidence_lists_every_analysed_image_and_the_seg(neck, tmp_path):
    seg, place = results.seg_of(neck, folder=tmp_path)
    evidence = Evidence([neck.series], [neck.source], [place])

    written = results.report(neck, results.finding(neck, "C3", "C3"), evidence=evidence)

    [study] = written.CurrentRequestedProcedureEvidenceSequence
    listed = {
        series.SeriesInstanceUID: {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence}
        for series in study.ReferencedSeriesSequence
    }
    assert listed == {
        neck.series.series_uid: {frame.sop_instance_uid for frame in neck.source.frames},
        seg.SeriesInstanceUID: {seg.SOPInstanceUID},
    }
    assert "PertinentOtherEvidenceSequence" not in written


def test_the_image_library_holds_the_outlined_images_only(neck):
    written = results.report(neck, results.finding(neck, "C3", "C3"), results.finding(neck, "C4", "C4"))

    [library] = named(written, "126200")
    images = [item for item in library.ContentSequence if item.ValueType == "IMAGE"]
    assert len(images) == 1


def test_a_group_names_the_model_that_made_it(neck):
    other = ModelReference("spine-mr", "2.0", "sshsnet", "cd" * 32)
    first, second = results.finding(neck, "C3", "C3"), results.finding(neck, "C4", "C4")
    evidence = Evidence(
        [neck.series],
        [neck.source],
        models={first.tracking_uid: results.MODEL, second.tracking_uid: other},
    )

    written = results.report(neck, first, second, evidence=evidence, models=[results.MODEL, other])

    assert [named(group, "111001")[0].TextValue for group in groups(written)] == ["spinal-cord", "spine-mr"]
    second_of = [item.TextValue for item in named(groups(written)[1], "111002")]
    assert second_of == ["family=sshsnet", f"sha256={other.digest}"]
    assert list(written.SoftwareVersions)[1:] == ["spinal-cord 1.0.0", "spine-mr 2.0"]


def test_a_run_that_replaces_another_names_it(neck):
    before = (neck.series.study_uid, "1.2.3", "1.2.3.4")
    named_run = results.identity(ResultKind.SR, run=2, predecessor=before)

    written = results.report(neck, results.finding(neck, "C3", "C3"), identity=named_run)

    assert written.SeriesDescription == "AI report (RUO) run 2, replaces run 1"
    item = written.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert item.SeriesInstanceUID == "1.2.3"
    assert item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"


def test_outlines_on_enhanced_images_name_their_frame(tmp_path):
    image = results.read(builders.enhanced_mr(frame_order=(4, 0, 2, 1, 3)), tmp_path)

    written = results.report(image, results.finding(image, "C3", "C3"))

    reference = named(written, "111030")[0].ContentSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedFrameNumber == image.source.frames[2].frame_number == 3


def test_the_procedure_is_what_the_source_says_or_its_modality(tmp_path, neck):
    code = builders.code_item("RPID123", "L", "MRI C-spine")
    told = results.read(builders.mr_series(ProcedureCodeSequence=[code]), tmp_path)

    assert named(results.report(neck, notes=["x"]), "121058")[0].ConceptCodeSequence[0].CodeValue == "25056-3"
    assert named(results.report(told, notes=["x"]), "121058")[0].ConceptCodeSequence[0].CodeValue == "RPID123"


def test_a_requested_procedure_is_answered(tmp_path):
    request = builders.code_item("1", "L", "unused")
    request.RequestedProcedureID, request.RequestedProcedureDescription = "RP1", "MR neck"
    image = results.read(builders.mr_series(RequestAttributesSequence=[request]), tmp_path)

    [item] = results.report(image, notes=["x"]).ReferencedRequestSequence

    assert (item.RequestedProcedureID, item.AccessionNumber) == ("RP1", "ACC0001")


def test_two_findings_with_one_tracking_uid_are_refused_because_viewers_merge_them(neck):
    one = results.finding(neck, "C3", "C3")

    with pytest.raises(ValueError, match="share a tracking UID"):
        results.report(neck, one, results.finding(neck, "C4", "C4", tracking_uid=one.tracking_uid))


@pytest.mark.parametrize(
    "points",
    [
        results.SQUARE[:-1],
        results.SQUARE[:3],
        results.SQUARE + 30,
        results.SQUARE - 6,
        np.full((5, 2), np.nan),
    ],
)
def test_an_outline_that_is_open_or_leaves_its_image_is_refused(neck, points):
    contour = Contour(neck.series.series_uid, 2, points)

    with pytest.raises(ValueError, match="an outline"):
        results.report(neck, results.finding(neck, "C3", "C3", contour=contour))


def test_a_finding_on_an_unknown_series_is_refused(neck):
    with pytest.raises(ValueError, match="not among the sources"):
        results.report(neck, results.finding(neck, "C3", "C3", contour=Contour("9.9", 0, results.SQUARE)))


def test_a_study_of_which_nothing_became_an_image_is_still_reported(tmp_path):
    builders.write(builders.mr_series()[:1], tmp_path)
    [series] = read_paths([tmp_path]).series
    read = results.Read(series, None, tmp_path)

    written = results.report(read, evidence=Evidence([series]), notes=["refused: 1 slice"], complete=False)

    assert written.StudyInstanceUID == series.study_uid
    assert written.CurrentRequestedProcedureEvidenceSequence


def test_without_any_readable_image_there_is_no_patient_to_report_on(tmp_path):
    builders.write(builders.mr_series()[:1], tmp_path)
    [series] = read_paths([tmp_path]).series
    unreadable = Series(series.study_uid, series.series_uid, series.instances)
    for path in tmp_path.glob("*.dcm"):
        path.unlink()

    with pytest.raises(RejectedInput):
        results.report(results.Read(series, None, tmp_path), evidence=Evidence([unreadable]), notes=["x"])

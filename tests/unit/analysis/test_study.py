import json
from datetime import UTC, datetime

import jsonschema
import numpy as np
import pytest
from pydicom import dcmread

from dicom_ai.analysis.findings_json import document
from dicom_ai.analysis.identities import plan_identities
from dicom_ai.analysis.series import SeriesAnalysis, SeriesFailure, analyse_series
from dicom_ai.analysis.study import report_study
from dicom_ai.dicom.series_reader import NO_FRAME_OF_REFERENCE
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.domain.output import Output
from tests import builders
from tests.peers import REPOSITORY
from tests.predictors import BrightCord
from tests.unit.analysis.conftest import RADIUS_MM, vertebra, write_cord_series
from tests.unit.dicom import results

CREATED = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
SCHEMA = json.loads((REPOSITORY / "docs" / "reference" / "findings.schema.json").read_text())


def report(analyses, failures=(), *, out, run=1, predecessors=None, complete=True):
    identities = plan_identities(analyses, run=run, created_at=CREATED, predecessors=predecessors)
    return report_study(analyses, failures, identities=identities, out=out, complete=complete)


def means(entry):
    return {
        finding["site"]: quantity["value"]
        for series in entry["series"]
        for finding in series["findings"]
        for quantity in finding["quantities"]
        if quantity["key"] == "csa_mean"
    }


def test_a_cord_gives_one_seg_one_sr_and_its_area(cord_series, tmp_path):
    made = report([analyse_series(cord_series, BrightCord(), rule="cord")], out=tmp_path)

    assert [item.identity.kind for item in made.objects] == ["seg", "sr"]
    assert means(made.findings)["0-20 mm below top of cord seen"] == pytest.approx(np.pi * RADIUS_MM**2, rel=0.01)


def test_the_report_says_the_same_numbers_as_findings_json(cord_series, tmp_path):
    made = report([analyse_series(cord_series, BrightCord())], out=tmp_path)

    read = read_sr(tmp_path / "sr.dcm")

    said = {f.site: q.value for f in read.findings for q in f.quantities if q.key == "csa_mean"}
    assert said == means(made.findings)


def test_findings_json_holds_to_its_schema(cord_series, tmp_path):
    failure = SeriesFailure("1.2.3", "cord", "spinal-cord", "refused", "one slice", cord_series)
    made = report([analyse_series(cord_series, BrightCord())], [failure], out=tmp_path, complete=False)

    found = document([made.findings])
    schema = jsonschema.Draft202012Validator(SCHEMA)
    assert list(schema.iter_errors(found)) == []
    (study,) = found["studies"]
    assert [series["state"] for series in study["series"]] == ["done", "refused"]
    study["series"][1]["state"] = "perhaps"
    del study["complete"]
    assert {error.validator for error in schema.iter_errors(found)} == {"enum", "required"}


def test_levels_of_another_series_in_the_same_frame_of_reference_name_the_cord(tmp_path):
    shared = {"study_uid": "2.25.7", "frame_of_reference_uid": "2.25.8"}
    cord = write_cord_series(tmp_path / "a", **shared)
    spine = write_cord_series(tmp_path / "b", **shared, SeriesDescription="t2_sag")
    image = analyse_series(cord, BrightCord()).source.image
    top = float(image.to_mm(np.array([[0, 0, 0], [39, 0, 0]]))[:, 2].max())
    c3 = vertebra("C3", upper_mm=top - 8, lower_mm=top - 25)
    c4 = vertebra("C4", upper_mm=top - 27, lower_mm=top - 38, number=2)
    analyses = [
        analyse_series(cord, BrightCord()),
        analyse_series(spine, BrightCord("spine").with_vertebrae(c3, c4)),
    ]

    made = report(analyses, out=tmp_path)

    sites = {finding["site"] for finding in made.findings["series"][0]["findings"]}
    assert "C3" in sites


def test_levels_do_not_cross_frames_of_reference(tmp_path):
    cord = write_cord_series(tmp_path / "a", study_uid="2.25.7", frame_of_reference_uid="2.25.8")
    spine = write_cord_series(tmp_path / "b", study_uid="2.25.7", frame_of_reference_uid="2.25.9")
    label = vertebra("C3", upper_mm=30, lower_mm=10)
    analyses = [analyse_series(cord, BrightCord()), analyse_series(spine, BrightCord("s").with_vertebrae(label))]

    made = report(analyses, out=tmp_path)

    assert not any(finding["level"] for finding in made.findings["series"][0]["findings"])


def test_a_model_that_names_no_measurement_says_how_much_it_found(cord_series, tmp_path):
    made = report([analyse_series(cord_series, BrightCord(measurements=()))], out=tmp_path)

    (finding,) = made.findings["series"][0]["findings"]
    (volume,) = finding["quantities"]
    assert volume["name"] == "Volume of Spinal cord"
    assert volume["value"] == pytest.approx(40 * np.pi * RADIUS_MM**2, rel=0.03)


def test_nothing_found_is_a_report_without_a_seg(tmp_path):
    series = write_cord_series(tmp_path / "empty")
    analysis = analyse_series(series, BrightCord())
    empty = type(analysis)(
        series, analysis.source, "cord", analysis.model, analysis.measurements, _nothing(analysis), 0.1
    )

    made = report([empty], out=tmp_path)

    assert [item.identity.kind for item in made.objects] == ["sr"]
    assert any("no cord found" in note for note in made.findings["notes"])


def test_a_study_in_which_everything_was_refused_is_still_reported(cord_series, tmp_path):
    failure = SeriesFailure(cord_series.series_uid, "cord", "spinal-cord", "refused", "slice gap 6.0 mm", cord_series)

    made = report([], [failure], out=tmp_path, complete=False)

    assert [item.identity.kind for item in made.objects] == ["sr"]
    assert dcmread(tmp_path / "sr.dcm").CompletionFlag == "PARTIAL"
    assert made.findings["notes"] == ["spinal-cord: refused: slice gap 6.0 mm"]


def test_a_run_has_new_uids_and_names_what_it_replaces(cord_series, tmp_path):
    analysis = analyse_series(cord_series, BrightCord())
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    first = report([analysis], out=tmp_path / "1")
    before = {
        item.identity.slot: (item.study_uid, item.identity.series_uid, item.identity.sop_instance_uid)
        for item in first.objects
    }

    report([analysis], out=tmp_path / "2", run=2, predecessors=before)

    sr = dcmread(tmp_path / "2" / "sr.dcm")
    named = sr.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == before["sr"][2]
    assert sr.SOPInstanceUID != before["sr"][2]


def _nothing(analysis):
    old = analysis.segmentation
    return type(old)(old.labels * 0, (), 0.1, soft=old.soft * 0, notes=("no cord found: 0.10 where 0.5 is needed",))


@pytest.mark.parametrize(
    ("outputs", "kinds"),
    [({Output.SEG, Output.SR}, ["sr"]), ({Output.SR, Output.XRAY_SEG}, ["seg", "sr"])],
    ids=["as delivered", "X-ray SEG chosen"],
)
def test_a_radiograph_gets_a_seg_where_a_destination_has_chosen_it(outputs, kinds, tmp_path):
    image = results.read(builders.radiograph(), tmp_path / "in")
    found = results.segmentation(image, results.vertebra("C3"))
    film = SeriesAnalysis(image.series, image.source, "", results.MODEL, ("radiograph_vertebrae",), found, 0.1)
    identities = plan_identities([film], run=1, created_at=CREATED, outputs=frozenset(outputs))

    made = report_study([film], [], identities=identities, out=tmp_path, complete=True)

    assert [item.identity.kind for item in made.objects] == kinds
    frames = [dcmread(item.path).pixel_array for item in made.objects if item.identity.kind == "seg"]
    assert [int(one.sum()) for one in frames] == [int(found.labels.sum())] * (len(kinds) - 1)


def test_images_without_a_frame_of_reference_get_a_report_that_says_why_there_is_no_seg(tmp_path):
    series = write_cord_series(tmp_path / "in", FrameOfReferenceUID=None)

    made = report([analyse_series(series, BrightCord())], out=tmp_path)

    assert [item.identity.kind for item in made.objects] == ["sr"]
    assert means(made.findings)
    assert any(NO_FRAME_OF_REFERENCE in note for note in made.findings["notes"])
    assert any(NO_FRAME_OF_REFERENCE in note for note in read_sr(tmp_path / "sr.dcm").notes)

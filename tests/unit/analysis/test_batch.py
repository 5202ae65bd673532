import json
from pathlib import Path

import jsonschema
import nibabel
import numpy as np
import pytest
from pydicom import dcmread

from dicom_ai.analysis.batch import NIFTI_NEEDS_A_MODEL, Batch
from dicom_ai.errors import ModelError
from dicom_ai.routing.rule import parse_rules
from tests import builders
from tests.peers import REPOSITORY
from tests.predictors import FULL, BrightCord, OneModel
from tests.unit.analysis.conftest import write_cord_series

SCHEMA = json.loads((REPOSITORY / "docs" / "reference" / "findings.schema.json").read_text())
RULES = parse_rules(
    {
        "rule": [
            {"name": "cord", "model": "bright-cord", "state": "on", "all": [{"keyword": "Modality", "equals": "MR"}]},
            {
                "name": "again",
                "model": "bright-cord",
                "state": "on",
                "all": [{"keyword": "SeriesDescription", "contains": "t2"}],
            },
        ]
    }
)


def run(paths, out, *, models=None, rules=RULES, model=None):
    return Batch(models or OneModel(), out, rules=rules, model=model).run(paths)


def test_a_series_has_a_row_for_every_rule_that_took_it_and_one_set_of_files(tmp_path):
    write_cord_series(tmp_path / "in")

    rows = run([tmp_path / "in"], tmp_path / "out")

    assert [(row.rule, row.state) for row in rows] == [("cord", "done"), ("again", "done")]
    assert rows[0].outputs == rows[1].outputs
    suffixes = sorted(Path(path).name for path in rows[0].outputs)
    assert suffixes == [
        "bright-cord-1-csa.csv",
        "bright-cord-1-csa.png",
        "bright-cord-1-overlay.png",
        "bright-cord-1-seg.dcm",
        "sr.dcm",
    ]


def test_findings_json_holds_to_its_schema(tmp_path):
    write_cord_series(tmp_path / "in")

    run([tmp_path / "in"], tmp_path / "out")

    found = json.loads((tmp_path / "out" / "findings.json").read_text())
    schema = jsonschema.Draft202012Validator(SCHEMA)
    assert list(schema.iter_errors(found)) == []
    (study,) = found["studies"]
    assert [(series["rule"], series["state"]) for series in study["series"]] == [("cord", "done")]
    study["series"][0]["findings"][0]["quantities"][0]["value"] = "113 mm2"
    assert [error.validator for error in schema.iter_errors(found)] == ["type"]


def test_a_series_that_no_rule_takes_says_what_each_rule_missed(tmp_path):
    builders.write(builders.radiograph(), tmp_path / "in")

    (row,) = run([tmp_path / "in"], tmp_path / "out")

    assert (row.rule, row.model, row.state) == ("", "", "not routed")
    assert "Modality equals MR" in row.reason


def test_a_refused_series_does_not_stop_its_neighbour(tmp_path):
    write_cord_series(tmp_path / "in" / "good", study_uid="2.25.3")
    gapped = builders.mr_series(study_uid="2.25.3", SeriesDescription="ax")
    builders.write(gapped[:2] + gapped[3:], tmp_path / "in" / "gap")

    rows = run([tmp_path / "in"], tmp_path / "out")

    assert sorted(row.state for row in rows) == ["done", "done", "refused"]
    assert "gap" in next(row.reason for row in rows if row.state == "refused")


def test_an_unexpected_error_is_a_failed_row_and_the_study_is_still_reported(tmp_path):
    write_cord_series(tmp_path / "in")

    rows = run([tmp_path / "in"], tmp_path / "out", models=OneModel(BrightCord(error=RuntimeError("out of memory"))))

    assert {row.state for row in rows} == {"failed"}
    assert dcmread(next((tmp_path / "out").rglob("sr.dcm"))).CompletionFlag == "PARTIAL"


def test_a_model_that_does_not_load_fails_by_its_reason(tmp_path):
    write_cord_series(tmp_path / "in")

    rows = run([tmp_path / "in"], tmp_path / "out", models=OneModel(error=ModelError("weights.onnx: wrong digest")))

    assert {(row.state, row.reason) for row in rows} == {("failed", "weights.onnx: wrong digest")}


def test_a_named_model_skips_the_rules(tmp_path):
    write_cord_series(tmp_path / "in", SeriesDescription="anything")

    (row,) = run([tmp_path / "in"], tmp_path / "out", rules=None, model="bright-cord")

    assert (row.rule, row.model, row.state) == ("", "bright-cord", "done")


def test_a_file_that_is_no_dicom_is_named(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("not an image")

    (row,) = run([tmp_path / "in"], tmp_path / "out")

    assert (row.state, row.reason) == ("refused", "notes.txt: not a DICOM file")


def test_a_nifti_comes_back_as_nifti_with_its_exact_affine(tmp_path):
    affine = np.array([[-0.7, 0.1, 0, 12], [0.1, 0.7, 0.02, -30], [0, -0.02, 3.0, 5], [0, 0, 0, 1]])
    voxels = np.zeros((24, 24, 12), np.float32)
    voxels[8:16, 8:16, :] = FULL
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "neck.nii.gz")

    (row,) = run([tmp_path / "neck.nii.gz"], tmp_path / "out", rules=None, model="bright-cord")

    made = nibabel.load(tmp_path / "out" / "neck-bright-cord-seg.nii.gz")
    assert row.state == "done"
    assert np.array_equal(made.affine, nibabel.load(tmp_path / "neck.nii.gz").affine)
    assert np.array_equal(np.asarray(made.dataobj) > 0, voxels > 0)


def test_a_nifti_without_a_model_is_not_routed_and_says_what_to_do(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.eye(4)), tmp_path / "neck.nii")

    (row,) = run([tmp_path / "neck.nii"], tmp_path / "out")

    assert (row.state, row.reason) == ("not routed", NIFTI_NEEDS_A_MODEL)


def test_a_batch_needs_rules_or_a_model(tmp_path):
    write_cord_series(tmp_path / "in")

    with pytest.raises(ValueError, match="needs rules"):
        run([tmp_path / "in"], tmp_path / "out", rules=None)

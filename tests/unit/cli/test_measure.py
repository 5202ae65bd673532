"""`dicom-ai measure` on masks of known size."""

import csv
import json
from io import StringIO
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

from dicom_ai.cli.measure import command
from dicom_ai.domain.image import Volume
from dicom_ai.errors import RejectedInput
from tests.phantoms import CordPhantom, cord_cylinder


@pytest.fixture(scope="module")
def neck() -> CordPhantom:
    return cord_cylinder(tilt_deg=(10, 0), shape=(24, 32, 24))


def saved(volume: Volume, path: Path) -> str:
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    nibabel.save(nibabel.Nifti1Image(volume.voxels, affine), path)
    return str(path)


def run(*arguments: str):
    return CliRunner().invoke(command, list(arguments), catch_exceptions=False)


def test_csv_gives_the_area_of_every_slice(neck, tmp_path):
    result = run("--mask", saved(neck.soft, tmp_path / "cord.nii.gz"), "--csv")

    rows = list(csv.DictReader(StringIO(result.output)))
    assert len(rows) == 24
    assert float(rows[12]["MEAN(area)"]) == pytest.approx(neck.area_mm2, rel=0.01)


def test_levels_give_one_row_each_and_the_pooled_one(neck, tmp_path):
    labels = np.where(neck.soft.voxels > 0, np.repeat([3, 2], 12)[:, None, None], 0).astype(np.float32)

    result = run(
        *("--mask", saved(neck.soft, tmp_path / "cord.nii.gz")),
        *("--levels", saved(neck.soft.with_voxels(labels), tmp_path / "levels.nii.gz"), "--json"),
    )

    document = json.loads(result.output)
    assert [site["site"] for site in document["sites"]] == ["the cord seen", "C2", "C3", "C2-C3"]
    assert document["sites"][3]["quantities"][0]["name"] == "Mean CSA over C2-C3"
    assert document["sites"][3]["quantities"][0]["value"] == pytest.approx(neck.area_mm2, rel=0.01)
    assert [row["VertLevel"] for row in document["rows"]] == [2.0, 3.0, "2:3"]


def test_a_person_reads_a_table(neck, tmp_path):
    result = run("--mask", saved(neck.soft, tmp_path / "cord.nii.gz"))

    assert "CSA mm2" in result.output
    assert "at the end of the mask" in result.output
    assert "length of the cord seen: 24 mm" in result.output


def test_the_toolboxs_way_withholds_nothing(neck, tmp_path):
    result = run("--mask", saved(neck.soft, tmp_path / "cord.nii.gz"), "--sct-compatible")

    assert "withheld" in result.output
    assert "at the end" not in result.output


def test_an_empty_mask_says_so(neck, tmp_path):
    empty = neck.soft.with_voxels(np.zeros_like(neck.soft.voxels))

    assert "no cord in the mask" in run("--mask", saved(empty, tmp_path / "empty.nii.gz")).output


def test_an_image_is_no_mask(neck, tmp_path):
    image = neck.soft.with_voxels(neck.soft.voxels * np.float32(900))

    with pytest.raises(RejectedInput, match="values from 0 to 900"):
        run("--mask", saved(image, tmp_path / "image.nii.gz"))


def test_a_file_that_is_no_nifti_is_refused(tmp_path):
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(b"no NIfTI")

    with pytest.raises(RejectedInput, match="not a NIfTI file"):
        run("--mask", str(path))


def test_four_dimensions_are_refused(tmp_path):
    path = tmp_path / "four.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3, 2), np.float32), np.eye(4)), path)

    with pytest.raises(RejectedInput, match="4 dimensions"):
        run("--mask", str(path))


def test_levels_are_needed_for_rows_per_level(neck, tmp_path):
    result = run("--mask", saved(neck.soft, tmp_path / "cord.nii.gz"), "--per", "level")

    assert result.exit_code == 2
    assert "--per level needs --levels" in result.output

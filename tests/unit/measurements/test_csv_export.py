"""The table with the Spinal Cord Toolbox's column names."""

import csv
from io import StringIO

import numpy as np
import pytest

from dicom_ai.domain.findings import VertebraLabel
from dicom_ai.errors import UnsuitableGeometry
from dicom_ai.measurements.csv_export import COLUMNS, TableOrigin, csv_text, rows_per_level, rows_per_slice
from dicom_ai.measurements.labelled_slices import level_name, levels_along, levels_of_slices
from dicom_ai.measurements.spinal_cord_csa import measure_cord
from tests.phantoms import CordPhantom, cord_cylinder

ORIGIN = TableOrigin("2026-01-02 03:04:05", "dicom-ai 0", "cord.nii.gz")


@pytest.fixture(scope="module")
def neck() -> CordPhantom:
    return cord_cylinder(tilt_deg=(10, 0), shape=(30, 32, 24))


def labels_of(phantom: CordPhantom):
    """C4 in the lowest ten slices, C3 above, C2 on top."""
    levels = np.repeat([4.0, 3.0, 2.0], 10)[:, None, None] * (phantom.soft.voxels > 0)
    return phantom.soft.with_voxels(levels.astype(np.float32))


def test_columns_are_scts():
    assert COLUMNS[:8] == (
        *("Timestamp", "SCT Version", "Filename", "Slice (I->S)", "VertLevel", "DistancePMJ"),
        *("MEAN(area)", "STD(area)"),
    )
    assert COLUMNS[-2:] == ("SUM(length)", "Withheld")


def test_slices_count_from_the_feet_and_withheld_ones_say_why(neck):
    rows = rows_per_slice(measure_cord(neck.soft), origin=ORIGIN)

    assert [row["Slice (I->S)"] for row in rows] == [str(index) for index in range(30)]
    assert rows[0]["Withheld"] == "at the end of the mask"
    assert "MEAN(area)" not in rows[0]
    assert float(rows[10]["MEAN(area)"]) == pytest.approx(neck.area_mm2, rel=0.01)


def test_levels_are_pooled_as_scts_vert_2_3(neck):
    profile = measure_cord(neck.soft)
    levels = levels_of_slices(labels_of(neck), profile)

    rows = rows_per_level(profile, origin=ORIGIN, levels=levels)

    assert [(row["VertLevel"], row["Slice (I->S)"]) for row in rows] == [
        ("2", "20:29"),
        ("3", "10:19"),
        ("4", "0:9"),
        ("2:3", "10:29"),
    ]
    # Two slices are withheld at the upper end.
    assert float(rows[3]["SUM(length)"]) == pytest.approx(18 / np.cos(np.radians(10)), rel=1e-3)


def test_an_angle_is_named_after_the_axis_it_turns_about(neck):
    row = rows_per_slice(measure_cord(neck.soft), origin=ORIGIN)[15]

    assert float(row["MEAN(angle_RL)"]) == pytest.approx(10, abs=0.1)
    assert float(row["MEAN(angle_AP)"]) == pytest.approx(0, abs=0.1)


def test_too_coarse_voxels_leave_the_ap_diameter():
    profile = measure_cord(cord_cylinder(spacing_mm=(1.0, 0.8, 3.3), shape=(12, 32, 9)).soft)

    row = rows_per_slice(profile, origin=ORIGIN)[6]

    assert "MEAN(area)" not in row
    assert float(row["MEAN(diameter_AP)"]) == pytest.approx(7.7, rel=0.02)
    assert "3.3 mm right to left" in row["Withheld"]


def test_the_text_is_csv_with_a_header(neck):
    text = csv_text(rows_per_slice(measure_cord(neck.soft), origin=ORIGIN))

    assert len(list(csv.DictReader(StringIO(text)))) == 30
    assert text.splitlines()[0].startswith("Timestamp,SCT Version,Filename,Slice (I->S),VertLevel")


def test_labels_on_another_grid_are_refused(neck):
    other = cord_cylinder(shape=(10, 20, 20)).soft

    with pytest.raises(UnsuitableGeometry, match="grid"):
        levels_of_slices(other, measure_cord(neck.soft))


@pytest.mark.parametrize(("code", "name"), [(1, "C1"), (7, "C7"), (8, "T1"), (19, "T12"), (24, "L5"), (40, "40")])
def test_level_codes_are_scts(code, name):
    assert level_name(code) == name


def test_vertebrae_give_levels_to_slices(neck):
    label = VertebraLabel(
        level="C4",
        name="C4 vertebra",
        segment_number=1,
        anchor="",
        qualified=False,
        centroid_mm=np.zeros(3),
        upper_mm=np.array([0, -20.0, 5.0]),
        lower_mm=np.array([0, -20.0, -5.0]),
    )

    levels = levels_along(measure_cord(neck.soft), [label])

    assert set(levels.values()) == {4}
    assert len(levels) == pytest.approx(10, abs=1)

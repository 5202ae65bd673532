"""A real study "XR C Spine Comp Min 4 Views": its lateral film is for the model, both obliques (named AP) are not."""

from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from dicom_ai.dicom.headers import read_paths
from dicom_ai.routing.explain import route_study
from dicom_ai.routing.shipped import read_rules
from tests.peers import need_data

RULES = read_rules()
LATERAL, OBLIQUES = "cr_cspine_lateral", ("cr_cspine_oblique1", "cr_cspine_oblique2")


def taken(folder: Path, changes: dict[str, dict[str, str | None]]) -> list[str]:
    """Return which films go to the model. changes: film -> keywords to set, or to delete where the value is None."""
    names = {}
    for source in sorted(need_data("dicom").glob("cr_cspine_*.dcm")):
        dataset = changed(pydicom.dcmread(source), changes.get(source.stem, {}))
        dataset.save_as(folder / source.name)
        names[dataset.SeriesInstanceUID] = source.stem
    scan = read_paths(sorted(folder.glob("*.dcm")))
    return sorted(names[one.series_uid] for one in route_study(list(scan.series), RULES) if one.taken)


def changed(dataset: Dataset, values: dict[str, str | None]) -> Dataset:
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def test_the_lateral_is_chosen_and_the_obliques_are_not(tmp_path):
    assert taken(tmp_path, {}) == [LATERAL]


@pytest.mark.parametrize(
    "values",
    [
        {"ViewPosition": None},
        {"SeriesDescription": None},
        {"SeriesDescription": "Cervical"},
        {"ViewPosition": "AP"},
        {"SeriesDescription": "Cervical OBLI 1"},
        {"ViewPosition": None, "SeriesDescription": None, "PatientOrientation": "A\\F"},
    ],
)
def test_one_tag_is_not_enough_and_tags_that_disagree_choose_nothing(tmp_path, values):
    assert taken(tmp_path, {LATERAL: values}) == []


def test_where_the_view_position_is_lost_the_description_and_the_orientation_tell(tmp_path):
    assert taken(tmp_path, {LATERAL: {"ViewPosition": None, "PatientOrientation": "A\\F"}}) == [LATERAL]


def test_where_the_description_is_lost_the_view_position_and_the_orientation_tell(tmp_path):
    changes = {"SeriesDescription": None, "PatientOrientation": "A\\F"}

    assert taken(tmp_path, {LATERAL: changes}) == [LATERAL]


def test_an_oblique_that_says_lateral_in_one_tag_stays_out(tmp_path):
    assert taken(tmp_path, {name: {"ViewPosition": "LL"} for name in OBLIQUES}) == [LATERAL]

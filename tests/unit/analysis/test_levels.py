import numpy as np
import pytest

from dicom_ai.analysis.levels import levels_for, with_levels_of_others
from dicom_ai.analysis.series import SeriesAnalysis
from dicom_ai.anatomy.labeling import NO_ANCHOR
from dicom_ai.domain.findings import Segment, Segmentation, Structure, StructureKind, VertebraLabel
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.domain.model import ModelReference

SHAPE = (60, 30, 30)
"""Slices of 1 mm, feet to head from z = 0."""
AXIAL = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
CORD = Structure(StructureKind.SPINAL_CORD, "Spinal cord")
CANAL = Structure(StructureKind.SPINAL_CANAL, "Spinal canal")


def vertebra(level: str | None, number: int, *, upper_mm: float, lower_mm: float) -> VertebraLabel:
    place = np.array([15.0, 5.0, 0.0])
    middle, upper, lower = (place + np.array([0, 0, z]) for z in (0.5 * (upper_mm + lower_mm), upper_mm, lower_mm))
    name = f"{level} vertebra" if level else f"V{number}"
    return VertebraLabel(level, name, number, "counted from C2" if level else "", False, middle, upper, lower)


def analysis(
    series_uid: str,
    labels: np.ndarray,
    structures: tuple[Structure, ...],
    *vertebrae: VertebraLabel,
    frame: str = "1.9",
    notes: tuple[str, ...] = (),
) -> SeriesAnalysis:
    segments = tuple(Segment(i, one, one.name, f"2.25.{i}") for i, one in enumerate(structures, 1))
    return SeriesAnalysis(
        series=None,
        source=SourceImage("1.1", series_uid, Volume(np.zeros(SHAPE, np.float32), AXIAL, frame), ()),
        rule="",
        model=ModelReference("m", "1", "test", "0" * 64),
        measurements=(),
        segmentation=Segmentation(labels, segments, 1.0, notes=notes, vertebrae=vertebrae),
        seconds=0.0,
    )


def tube(*, columns: slice = slice(12, 19)) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 18:25, columns] = 1
    return labels


def cord(series_uid: str = "1.2", **keywords) -> SeriesAnalysis:
    columns = keywords.pop("columns", slice(12, 19))
    return analysis(series_uid, tube(columns=columns), (CORD,), **keywords)


def neck(series_uid: str = "1.3", *, canal: slice | None = slice(10, 21), frame: str = "1.9") -> SeriesAnalysis:
    """Another series with levels: C3 above C4, 15 mm high each, and a canal."""
    structures = (CANAL,) if canal else ()
    labels = tube(columns=canal) if canal else np.zeros(SHAPE, np.uint8)
    high, low = vertebra("C3", 2, upper_mm=55, lower_mm=40), vertebra("C4", 3, upper_mm=35, lower_mm=20)
    return analysis(series_uid, labels, structures, high, low, frame=frame)


def names(labelling) -> list[str | None]:
    return [one.level for one in labelling.labels]


def test_levels_another_model_found_in_the_same_series_hold_without_comparison():
    own, spine = cord("1.3"), neck("1.3", canal=None)
    found = levels_for(own, [own, spine])
    assert names(found) == ["C3", "C4"]
    assert found.notes == ()


def test_levels_of_another_series_hold_where_the_cord_lies_in_its_canal():
    own, spine = cord(), neck()
    found = levels_for(own, [own, spine])
    assert names(found) == ["C3", "C4"]
    assert found.notes == ("levels found in another series; the cord lies in one place in both",)


def test_the_cord_of_the_other_series_is_compared_before_its_canal():
    own, spine, other_cord = cord(), neck(), cord("1.3", columns=slice(20, 27))
    assert names(levels_for(own, [own, spine, other_cord])) == []


def test_a_patient_who_moved_by_more_than_a_third_of_a_vertebra_takes_no_levels():
    own, spine = cord(columns=slice(18, 25)), neck()  # 6 mm beside a canal whose vertebrae are 15 mm high
    found = levels_for(own, [own, spine])
    assert names(found) == []
    assert found.notes == (
        "no levels carried over: the cord lies 6 mm apart in the two series: the patient may have moved",
    )


def test_a_patient_who_moved_by_less_keeps_them():
    own, spine = cord(columns=slice(16, 23)), neck()
    assert names(levels_for(own, [own, spine])) == ["C3", "C4"]


def test_without_a_cord_or_canal_in_both_there_is_nothing_to_compare():
    own, spine = cord(), neck(canal=None)
    found = levels_for(own, [own, spine])
    assert (names(found), found.notes) == (
        [],
        ("no levels carried over: there is no cord or canal in both series to compare",),
    )


@pytest.mark.parametrize("frame", ["1.8", ""])
def test_levels_do_not_cross_frames_of_reference(frame):
    own, spine = cord(frame=frame), neck()
    found = levels_for(own, [own, spine])
    assert (names(found), found.notes) == ([], ())


def column(series_uid: str, *levels: str | None, notes: tuple[str, ...] = ()) -> SeriesAnalysis:
    """Three vertebrae of 15 mm from z = 55 downward, 3 mm of disc between the first two."""
    labels = np.zeros(SHAPE, np.uint8)
    vertebrae = []
    for number, level in enumerate(levels, 1):
        upper = 59 - 18 * (number - 1)
        labels[upper - 15 : upper, 5:15, 10:20] = number
        vertebrae.append(vertebra(level, number, upper_mm=upper, lower_mm=upper - 15))
    labels[41:44, 5:15, 10:20] = len(levels) + 1
    structures = tuple(Structure(StructureKind.VERTEBRA, one.name, one.level) for one in vertebrae)
    structures += (Structure(StructureKind.DISC, "Disc 1"),)
    return analysis(series_uid, labels, structures, *vertebrae, notes=notes)


def test_vertebrae_without_an_anchor_take_their_names_from_another_series():
    lost, known = column("1.4", None, None, None, notes=(NO_ANCHOR,)), column("1.5", "C3", "C4", "C5")
    renamed, unchanged = with_levels_of_others([lost, known])
    shown = [segment.structure.name for segment in renamed.segmentation.segments]
    assert shown == ["C3 vertebra", "C4 vertebra", "C5 vertebra", "C3/C4 disc"]
    assert [one.tracking_id for one in renamed.segmentation.segments] == shown
    assert [one.anchor for one in renamed.segmentation.vertebrae] == [
        "counted from C2, carried over from another series"
    ] * 3
    assert NO_ANCHOR not in renamed.segmentation.notes
    assert unchanged is known


def test_two_series_that_disagree_are_both_left_without_levels():
    one, other = column("1.4", "C3", "C4", "C5"), column("1.5", "C4", "C5", "C6")
    for item in with_levels_of_others([one, other]):
        assert [vertebra.level for vertebra in item.segmentation.vertebrae] == [None, None, None]
        assert "the levels of two series disagree and are withheld" in item.segmentation.notes
        assert [one.structure.name for one in item.segmentation.segments] == ["V1", "V2", "V3", "Disc 1"]

"""Sources as scanners and archives make them, from the file to SEG and SR: what was found lies where it was found.

Every series holds the same cord of known voxels; a predictor that reads it from the voxel values stands for a model.
"""

import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from dicom_ai.analysis.batch import Batch
from dicom_ai.analysis.identities import plan_identities
from dicom_ai.analysis.series import analyse_series
from dicom_ai.analysis.study import report_study
from dicom_ai.dicom.headers import read_paths
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.errors import UnsuitableGeometry
from dicom_ai.routing.rule import parse_rules
from tests import builders
from tests.integration.validators import in_order
from tests.peers import need_program
from tests.predictors import FULL, BrightCord, OneModel

CREATED = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


def cord(shape: tuple[int, int, int] = (12, 32, 40)) -> np.ndarray:
    """Return an image with a cord that is not symmetric in any direction."""
    voxels = np.zeros(shape, np.uint16)
    for index in range(1, shape[0] - 1):
        voxels[index, 8 : 16 + index % 3, 10 : 19 + index // 3] = int(FULL)
    return voxels


def compressed(syntax: str) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        series = builders.mr_series(cord())
        for one in series:
            one.compress(syntax)
        return builders.write(series, folder)

    return write


def jpeg_lossless(folder: Path) -> list[Path]:
    program = need_program("dcmcjpeg", package="dcmtk")
    packed = []
    for path in builders.write(builders.mr_series(cord()), folder / "plain"):
        packed.append(folder / path.name)
        subprocess.run([program, "+e1", path, packed[-1]], check=True, capture_output=True)
    return packed


def written(make: Callable[[], Sequence[Dataset] | Dataset]) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        made = make()
        return builders.write(made if isinstance(made, Dataset) else list(made), folder)

    return write


SOURCES: dict[str, Callable[[Path], list[Path]]] = {
    "Enhanced MR": written(lambda: builders.enhanced_mr(cord())),
    "Enhanced MR in another order": written(
        lambda: builders.enhanced_mr(cord(), frame_order=(11, 0, 10, 1, 9, 2, 8, 3, 7, 4, 6, 5))
    ),
    "JPEG 2000": compressed(JPEG2000Lossless),
    "JPEG-LS": compressed(JPEGLSLossless),
    "RLE": compressed(RLELossless),
    "JPEG Lossless": jpeg_lossless,
    "oblique": written(lambda: builders.mr_series(cord(), directions=builders.oblique("axial", angle_deg=25))),
    "anisotropic": written(lambda: builders.mr_series(cord(), spacing_mm=(3.3, 0.4, 0.9))),
    "gapped": written(lambda: builders.mr_series(cord(), spacing_mm=(6.0, 0.7, 0.7), SliceThickness="3.0")),
    "reversed": written(lambda: list(reversed(builders.mr_series(cord())))),
    "sagittal": written(lambda: builders.mr_series(cord(), plane="sagittal", spacing_mm=(0.9, 0.9, 0.9))),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_what_was_found_lies_where_it_was_found(kind, tmp_path):
    (series,) = read_paths(SOURCES[kind](tmp_path / "in")).series
    analysis = analyse_series(series, BrightCord())
    out = tmp_path / "out"
    out.mkdir()
    identities = plan_identities([analysis], run=1, created_at=CREATED)
    report_study([analysis], [], identities=identities, out=out, complete=True)

    seg = hd.seg.segread(next(out.glob("*seg.dcm")))
    volume = seg.get_volume(combine_segments=True)
    found = volume.map_indices_to_reference(np.argwhere(volume.array == 1))
    expected = analysis.source.image.to_mm(np.argwhere(analysis.source.image.voxels >= FULL / 2))
    assert len(expected) == np.count_nonzero(cord())
    assert np.array_equal(in_order(found), in_order(expected))
    sources = {str(dcmread(instance.path, stop_before_pixels=True).SOPInstanceUID) for instance in series.instances}
    report = read_sr(out / "sr.dcm", [analysis.source])
    assert report.findings
    assert all(finding.contour is not None for finding in report.findings)
    named = {str(e.value) for e in seg.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
    assert named <= sources


def test_two_stacks_in_one_series_are_refused_with_the_reason(tmp_path):
    axial = builders.mr_series(cord(), series_uid="1.2.826.1")
    tilted = builders.mr_series(
        cord(),
        series_uid="1.2.826.1",
        study_uid=axial[0].StudyInstanceUID,
        directions=builders.oblique("axial", angle_deg=30),
    )
    (series,) = read_paths(builders.write([*axial, *tilted], tmp_path)).series

    with pytest.raises(UnsuitableGeometry, match=r"mixed orientations: axial slices up to 30\.0 degrees apart"):
        analyse_series(series, BrightCord())


def test_a_study_of_fifteen_series_gets_a_seg_for_each_and_one_report(tmp_path):
    study = "1.2.826.0.1.15"
    for number in range(15):
        series = builders.mr_series(
            cord(), study_uid=study, series_uid=f"{study}.{number + 1}", SeriesNumber=number + 1
        )
        builders.write(series, tmp_path / "in" / str(number))
    rule = {"name": "all", "model": "bright-cord", "take": "all", "all": [{"keyword": "Modality", "equals": "MR"}]}

    rows = Batch(OneModel(BrightCord()), tmp_path / "out", rules=parse_rules({"rule": [rule]})).run([tmp_path / "in"])

    assert [row.state for row in rows] == ["done"] * 15
    objects = [dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
    segs = [one for one in objects if one.Modality == "SEG"]
    (report,) = [one for one in objects if one.Modality == "SR"]
    assert len({seg.ReferencedSeriesSequence[0].SeriesInstanceUID for seg in segs}) == 15
    assert len({one.SeriesInstanceUID for one in objects}) == len({one.SeriesNumber for one in objects}) == 16
    assert {finding.series_uid for finding in read_sr(report).findings} == {f"{study}.{n + 1}" for n in range(15)}

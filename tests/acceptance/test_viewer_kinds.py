"""What OHIF makes of results that are rare: many segments, a level that failed, a radiograph, nothing found at all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_ai.dicom.seg_reader import segments_of
from dicom_ai.dicom.seg_writer import write_seg
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.domain.findings import Quality, Quantity, Segmentation
from dicom_ai.domain.prior import Change
from dicom_ai.domain.result import ResultKind
from dicom_ai.measurements.vertebrae import vertebra_findings
from tests import builders
from tests.acceptance.archives import orthanc
from tests.acceptance.lumbar import BODY_MM, SPACING_MM, lumbar
from tests.acceptance.ohif import drawn_numbers, is_color, look, ohif
from tests.peers import free_port
from tests.unit.dicom import results

LEVELS = ("C3", "C4", "C5", "C6", "C7")
SHAPE = (9, 64, 64)
LUMBAR = lumbar()


def spine_labels() -> np.ndarray:
    """Return five boxes of five sizes, one below the other, in all slices but the outer ones."""
    labels = np.zeros(SHAPE, np.uint8)
    for number in range(1, len(LEVELS) + 1):
        labels[1:-1, 12 * number - 8 : 12 * number, 20 : 30 + 2 * number] = number
    return labels


@pytest.fixture(scope="module")
def viewed(tmp_path_factory):
    """An archive with a neck, a radiograph and their results, and OHIF in front of it."""
    folder: Path = tmp_path_factory.mktemp("kinds")
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint16) * 16, SHAPE).copy()
    neck = results.read(builders.mr_series(ramp, plane="sagittal"), folder / "neck")
    lateral = builders.radiograph(LUMBAR.film, PatientOrientation=["P", "F"], SeriesDescription="L-SPINE LAT")
    film = results.read(lateral, folder / "film")
    sagittal = builders.mr_series(
        LUMBAR.voxels, plane="sagittal", spacing_mm=SPACING_MM, SeriesDescription="t2_tse_sag"
    )
    back = results.read(sagittal, folder / "back")
    found = LUMBAR.segmentation(back.source.image)
    segments = results.segments(*(results.vertebra(level) for level in LEVELS))
    bodies = vertebra_findings(back.source, found)
    empty = (Quantity("height_middle", None, "its outline has no four sides"),)
    failed = replace(bodies[2], quantities=empty, quality=Quality.FAIL, contour=None)
    written = {
        "seg": write_seg(
            neck.series,
            neck.source,
            Segmentation(spine_labels(), segments, 0.9),
            identity=results.identity(ResultKind.SEG),
            model=results.MODEL,
        ),
        "failed": results.report(back, bodies[1], failed, complete=False),
        "nothing": results.report(neck, notes=["no cord found"]),
        "prior": results.report(neck, results.compared(neck, "C4", Change.SMALLER)),
        "film": results.report(film, *LUMBAR.outlined(film.series.series_uid)),
        "lumbar-seg": write_seg(
            back.series, back.source, found, identity=results.identity(ResultKind.SEG), model=results.MODEL
        ),
        "lumbar": results.report(back, *bodies),
    }
    origins = {**dict.fromkeys(written, neck), "film": film, **dict.fromkeys(("lumbar-seg", "lumbar", "failed"), back)}
    for name, dataset in written.items():
        dataset.save_as(folder / f"{name}.dcm", enforce_file_format=True)
    with orthanc(folder / "orthanc", node_port=free_port()) as archive:
        archive.upload([path for path in folder.rglob("*.dcm") if "orthanc" not in path.parts])
        with ohif(archive.url) as address:
            yield address, {name: (dataset, origins[name]) for name, dataset in written.items()}


def seen(viewed, name: str, picture: Path) -> tuple[Dataset, dict]:
    address, written = viewed
    dataset, source = written[name]
    series = [source.series.series_uid, dataset.SeriesInstanceUID]
    found = look(
        address, study=source.series.study_uid, series=series, first=dataset.SeriesInstanceUID, picture=picture
    )
    assert (found["errors"], found["outside"]) == ([], [])
    return dataset, found


def test_every_segment_of_a_spine_has_its_name_and_its_voxels(viewed, tmp_path):
    _, found = seen(viewed, "seg", tmp_path / "seg.png")

    (shown,) = found["segmentations"]
    labels = spine_labels()
    assert shown["segments"] == {str(n): f"{level} vertebra" for n, level in enumerate(LEVELS, 1)}
    assert shown["voxels"] == {str(n): int((labels == n).sum()) for n in range(1, len(LEVELS) + 1)}


def test_every_structure_of_a_lumbar_spine_has_its_name_and_its_voxels(viewed, tmp_path):
    seg, found = seen(viewed, "lumbar-seg", tmp_path / "lumbar-seg.png")

    (shown,) = found["segmentations"]
    written = segments_of(seg)
    assert all(is_color(shown["colors"][str(one.number)], one, written) for one in written)
    assert shown["segments"] == {str(one.SegmentNumber): str(one.SegmentLabel) for one in seg.SegmentSequence}
    assert shown["voxels"] == {str(n): int((LUMBAR.labels == n).sum()) for n in range(1, 11)}


def test_every_body_and_disc_of_the_lumbar_report_is_shown(viewed, tmp_path):
    dataset, found = seen(viewed, "lumbar", tmp_path / "lumbar.png")

    (report,) = found["reports"]
    findings = read_sr(dataset).findings
    assert len(report["measurements"]) == len(findings) >= 9
    for one, drawn in zip(findings, report["measurements"], strict=True):
        assert set(drawn_numbers(one)) <= set(drawn["labels"])
    heights = [item.value for one in findings for item in one.quantities if item.key == "height_middle"]
    assert heights == pytest.approx([2 * BODY_MM[1]] * 5, abs=1.0)


def test_a_report_with_a_failed_level_still_shows_the_others(viewed, tmp_path):
    dataset, found = seen(viewed, "failed", tmp_path / "failed.png")

    (report,) = found["reports"]
    assert len(report["measurements"]) == 2
    assert set(drawn_numbers(read_sr(dataset).findings[0])) <= set(report["measurements"][0]["labels"])


def test_a_change_since_a_prior_is_drawn_beside_the_mean(viewed, tmp_path):
    _, found = seen(viewed, "prior", tmp_path / "prior.png")

    (report,) = found["reports"]
    drawn = report["measurements"][0]["labels"][:4]
    assert [label.partition(":")[0] for label in drawn] == [
        "Mean CSA over C4",
        "Change of mean CSA over C4",
        "Percent change of CSA over C4",
        "Prior mean CSA over C4",
    ]
    assert drawn[1].startswith("Change of mean CSA over C4: -2.7")


def test_a_report_without_findings_is_shown_as_text(viewed, tmp_path):
    _, found = seen(viewed, "nothing", tmp_path / "nothing.png")

    (report,) = found["reports"]
    assert not report["measurementReport"]
    assert "no cord found" in found["text"]


def test_the_report_of_a_radiograph_shows_its_vertebrae(viewed, tmp_path):
    dataset, found = seen(viewed, "film", tmp_path / "film.png")

    (report,) = found["reports"]
    findings = read_sr(dataset).findings
    assert [one.site for one in findings] == ["L1", "L2", "L3", "L4", "L5"]
    for one, drawn in zip(findings, report["measurements"], strict=True):
        assert set(drawn_numbers(one)) <= set(drawn["labels"])

"""A study forwarded by a real archive comes back as one SEG per model and one SR, in both sizes of the node."""

import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicom_ai.demo.compare import compare
from dicom_ai.demo.study import NeckStudy
from dicom_ai.dicom.headers import read_paths
from dicom_ai.dicom.series_reader import read_volume
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.domain.findings import Quantity
from tests import builders
from tests.acceptance.archives import (
    DCMTK_AE_TITLE,
    ORTHANC_AE_TITLE,
    Orthanc,
    dcmqrscp,
    orthanc,
    wait_for,
)
from tests.acceptance.nodes import AE_TITLE, SIZES, new_port, node
from tests.peers import need_program
from tests.unit.dicom import results as made

LONGEST_S = 240
MADE = ["AI Spinal cord (RUO)", "AI Spine (RUO)", "AI report (RUO)"]
"""What a sagittal neck gets: a SEG of each of two models, and one report."""


def results_in(archive: Orthanc) -> list[Dataset]:
    found = [*archive.find(Modality="SEG"), *archive.find(Modality="SR")]
    return [dcmread(BytesIO(archive.file(item["ID"]))) for item in found]


def assert_right(results: list[Dataset], neck: NeckStudy) -> None:
    """One SEG per model, one SR of the study, and every CSA near the phantom's."""
    assert sorted(item.SeriesDescription for item in results) == MADE
    assert {item.StudyInstanceUID for item in results} == {neck.study_uid}
    assert {item.PatientID for item in results} == {"PHANTOM-NECK"}
    sources = [read_volume(series) for series in read_paths(neck.files).series]
    report = read_sr(next(item for item in results if item.Modality == "SR"), sources)
    rows = compare(report, sources, neck.truth)
    assert [row for row in rows if row.measured_mm2 is not None]
    assert [row for row in rows if not row.within] == []


def earlier_report(folder: Path) -> Path:
    """Write a report of the same patient, made two years ago: 80.0 mm2 at C3."""
    who = {"PatientID": "PHANTOM-NECK", "PatientBirthDate": "19900101", "PatientSex": "O"}
    image = made.read(builders.mr_series(StudyDate="20240105", **who), folder / "before")
    report = made.report(image, made.finding(image, "C3", "C3", quantities=(Quantity("csa_mean", 80.0),)))
    path = folder / "earlier.dcm"
    report.save_as(path, enforce_file_format=True)
    return path


def assert_compared(results: list[Dataset]) -> None:
    """C3 stands beside the earlier report, and nothing else does."""
    report = read_sr(next(item for item in results if item.Modality == "SR"))
    compared = {one.site: one for one in report.findings if one.change is not None}
    assert list(compared) == ["C3"]
    numbers = {item.key: item.value for item in compared["C3"].quantities}
    assert numbers["csa_prior"] == 80.0
    assert numbers["csa_change"] == pytest.approx((numbers["csa_mean"] or 0) - 80.0, abs=0.05)
    assert "compared with the examination of 2024-01-05 at C3" in report.notes


@pytest.mark.parametrize("size", SIZES)
def test_orthanc_forwards_a_study_and_gets_seg_and_sr_back(size, neck, tmp_path):
    port = new_port()
    earlier = earlier_report(tmp_path)
    with (
        orthanc(tmp_path / "orthanc", node_port=port) as archive,
        node(
            size,
            tmp_path / "node",
            port=port,
            archive_port=archive.port,
            archive_ae_title=ORTHANC_AE_TITLE,
            extra=["[prior]", 'archive = "pacs"'],
        ) as running,
    ):
        archive.upload([earlier, *neck.files])
        wait_for(lambda: len(results_in(archive)) > len(MADE), timeout_s=LONGEST_S, named="the results")
        results = [item for item in results_in(archive) if item.StudyInstanceUID == neck.study_uid]

    assert_right(results, neck)
    assert_compared(results)
    assert "Phantom^Neck" not in running.log
    assert "PHANTOM-NECK" not in running.log


def test_dcmtks_archive_gets_seg_and_sr_back(neck, tmp_path):
    port = new_port()
    with (
        dcmqrscp(tmp_path / "dcmqrscp", node_port=port) as archive_port,
        node(SIZES[0], tmp_path / "node", port=port, archive_port=archive_port, archive_ae_title=DCMTK_AE_TITLE),
    ):
        _send_with_dcmtk(neck.files, archive_port, called=DCMTK_AE_TITLE)  # else the study is unknown there
        _send_with_dcmtk(neck.files, port, called=AE_TITLE)
        store = tmp_path / "dcmqrscp" / "store"
        wait_for(lambda: len(_objects(store)) >= len(MADE), timeout_s=LONGEST_S, named="SEG and SR in dcmtk's archive")
        results = _objects(store)

    assert_right(results, neck)


def _send_with_dcmtk(files: tuple[Path, ...], port: int, *, called: str) -> None:
    program = need_program("dcmsend", package="dcmtk")
    command = [program, "-aet", DCMTK_AE_TITLE, "-aec", called, "127.0.0.1", str(port), *files]
    subprocess.run(command, check=True, capture_output=True)


def _objects(folder: Path) -> list[Dataset]:
    """Return what is in dcmtk's archive beside the images."""
    stored = [dcmread(path) for path in folder.iterdir() if path.is_file() and path.name != "index.dat"]
    return [dataset for dataset in stored if dataset.Modality != "MR"]

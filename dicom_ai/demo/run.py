"""The demo: archive and node in one process, a study forwarded by C-STORE, results awaited by C-STORE."""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydicom import dcmread

from dicom_ai import settings
from dicom_ai.analysis.series import read_source
from dicom_ai.app import configure_log
from dicom_ai.demo.archive import AE_TITLE as ARCHIVE
from dicom_ai.demo.archive import DemoArchive
from dicom_ai.demo.study import NeckStudy, write_neck_study
from dicom_ai.demo.watch import Say, StudyOutcome, Watch
from dicom_ai.dicom.headers import Scan, read_paths
from dicom_ai.domain.image import SourceImage
from dicom_ai.errors import RejectedInput, Unavailable
from dicom_ai.node import Node
from dicom_ai.settings import Settings

NODE = "DICOM_AI"
LONGEST_WAIT_S = 900.0


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What came back.

    received: the files the archive got from the node; problems: what did not come back, and why. sources: the images
    that were forwarded; names: their series UIDs -> what people call them.
    """

    received: tuple[Path, ...]
    problems: tuple[str, ...]
    sources: tuple[SourceImage, ...] = field(repr=False)
    names: Mapping[str, str] = field(repr=False)
    study: NeckStudy | None = field(default=None, repr=False)


def run_demo(*, say: Say, out: Path, folder: Path | None = None) -> DemoResult:
    """Run the node on a synthetic study, or on the DICOM files under a folder, and wait for the results.

    out: received objects are kept here. Raises RejectedInput where the folder holds no DICOM image, and Unavailable
    where nothing came back in time.
    """
    with tempfile.TemporaryDirectory(prefix="dicom-ai-demo-") as name:
        work = Path(name)
        study = None
        if folder is None:
            study = write_neck_study(work / "scanner", now=datetime.now().astimezone())
            say("write", f"a synthetic neck: {len(study.files)} MR images whose cord area is known in closed form")
        scan = read_paths([folder or work / "scanner"])
        files = [instance.path for series in scan.series for instance in series.instances if instance.path]
        if not files:
            raise RejectedInput(f"{folder}: no DICOM image was found")
        with DemoArchive(work / "archive") as archive:
            node_settings = _settings(work / "node", archive.port)
            configure_log(node_settings)
            node = Node(node_settings, rules_on=True)
            node.start()
            try:
                say("start", node.description)
                outcomes = _forwarded(archive, node, scan, files, say)
                received = _delivered(archive, outcomes, say)
            finally:
                node.stop()
        sources = _images(scan)
        received = _kept(received, out)
    problems = [problem for outcome in outcomes for problem in outcome.problems]
    return DemoResult(received, tuple(problems), sources, _names(scan), study)


def _settings(folder: Path, archive_port: int) -> Settings:
    destination: dict[str, str | int | float | bool] = {
        "host": "127.0.0.1",
        "port": archive_port,
        "called_ae_title": ARCHIVE,
    }
    return Settings(
        node=settings.Node(ae_title=NODE, address="127.0.0.1", port=0),
        peers=(settings.Peer(ae_title=ARCHIVE, addresses=("127.0.0.1",)),),
        destinations=(settings.DestinationSettings(name="pacs", kind="c_store", parameters=destination),),
        storage=settings.Storage(data_dir=folder, reserve_bytes=0),
        brakes=settings.Brakes(max_study_age_days=0, rule_rate_factor=0),
        # Nothing more is coming, and the demo knows it; a node beside a PACS waits longer.
        timing=settings.Timing(series_quiet_s=1.0, study_quiet_s=2.0, clock_s=0.5, token_gap_s=1.0),
        log=settings.Log(level="error"),
    )


def _forwarded(archive: DemoArchive, node: Node, scan: Scan, files: Sequence[Path], say: Say) -> list[StudyOutcome]:
    started = time.monotonic()
    archive.forward(files, port=node.port, ae_title=NODE)
    say("receive", f"{len(files)} images acknowledged in {time.monotonic() - started:.1f} s")
    names = _names(scan)
    studies = dict.fromkeys(series.study_uid for series in scan.series)
    watches = [Watch(node.app.database, study_uid, names, say) for study_uid in studies]
    deadline = started + LONGEST_WAIT_S
    outcomes: dict[str, StudyOutcome] = {}
    while len(outcomes) < len(watches):
        for watch in watches:
            outcome = watch.look() if watch.study_uid not in outcomes else None
            if outcome is not None:
                outcomes[watch.study_uid] = outcome
        if time.monotonic() > deadline:
            raise Unavailable(f"the node had not reported every study after {LONGEST_WAIT_S:.0f} s")
        time.sleep(0.2)
    return list(outcomes.values())


def _delivered(archive: DemoArchive, outcomes: Sequence[StudyOutcome], say: Say) -> tuple[Path, ...]:
    """Wait until the archive holds every object that was made."""
    expected = {uid for outcome in outcomes for uid in outcome.expected}
    deadline = time.monotonic() + LONGEST_WAIT_S
    while expected - {path.stem for path in archive.files}:
        if time.monotonic() > deadline:
            raise Unavailable("the archive did not receive every result in time")
        time.sleep(0.1)
    say("send", f"{len(expected)} objects came back by C-STORE")
    return tuple(path for path in archive.files if path.stem in expected)


def _kept(received: Sequence[Path], out: Path) -> tuple[Path, ...]:
    """Copy what came back into the folder for results, under names that say what it is; replace an earlier demo's."""
    out.mkdir(parents=True, exist_ok=True)
    for old in (*out.glob("seg-*.dcm"), *out.glob("sr-*.dcm"), *out.glob("overlay-*.png")):
        old.unlink()
    counts: Counter[str] = Counter()
    kept = []
    for path in received:
        modality = str(dcmread(path, specific_tags=["Modality"]).Modality).lower()
        counts[modality] += 1
        kept.append(out / f"{modality}-{counts[modality]}.dcm")
        shutil.copyfile(path, kept[-1])
    return tuple(kept)


def _images(scan: Scan) -> tuple[SourceImage, ...]:
    images = []
    for series in scan.series:
        with suppress(RejectedInput):  # the node has said why such a series has no result
            images.append(read_source(series))
    return tuple(images)


def _names(scan: Scan) -> dict[str, str]:
    described = {series.series_uid: series.header.get("SeriesDescription") for series in scan.series}
    return {uid: element.text if element and element.text else f"…{uid[-12:]}" for uid, element in described.items()}

"""How soon, and how rightly, a study counts as complete, on traces of forwarding: by evidence and by quiet times alone.

Images of three synthetic series come over simulated associations at simulated times; the clock is turned by hand, and
the node's own code decides (storage, pipeline.evidence). Printed, by trace and by what the node may know (nothing: the
quiet times): seconds from the last image until a series may be analysed and the study reported (medians), analyses
begun before the last image of their series, and reports begun while a series that had begun, or one of the study, was
not whole.

python benchmarks/completion.py [--seeds 3]
"""

import argparse
import logging
import random
import statistics
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path

import structlog
from pydicom import Dataset

from dicom_ai.domain.announcement import COMPLETED, IN_PROGRESS, Announcement
from dicom_ai.domain.received import ReceivedInstance
from dicom_ai.pipeline import evidence as looking
from dicom_ai.pipeline.evidence import Observer
from dicom_ai.storage import associations, evidence, schema, studies
from dicom_ai.storage.database import Database
from dicom_ai.storage.files import FileStore
from tests import builders

SERIES_QUIET_S, STUDY_QUIET_S, STALE_S, LIMIT_S = 30.0, 600.0, 180.0, 3600.0
TICK_S = 2.0
START = 1_800_000_000.0
HABIT_STUDIES = 3
"""Studies that a sender has sent before, in the same way, so that its habit can be known."""

SIZES = (14, 18, 24)


@dataclass(frozen=True)
class Image:
    """An image of a trace. made_s: when it was acquired, in seconds after the first one."""

    series: int
    number: int
    made_s: float


@dataclass(frozen=True)
class Step:
    """Something that happens. open, image, release, abort; or step: a procedure step begins or is completed."""

    at_s: float
    what: str
    association: str = ""
    sender: str = "PACS"
    image: Image | None = None


Trace = Callable[[random.Random], list[Step]]


def all_images(spacing_s: float = 1.0) -> list[Image]:
    """Return the images of a study in the order in which they are made; minutes between the series."""
    found, at = [], 0.0
    for series, size in enumerate(SIZES):
        for number in range(size):
            found.append(Image(series, number, at))
            at += spacing_s
        at += 150.0
    return found


def over(images: Sequence[Image], times: Sequence[float], *, sender: str = "PACS", end: str = "release") -> list[Step]:
    """Send images at times over one association."""
    name = uuid.uuid4().hex
    steps = [Step(times[0] - 0.2, "open", name, sender)]
    steps += [Step(at, "image", name, sender, image) for image, at in zip(images, times, strict=True)]
    return [*steps, Step(times[-1] + 0.3, end, name, sender)]


def bursty(rng: random.Random) -> list[Step]:
    """A stored study, one association per series, in bursts with pauses of up to 12 s between them."""
    steps, at = [], 0.0
    for series in range(len(SIZES)):
        images = [image for image in all_images() if image.series == series]
        times = []
        for position in range(len(images)):
            at += rng.uniform(0.02, 0.2) if position % 5 else rng.uniform(1, 12)
            times.append(at)
        steps += over(images, times)
        at += rng.uniform(2, 20)
    return steps


def one_each(rng: random.Random) -> list[Step]:
    """A stored study, one association per image, 0.2 to 8 s apart."""
    steps, at = [], 0.0
    for image in all_images():
        at += rng.uniform(0.5, 8)
        steps += over([image], [at])
    return steps


def paused(rng: random.Random) -> list[Step]:
    """A stored study; the sender pauses in the middle of each series, and goes on over a new association."""
    steps, at = [], 0.0
    for series in range(len(SIZES)):
        images = [image for image in all_images() if image.series == series]
        middle = rng.randrange(4, len(images) - 4)
        for part in (images[:middle], images[middle:]):
            times = [at + 0.1 * (position + 1) for position in range(len(part))]
            steps += over(part, times)
            at = times[-1] + rng.uniform(5, 28)
    return steps


def long_paused(rng: random.Random) -> list[Step]:
    """As paused, and the pauses are longer than the quiet time of a series: 35 to 120 s."""
    steps, at = [], 0.0
    for step in paused(rng):
        if step.what == "open" and at:
            at += rng.uniform(30, 92)
        steps.append(Step(step.at_s + at, step.what, step.association, step.sender, step.image))
        at = at or 1e-9
    return steps


def interrupted(rng: random.Random) -> list[Step]:
    """A stored study, each series over one association; the sender stops in the last one for 11 to 20 minutes."""
    steps, at = [], 0.0
    for series in range(len(SIZES)):
        images = [image for image in all_images() if image.series == series]
        middle = rng.randrange(6, len(images) - 4) if series == len(SIZES) - 1 else len(images)
        for part in filter(None, (images[:middle], images[middle:])):
            times = [at + 0.1 * (position + 1) for position in range(len(part))]
            steps += over(part, times)
            at = times[-1] + (rng.uniform(660, 1200) if len(part) < len(images) else 3)
    return steps


def out_of_order(rng: random.Random) -> list[Step]:
    """A stored study, the images of all series mixed, over one association, with gaps of up to 6 s."""
    images = all_images()
    rng.shuffle(images)
    at, times = 0.0, []
    for _ in images:
        at += rng.uniform(0.05, 0.3) if rng.random() < 0.9 else rng.uniform(2, 6)
        times.append(at)
    return over(images, times)


def two_senders(rng: random.Random) -> list[Step]:
    """A stored study, each series from two nodes at once, one of them slower and later."""
    steps, at = [], 0.0
    for series in range(len(SIZES)):
        images = [image for image in all_images() if image.series == series]
        late = rng.uniform(1, 20)
        steps += over(images[::2], [at + 0.2 * (n + 1) for n in range(len(images[::2]))], sender="PACS")
        steps += over(images[1::2], [at + late + 0.6 * (n + 1) for n in range(len(images[1::2]))], sender="GATE")
        at += late + 0.6 * len(images) / 2 + rng.uniform(3, 15)
    return steps


def broken(rng: random.Random) -> list[Step]:
    """A stored study; each association breaks in the middle of its series, and the sender comes back within 25 s."""
    steps, at = [], 0.0
    for series in range(len(SIZES)):
        images = [image for image in all_images() if image.series == series]
        middle = rng.randrange(5, len(images) - 4)
        times = [at + 0.1 * (n + 1) for n in range(middle)]
        steps += over(images[:middle], times, end="abort")
        at = times[-1] + rng.uniform(3, 25)
        times = [at + 0.1 * (n + 1) for n in range(len(images) - middle)]
        steps += over(images[middle:], times)
        at = times[-1] + 3
    return steps


def live(rng: random.Random) -> list[Step]:
    """A study being made: each image goes on when it is made, with pauses of up to 24 s; minutes between series."""
    steps = []
    for series in range(len(SIZES)):
        images = [image for image in all_images() if image.series == series]
        lag, times = 0.0, []
        for image in images:
            lag += rng.uniform(4, 24) if rng.random() < 0.15 else 0.0
            times.append(image.made_s + lag + 0.5)
        steps += over(images, times)
    return steps


TRACES: dict[str, Trace] = {
    "bursty": bursty,
    "one association per image": one_each,
    "paused 5-28 s": paused,
    "paused 35-120 s": long_paused,
    "interrupted 11-20 min": interrupted,
    "out of order": out_of_order,
    "two senders": two_senders,
    "broken and resumed": broken,
    "live from the scanner": live,
}
KNOWLEDGE = ("habit", "count", "mpps")
"""What the node may know beside the quiet times: how the sender sent three studies before; also the archive's count; or
also an MPPS that is completed, and names all images, when half of them have come."""

COLUMNS = (
    "trace",
    "known",
    "series ready after (s)",
    "study ready after (s)",
    "early analyses",
    "reports on part of a series",
    "on part of the study",
)


@dataclass
class Outcome:
    """What became of a trace. series_s, study_s: from the last image to readiness."""

    series_s: list[float] = field(default_factory=list)
    study_s: float = 0.0
    early_analyses: int = 0
    on_part_of_a_series: int = 0
    on_part_of_the_study: int = 0


class Node:
    """Reception, routing and the decision to report, on simulated time."""

    def __init__(self, folder: Path, knowledge: str) -> None:
        self.at = START
        self.knowledge = knowledge
        self.database = Database(f"sqlite:///{folder / 'node.db'}", clock=lambda: self.at)
        schema.upgrade(self.database)
        self.files = FileStore(folder / "data")
        self.sent: dict[str, list[str]] = {}
        self.counted: dict[str, Mapping[str, int]] = {}
        count = (lambda study_uid: self.counted.get(study_uid, {})) if knowledge == "count" else None
        self.observer = Observer(self.database, self.files.path, count, STUDY_QUIET_S, STALE_S)

    def play(self, trace: list[Step], *, stored: bool) -> Outcome:
        """Play a trace to its end and until the whole study may be reported."""
        study = f"1.2.826.9.{uuid.uuid4().int % 10**12}"
        begin = self.at
        made_at = begin - 3 * 86_400 if stored else begin
        steps = sorted(trace, key=lambda step: step.at_s)
        files = {image: data for image, data in _files(study, made_at)}
        total = {_series(study, series): size for series, size in enumerate(SIZES)}
        self.counted[study] = total if stored else {}
        if self.knowledge == "mpps":
            self._announce(Announcement(study, step=f"{study}.99", state=IN_PROGRESS))
        half = len(steps) // 2
        outcome, came = Outcome(), dict.fromkeys(total, 0)
        last_image = {uid: 0.0 for uid in total}
        ready: dict[str, float] = {}
        while steps or not ready.get(""):
            self.at += TICK_S
            while steps and begin + steps[0].at_s <= self.at:
                step = steps.pop(0)
                moment, self.at = self.at, begin + step.at_s
                if uid := self._step(step, study, files):
                    came[uid] += 1
                    last_image[uid] = self.at
                    self.counted[study] = total if stored else dict(came)
                self.at = moment
                if len(steps) == half and self.knowledge == "mpps":
                    self._announce(_completed(study, files))
            self._tick(study, total, came, ready, outcome)
        outcome.series_s = [ready[uid] - last_image[uid] for uid in total]
        outcome.study_s = ready[""] - max(last_image.values())
        return outcome

    def _tick(
        self, study: str, total: Mapping[str, int], came: Mapping[str, int], ready: dict[str, float], outcome: Outcome
    ) -> None:
        if self.knowledge != "nothing":
            while looking.run(self.observer):
                pass
        with self.database.write() as session:
            if study in studies.unrouted(session, quiet_s=SERIES_QUIET_S):
                for one in studies.series_of(session, study):
                    if not one.routed and (one.evidence or one.last_received_at <= self.at - SERIES_QUIET_S):
                        studies.mark_routed(session, one, facts=None)
                        outcome.early_analyses += came[one.series_uid] < total[one.series_uid]
                        ready[one.series_uid] = self.at
            if not any(came.values()) or not studies.is_quiet(
                session, study, quiet_s=STUDY_QUIET_S, stale_s=STALE_S, limit_s=LIMIT_S
            ):
                ready.pop("", None)
                return
        if "" in ready:
            return
        ready[""] = self.at
        outcome.on_part_of_a_series += any(0 < came[uid] < total[uid] for uid in total)
        outcome.on_part_of_the_study += any(came[uid] < total[uid] for uid in total)

    def _step(self, step: Step, study: str, files: Mapping[tuple[int, int], tuple[Dataset, bytes]]) -> str:
        with self.database.write() as session:
            if step.what == "open":
                names = {"calling_ae_title": step.sender, "called_ae_title": "A", "peer_address": "127.0.0.1"}
                associations.opened(session, step.association, listener="L", **names)
            elif step.what in ("release", "abort"):
                associations.closed(session, step.association, released=step.what == "release")
            elif step.image is not None:
                dataset, data = files[step.image.series, step.image.number]
                path = f"received/{study}/{dataset.SOPInstanceUID}.dcm"
                self.files.save(data, path)
                studies.record_instance(session, _received(dataset, path, step, self.at))
                associations.delivered(session, step.association, study)
                return str(dataset.SeriesInstanceUID)
        return ""

    def _announce(self, said: Announcement) -> None:
        with self.database.write() as session:
            evidence.announce(session, said)


def _received(dataset: Dataset, path: str, step: Step, at: float) -> ReceivedInstance:
    return ReceivedInstance(
        study_uid=dataset.StudyInstanceUID,
        series_uid=dataset.SeriesInstanceUID,
        sop_instance_uid=dataset.SOPInstanceUID,
        sop_class_uid=dataset.SOPClassUID,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        sha256=uuid.uuid4().hex * 2,
        size_bytes=1,
        path=path,
        received_at=at,
        calling_ae_title=step.sender,
        association_id=step.association,
    )


def _series(study: str, number: int) -> str:
    return f"{study}.{number + 1}"


def _files(study: str, made_at: float) -> Iterator[tuple[tuple[int, int], tuple[Dataset, bytes]]]:
    made = {(image.series, image.number): image.made_s for image in all_images()}
    for series, size in enumerate(SIZES):
        datasets = builders.mr_series(
            builders.ramp((size, 8, 8)), study_uid=study, series_uid=_series(study, series), Modality="MR"
        )
        for number, dataset in enumerate(datasets):
            moment = datetime.fromtimestamp(made_at + made[series, number]).astimezone()
            dataset.TimezoneOffsetFromUTC = moment.strftime("%z")
            for what in ("Acquisition", "Content", "Series"):
                setattr(dataset, f"{what}Date", moment.strftime("%Y%m%d"))
                setattr(dataset, f"{what}Time", moment.strftime("%H%M%S"))
            buffer = BytesIO()
            dataset.save_as(buffer, enforce_file_format=True)
            yield (series, number), (dataset, buffer.getvalue())


def _completed(study: str, files: Mapping[tuple[int, int], tuple[Dataset, bytes]]) -> Announcement:
    series: dict[str, tuple[str, ...]] = {}
    for dataset, _ in files.values():
        uid = str(dataset.SeriesInstanceUID)
        series[uid] = (*series.get(uid, ()), str(dataset.SOPInstanceUID))
    return Announcement("", step=f"{study}.99", state=COMPLETED, series=series)


def measure(trace: Trace, knowledge: str, *, seed: int, stored: bool) -> Outcome:
    """Play a trace on a node of its own whose sender has sent other studies so before."""
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder), knowledge)
        for earlier in range(HABIT_STUDIES if knowledge != "nothing" else 0):
            node.play(trace(random.Random(1000 * seed + earlier)), stored=stored)
            node.at += 90_000
        outcome = node.play(trace(random.Random(seed)), stored=stored)
        node.database.close()
    return outcome


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="Play only traces whose name contains this.")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")
    for name, trace in TRACES.items():
        if arguments.only not in name:
            continue
        for knowledge in ("nothing", *KNOWLEDGE):
            stored = trace is not live
            outcomes = [measure(trace, knowledge, seed=seed, stored=stored) for seed in range(arguments.seeds)]
            series = statistics.median(one for outcome in outcomes for one in outcome.series_s)
            study = statistics.median(outcome.study_s for outcome in outcomes)
            early, part, whole = (
                sum(getattr(outcome, key) for outcome in outcomes)
                for key in ("early_analyses", "on_part_of_a_series", "on_part_of_the_study")
            )
            print(f"| {name} | {knowledge} | {series:.0f} | {study:.0f} | {early} | {part} | {whole} |", flush=True)


if __name__ == "__main__":
    main()

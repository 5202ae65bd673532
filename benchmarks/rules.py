"""How fast rules are tried on what the node has seen, and how long the editor takes to list what occurred.

    python -m benchmarks.rules --series 20000 [--database postgresql+psycopg://...]

Prints series per second of a dry run of the shipped rules against a changed one, with headers as long as those of a
scanner, and the time of the values that are offered for choice.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click

from dicom_ai.domain.study import Element
from dicom_ai.pipeline.dry_run import Bounds, try_rules
from dicom_ai.routing.candidate import Candidate, candidate_of, kept_header, kept_rest
from dicom_ai.routing.keywords import vr_by_keyword
from dicom_ai.routing.shipped import read_rules
from dicom_ai.storage import rules_values, schema
from dicom_ai.storage.database import Database
from dicom_ai.storage.tables import SeriesRow, StudyRow
from tests.unit.routing.headers import SAGITTAL, stack
from tests.unit.routing.non_spine import non_spine

PER_STUDY = 5
ELEMENTS = 150
"""Elements of a header; a scanner's have about so many that are text or numbers."""


def kinds(seed: int) -> list[Candidate]:
    """Return series of several kinds, with headers of usual length."""
    spine = [stack(f"t2_tse_sag C-spine {number}", SAGITTAL, BodyPartExamined="CSPINE") for number in range(10)]
    others = [series for _, series in non_spine(40, seed=seed)]
    filling = [name for name, vr in sorted(vr_by_keyword().items()) if vr in ("LO", "SH", "DS")][:ELEMENTS]
    found = []
    for one in map(candidate_of, [*spine, *others]):
        header = {name: Element(vr_by_keyword()[name], ("12.5",)) for name in filling} | dict(one.header)
        found.append(replace(one, header=header))
    return found


def seed_series(database: Database, many: int) -> None:
    """Keep what routing has seen of so many series, PER_STUDY to a study."""
    some = [(one.modality, kept_header(one), kept_rest(one)) for one in kinds(7)]
    for first in range(0, many, 5000):
        with database.write() as session:
            numbers = range(first, min(first + 5000, many))
            session.add_all(_study(number // PER_STUDY) for number in numbers if number % PER_STUDY == 0)
            session.flush()
            session.add_all(_series(number, *some[number % len(some)]) for number in numbers)


def _study(number: int) -> StudyRow:
    at = time.time() - number
    return StudyRow(
        study_uid=f"1.2.{number}",
        patient_id="",
        accession="",
        study_date="",
        first_received_at=at,
        last_received_at=at,
    )


def _series(number: int, modality: str, header: dict, rest: dict) -> SeriesRow:
    at = time.time() - number // PER_STUDY
    return SeriesRow(
        study_uid=f"1.2.{number // PER_STUDY}",
        series_uid=f"1.2.{number // PER_STUDY}.{number}",
        modality=modality,
        first_received_at=at,
        last_received_at=at,
        revision=1,
        routed_revision=1,
        facts=header,
        derived=rest,
    )


@click.command()
@click.option("--series", default=20_000, help="Series to try rules on.")
@click.option("--database", "url", default="", help="An empty database; default: SQLite in a folder that is removed.")
def main(series: int, url: str) -> None:
    """Seed a database, try a changed rule, and list values."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(url or f"sqlite:///{folder}/node.db")
        schema.upgrade(database)
        seed_series(database, series)
        before = read_rules()
        after = before.with_state("cord", "shadow")
        begun = time.perf_counter()
        trial = try_rules(database, Path, before, after, Bounds(0, most_s=3600))
        spent = time.perf_counter() - begun
        click.echo(f"dry run: {trial.series} series in {spent:.1f} s, {trial.series / spent:.0f} series/s")
        begun = time.perf_counter()
        found = rules_values.occurrences(database, ["Modality", "SeriesDescription", "plane"], days=30)
        click.echo(f"values: {found.series} series in {time.perf_counter() - begun:.2f} s")
        database.close()


if __name__ == "__main__":
    main()

"""Two versions of a model on the same study: one is on, the other in shadow."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_ai.analysis.measure import measure_study
from dicom_ai.domain.job import JobKind
from dicom_ai.pipeline import analyse, report, route, versions_of_models
from dicom_ai.storage import jobs, outbox, rules
from dicom_ai.storage.outbox import OutboxState
from tests.predictors import BrightCord
from tests.unit.analysis.test_cord import SAGITTAL, by_site, c3_and_c4, cord_analysis, number
from tests.unit.pipeline.lab import STUDY, Lab

MR = [{"keyword": "Modality", "equals": "MR"}]
SITE = "the cord seen"


class Shier(BrightCord):
    """Says of every voxel a fifth less cord than there is."""

    def predict(self, image, *, progress=None):  # type: ignore[no-untyped-def]
        darker = replace(image, image=replace(image.image, voxels=image.image.voxels * 0.8))
        return super().predict(darker, progress=progress)


def two_models(lab: Lab) -> None:
    """Report one study with cord on and cord-new in shadow, of which the second draws other areas."""
    lab.models = ("cord", "cord-new")
    both = [
        {"name": "cord", "model": "cord", "state": "on", "all": MR},
        {"name": "cord-new", "model": "cord-new", "state": "shadow", "all": MR},
    ]
    with lab.database.write() as session:
        rules.save(session, {"rule": both}, author="test", note="")
    lab.receive()
    lab.advance(60)
    route.run(lab.router)
    for _ in both:
        job = lab.claim("gpu")
        lab.predictor = Shier(job.model) if job.model == "cord-new" else BrightCord(job.model)
        analyse.run(lab.analyst, job)
    lab.advance(600)
    lab.begin_reports()
    report.run(lab.reporter, lab.claim("io"))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    two_models(lab)
    yield lab
    lab.database.close()


def test_both_give_numbers_and_only_one_is_sent(lab: Lab) -> None:
    found = lab.look(versions_of_models.compare, "cord", "cord-new")

    assert [study.study_uid for study in found.studies] == [STUDY]
    assert found.versions == {"cord": ("1.0 (000000000000)",), "cord-new": ("1.0 (000000000000)",)}
    assert [job.model for job in lab.look(jobs.all_of, STUDY) if job.kind is JobKind.ANALYSE] == ["cord", "cord-new"]
    assert lab.look(outbox.counts) == {OutboxState.WAITING: 2}


def test_a_fifth_less_cord_is_a_fifth_less_area(lab: Lab) -> None:
    found = lab.look(versions_of_models.compare, "cord", "cord-new")

    csa = found.agreements[0]
    (seen,) = [pair for pair in found.studies[0].compared.pairs if (pair.key, pair.site) == ("csa_mean", SITE)]
    assert csa.key == "csa_mean"
    assert (seen.one, seen.other, seen.percent) == pytest.approx((100, 80, -20))
    assert (csa.bias, csa.worst.difference) == pytest.approx((-20, -20))
    assert found.worst_in["csa_mean"].study_uid == STUDY


def test_models_that_never_met_have_nothing_to_compare(lab: Lab) -> None:
    found = lab.look(versions_of_models.compare, "cord", "another")

    assert (found.studies, found.agreements) == ((), ())


def test_a_model_in_shadow_takes_the_levels_of_the_models_beside_it(tmp_path: Path) -> None:
    cord = cord_analysis(tmp_path / "a", BrightCord("cord-new"), **SAGITTAL)
    spine = replace(cord_analysis(tmp_path / "b", c3_and_c4(), **SAGITTAL), measurements=("vertebrae",))
    spine = replace(spine, source=cord.source)

    (alone,) = measure_study([cord])
    (lent,) = measure_study([cord], [spine])

    assert "C3" not in by_site(alone)
    assert number(by_site(lent)["C3"], "csa_mean").value == pytest.approx(3.14159 * 4.8**2, rel=0.03)

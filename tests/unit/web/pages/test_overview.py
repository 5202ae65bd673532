import sqlalchemy as sa

from dicom_ai.app import App
from dicom_ai.storage import holds
from dicom_ai.storage.holds import HoldKind, NewHold
from dicom_ai.storage.tables import OutboxRow
from dicom_ai.web.application import create
from tests.unit.pipeline.lab import STUDY
from tests.unit.web.browser import Browser


def test_a_failure_comes_first(own_study: App) -> None:
    with own_study.database.write() as session:
        session.execute(sa.update(OutboxRow).values(state="failed"))

    text = Browser(create(own_study)).log_in("viewer").get("/").text

    assert text.index("4 results did not arrive; nothing is tried again by itself.") < text.index("Receiving")


def test_a_study_with_two_doubts_is_one_that_waits_for_a_decision(own_study: App) -> None:
    with own_study.database.write() as session:
        for kind in (HoldKind.FINDING, HoldKind.CONFLICT):
            holds.hold(session, NewHold(kind, STUDY, "in doubt"), who="test")

    text = Browser(create(own_study)).log_in("viewer").get("/").text

    assert "Results of 1 study wait for a decision." in text


def test_the_month_of_a_judgement_is_shown_by_scanner(own_study: App) -> None:
    operator = Browser(create(own_study)).log_in("operator")
    operator.post("/studies/1.2.826.2/runs/1/judge", {"verdict": "accepted"})

    text = operator.get("/judgements").text

    assert "whole result" in text
    assert "100 %" in text
    assert operator.get("/judgements?month=1999-99").status_code == 200

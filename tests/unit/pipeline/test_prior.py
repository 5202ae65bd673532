"""Why a study is compared with no earlier report, in words."""

import pytest
from structlog.testing import capture_logs

from dicom_ai.analysis.prior import Earlier
from dicom_ai.destinations.earlier_reports import Retrieve
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.prior import Examination, Person
from dicom_ai.domain.result import ResultKind
from dicom_ai.pipeline import prior
from dicom_ai.pipeline.prior import Asker
from dicom_ai.storage import results, withdrawals
from tests.integration.test_find import answering
from tests.unit.pipeline.lab import STUDY, Lab
from tests.unit.pipeline.test_report import analysed, reported

ANNA = Person("P1", "", "19700101", "F")
NOBODY_KNOWN = "the images do not name patient ID and birth date: nobody could tell whose report it is"


def find(lab: Lab, archive: Destination, person: Person = ANNA, study_date: str = "20260110") -> Earlier:
    asker = Asker(lab.database, lab.files.path, archive, "DICOM_AI", Retrieve.AUTO, 20)
    return prior.find(asker, Examination(person, "1.2.826.9", study_date))


@pytest.mark.parametrize(
    ("person", "study_date", "reason"),
    [
        (Person("", "", "19700101", "F"), "20260110", NOBODY_KNOWN),
        (Person("P1", "", "", "F"), "20260110", NOBODY_KNOWN),
        (ANNA, "", "the study has no date"),
    ],
)
def test_a_study_that_says_too_little_is_not_asked_for(lab: Lab, person: Person, study_date: str, reason: str) -> None:
    assert find(lab, Destination("nowhere", "c_store"), person, study_date) == Earlier(reason=reason)


def test_an_archive_without_an_earlier_report_is_no_failure(lab: Lab) -> None:
    with answering(0x0000) as peer:
        place = {"host": peer.host, "port": peer.port, "called_ae_title": peer.called_ae_title}
        found = find(lab, Destination("pacs", "c_store", place))

    assert found == Earlier(reason="the archive has no earlier report of this product on this patient")


def test_an_archive_that_cannot_be_asked_stands_in_the_log(lab: Lab) -> None:
    with capture_logs() as logs:
        found = find(lab, Destination("shelf", "folder"))

    assert found.failed
    assert [(line["event"], line["reason"]) for line in logs] == [("no earlier report", found.reason)]


def test_a_report_that_was_recalled_is_compared_with_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive, for which a function stands here, has the report still."""
    analysed(lab)
    reported(lab)
    written = lab.look(results.all_of, STUDY, lab.files.root)
    (report,) = [read_sr(item.path) for item in written if item.identity.kind is ResultKind.SR]
    monkeypatch.setattr(prior, "newest_report", lambda *_: report)
    before = find(lab, Destination("pacs", "c_store"))
    with lab.database.write() as session:
        withdrawals.withdraw_study(session, STUDY, why="wrong levels", who="anna")

    assert before.report is report
    assert find(lab, Destination("pacs", "c_store")) == Earlier(reason="the earlier report was recalled")

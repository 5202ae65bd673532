"""Texts from DICOM that are scripts, and addresses that are paths: on every page, and in every call."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicom_ai import settings
from dicom_ai.app import App
from dicom_ai.domain.account import Role
from dicom_ai.storage import accounts, audit, holds, rules
from dicom_ai.storage.holds import HoldKind, NewHold
from dicom_ai.storage.tables import DecisionRow, DestinationRow, InstanceRow, JobRow, OutboxRow, SeriesRow, StudyRow
from dicom_ai.web.application import create
from dicom_ai.web.routes import URLS
from dicom_ai.web.server import WebPart
from tests.unit.pipeline.lab import SERIES, STUDY
from tests.unit.web.browser import Browser
from tests.unit.web.seeded import lab_node

SCRIPT = "<script>alert(1)</script>"
HANDLER = '"><img src=x onerror=alert(2)>'
BOTH = SCRIPT + HANDLER
SHOWN = sorted({url.path for url in URLS if url.method == "GET"})
OUTSIDE = ("../../../../etc/passwd", "..%2F..%2F..%2Fetc%2Fpasswd", "%2e%2e%2fetc%2fpasswd", "/etc/passwd")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, hashed: str) -> Iterator[App]:
    """A node in which every text that comes from outside is a script."""
    lab, app = lab_node(tmp_path_factory.mktemp("hostile"), hashed, sent=False)
    with app.database.write() as session:
        header = {"SeriesDescription": ["LO", BOTH], "Manufacturer": ["LO", BOTH], "SeriesNumber": ["IS", BOTH]}
        session.execute(sa.update(StudyRow).values(patient_name=BOTH, patient_id=BOTH, accession=BOTH, study_date=BOTH))
        session.execute(sa.update(SeriesRow).values(modality=BOTH, facts=header))
        session.execute(sa.update(InstanceRow).values(calling_ae_title=BOTH, called_ae_title=BOTH))
        session.execute(sa.update(DecisionRow).values(reasons=[BOTH]))
        session.execute(sa.update(JobRow).values(reason=BOTH, state="failed", rule=BOTH, model=BOTH))
        session.execute(sa.update(OutboxRow).values(last_error=BOTH, state="failed"))
        session.execute(sa.update(DestinationRow).values(last_error=BOTH))
        holds.hold(session, NewHold(HoldKind.FINDING, STUDY, BOTH, detail={BOTH: BOTH}), who=BOTH)
        accounts.add_token(session, BOTH, Role.VIEWER, secret="secret", who=BOTH)
        audit.record(session, BOTH, BOTH, f"study {BOTH}", {BOTH: BOTH})
        rules.save(session, rules.in_force(session).content, author=BOTH, note=BOTH)
    yield app
    app.close()
    lab.database.close()


@pytest.fixture(scope="module")
def administrator(hostile: App) -> Browser:
    return Browser(create(hostile)).log_in("administrator")


def filled(path: str, other: str = "1") -> str:
    """Return an address of a page of the node's one study."""
    known = {"study_uid": STUDY, "series_uid": SERIES}
    return re.sub(r"\{(\w+)\}", lambda found: known.get(found.group(1), other), path)


@pytest.mark.parametrize("path", SHOWN)
def test_no_text_from_outside_runs_on_any_page(administrator: Browser, path: str) -> None:
    answer = administrator.get(filled(path))

    assert answer.status_code < 500
    if "html" in answer.headers.get("content-type", ""):
        assert SCRIPT not in answer.text
        assert "<img src=x" not in answer.text


def test_what_would_have_run_is_there_to_read(administrator: Browser) -> None:
    assert "&lt;script&gt;alert(1)" in administrator.get(f"/studies/{STUDY}").text
    assert "&lt;script&gt;alert(1)" in administrator.get("/audit").text


@pytest.mark.parametrize("words", [BOTH, "%_/'\"", "x" * 128])
@pytest.mark.parametrize("key", ["patient", "accession", "date_from", "state", "before", "after", "done"])
def test_what_is_searched_for_is_shown_as_text(administrator: Browser, key: str, words: str) -> None:
    answer = administrator.client.get("/studies", params={key: words})

    assert answer.status_code == 200
    assert SCRIPT not in answer.text
    assert "<img src=x" not in answer.text


@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize("path", [path for path in SHOWN if "{" in path])
def test_no_address_leads_out_of_the_node_s_files(administrator: Browser, path: str, outside: str) -> None:
    answer = administrator.get(re.sub(r"\{\w+\}", lambda _: outside, path))

    assert answer.status_code in (303, 307, 404, 422)
    assert "root:" not in answer.text


@pytest.mark.parametrize("path", ["/studies/%00", "/studies?patient=%00", "/audit?who=%00", "/api/v1/studies/%00"])
def test_what_no_text_may_hold_is_refused_at_once(administrator: Browser, path: str) -> None:
    assert administrator.get(path).status_code == 400


@pytest.mark.parametrize("path", ["/accounts/add", "/queue/pause", "/login"])
def test_a_form_with_what_no_text_may_hold_is_refused(administrator: Browser, path: str) -> None:
    answer = administrator.post(path, {"name": "a\x00b", "password": "p", "what": "everything"})

    assert answer.status_code == 400
    assert "NUL" in answer.text


def test_the_pages_listen_on_this_machine_alone_unless_told_otherwise(hostile: App) -> None:
    part = WebPart(hostile, port=0)
    address = part._socket.getsockname()[0]
    part._socket.close()

    assert settings.Web().address == "127.0.0.1"
    assert address == "127.0.0.1"


def test_no_template_lets_a_text_through_unescaped() -> None:
    templates = Path(create.__code__.co_filename).parent / "templates"

    found = [path.name for path in templates.glob("*.html") if re.search(r"\|\s*safe\b|autoescape", path.read_text())]

    assert found == []

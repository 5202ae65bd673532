"""The pages of destinations and peers, for each role."""

from collections.abc import Iterator

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import SecondaryCaptureImageStorage, Verification  # type: ignore[attr-defined]

from dicom_ai.app import App
from dicom_ai.storage import audit, callers, neighbours, outbox, pauses
from dicom_ai.storage.callers import Rejection
from dicom_ai.storage.outbox import OutboxState
from dicom_ai.web.application import create
from tests.peers import free_port
from tests.unit.web.browser import Browser

FORM = {
    "kind": "c_store",
    "name": "archive",
    "is_new": "true",
    "seen": "0",
    "host": "127.0.0.1",
    "called_ae_title": "ARCHIVE",
    "check_identity": "if_known",
    "outputs": ["seg", "pdf"],
    "why": "a new archive",
}
ONE = "/destinations/one?name="


class Archive:
    """An archive on loopback. stored: what it was sent."""

    def __init__(self) -> None:
        self.port, self.stored = free_port(), []
        entity = AE("ARCHIVE")
        entity.add_supported_context(Verification)
        entity.add_supported_context(SecondaryCaptureImageStorage)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self.server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def _store(self, event: evt.Event) -> int:
        self.stored.append(event.dataset)
        return 0


@pytest.fixture
def archive() -> Iterator[Archive]:
    archive = Archive()
    yield archive
    archive.server.shutdown()  # type: ignore[union-attr]


def known(node: App) -> list[str]:
    with node.database.read() as session:
        stored = neighbours.in_force(session, node.neighbours.home.file)
    return [item.name for item in stored.neighbours.destinations]


def test_a_destination_that_was_added_is_called_and_takes_the_test_object(
    node: App, administrator: Browser, operator: Browser, archive: Archive
) -> None:
    answer = administrator.post("/destinations/save", FORM | {"port": str(archive.port)})
    for what in ("answer", "accepts", "store"):
        operator.post("/destinations/try", {"name": "archive", "what": what})
    page = operator.get(f"{ONE}archive").text

    assert (answer.status_code, answer.headers["location"].split("&")[0]) == (303, f"{ONE}archive")
    assert "ARCHIVE answers C-ECHO in " in page
    assert "it will store masks as Secondary Capture: it does not accept Segmentation" in page
    assert "it took the test object in " in page
    (stored,) = archive.stored
    assert (str(stored.PatientName), stored.PatientID) == ("TEST OBJECT^NOT A PATIENT", "DICOM-AI-TEST")
    with node.database.read() as session:
        tried = [event.actor for event in audit.events(session) if event.action == "destination tried"]
    assert tried == ["operator"] * 3


def test_the_form_says_what_goes_where_a_form_of_results_is_refused(administrator: Browser) -> None:
    page = administrator.get("/destinations/edit?kind=c_store").text

    for value, instead in (
        ("seg", "Secondary Capture"),
        ("labelmap", "Segmentation, then Secondary Capture"),
        ("sr", "Comprehensive SR, then Secondary Capture"),
        ("pdf", "Secondary Capture"),
        ("picture", "nothing goes, and that is listed"),
    ):
        line = page.split(f"<strong>{value}</strong>")[1].split("</label>")[0]
        assert f"Where it is refused: {instead}." in line


def test_a_destination_that_is_away_says_so_on_its_page(administrator: Browser) -> None:
    administrator.post("/destinations/save", FORM | {"port": str(free_port())})

    administrator.post("/destinations/try", {"name": "archive", "what": "answer"})

    assert "<strong>No:</strong> ARCHIVE at 127.0.0.1" in administrator.get(f"{ONE}archive").text


def test_a_change_holds_at_once_and_is_a_version_with_who_and_why(node: App, administrator: Browser) -> None:
    administrator.post("/destinations/save", FORM | {"port": "104"})
    before = node.destinations["archive"].parameters["port"]
    form = {key: value for key, value in FORM.items() if key != "is_new"}
    administrator.post("/destinations/save", form | {"port": "11104", "seen": "2", "why": "it moved"})

    assert (before, node.destinations["archive"].parameters["port"]) == (104, 11104)
    page = administrator.get("/destinations").text
    assert "destination archive: port 104 → 11104; it moved" in page
    assert "as the settings file had them" in page


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"port": "eleven"}, "Port: &#39;eleven&#39; is no number"),
        ({"port": ""}, "parameter port is missing"),
        ({"port": "11112"}, "127.0.0.1:11112 is this node itself"),
        ({"port": "104", "name": "pacs"}, "there is a destination &#39;pacs&#39; already"),
        ({"port": "104", "name": " "}, "name: String should have at least 1 character"),
        ({"port": "104", "outputs": "fax"}, "outputs.0: Input should be"),
        ({"port": "104", "seen": "7"}, "changed meanwhile"),
        ({"port": "104", "tls": "on", "authorities": "/no/such.pem"}, "TLS files cannot be used"),
    ],
)
def test_what_cannot_be_is_refused_and_what_was_typed_stays(
    node: App, administrator: Browser, form: dict[str, str], problem: str
) -> None:
    answer = administrator.post("/destinations/save", FORM | form)

    assert (answer.status_code, known(node)) == (422, ["pacs"])
    assert problem in answer.text
    assert 'value="ARCHIVE"' in answer.text


def test_files_of_tls_are_not_kept_where_tls_is_not_spoken(node: App, administrator: Browser) -> None:
    administrator.post("/destinations/save", FORM | {"port": "104", "authorities": "/ca.pem"})

    assert "authorities" not in node.destinations["archive"].parameters


def test_a_secret_is_never_shown_and_stays_when_its_field_is_left_empty(node: App, administrator: Browser) -> None:
    form = {
        "kind": "stow_rs",
        "name": "web",
        "is_new": "true",
        "seen": "0",
        "url": "https://pacs.example/dicom-web",
        "authorization": "Bearer hush",
        "outputs": "seg",
    }
    administrator.post("/destinations/save", form)
    again = {key: value for key, value in form.items() if key not in ("is_new", "authorization")}
    administrator.post("/destinations/save", again | {"seen": "2", "largest_mb": "5"})
    kept = node.destinations["web"].parameters["authorization"]
    administrator.post("/destinations/save", again | {"seen": "3", "forget_secret": "on"})

    assert (kept, "authorization" in node.destinations["web"].parameters) == ("Bearer hush", False)
    pages = [administrator.get(path).text for path in ("/destinations", f"{ONE}web", "/destinations/edit?name=web")]
    assert not any("hush" in page for page in pages)


def test_removing_one_for_which_results_wait_asks(own_study: App) -> None:
    browser = Browser(create(own_study)).log_in("administrator")
    unasked = browser.post("/destinations/remove", {"name": "pacs", "seen": "0"})
    page = browser.get(f"{ONE}pacs").text
    given_up = browser.post("/destinations/remove", {"name": "pacs", "seen": "0", "waiting": "give-up"})

    assert unasked.status_code == 422
    assert "say whether to keep them or to give them up" in unasked.text
    assert "What becomes of them" in page
    assert given_up.status_code == 303
    with own_study.database.read() as session:
        assert set(outbox.counts(session)) == {OutboxState.CANCELLED}


def test_the_file_is_rolled_back_to_with_one_button(node: App, administrator: Browser) -> None:
    administrator.post("/destinations/save", FORM | {"port": "104"})

    shown = administrator.get("/destinations").text
    administrator.post("/destinations/roll-back", {"version": "0", "seen": "2"})

    assert "The settings file differs from this list." in shown
    assert "destination archive removed" in shown
    assert known(node) == ["pacs"]


def test_a_destination_is_paused_and_resumed_on_its_page(node: App, operator: Browser) -> None:
    operator.post("/destinations/pause", {"name": "pacs", "why": "it is moved"})
    paused = operator.get(f"{ONE}pacs").text
    operator.post("/destinations/resume", {"name": "pacs"})

    assert "Paused: destination pacs" in paused
    with node.database.read() as session:
        assert pauses.all_of(session) == ()


def test_what_waits_is_shown_and_tried_at_once(own_study: App) -> None:
    with own_study.database.write() as session:
        for number in (1, 2):
            outbox.postpone(session, number, unknown=False, next_at=2e9, error="PACS: association rejected for now")
    browser = Browser(create(own_study)).log_in("operator")

    before = browser.get(f"{ONE}pacs").text
    answer = browser.post("/destinations/again", {"name": "pacs"})

    assert "It has not taken anything the last 2 times" in before
    assert "it must know the node&#39;s AE title" in before
    assert "alert(1)" not in before.replace("&lt;script&gt;alert(1)&lt;/script&gt;", "")
    assert "2%20tried%20at%20once" in answer.headers["location"]


def test_a_name_that_is_a_script_is_shown_as_text(administrator: Browser) -> None:
    administrator.post("/destinations/save", FORM | {"port": "104", "name": "<script>alert(1)</script>&/x"})

    answer = administrator.get("/destinations/one", **{})
    pages = [administrator.get("/destinations").text]
    pages.append(administrator.get("/destinations/one?name=%3Cscript%3Ealert(1)%3C%2Fscript%3E%26%2Fx").text)

    assert answer.status_code == 422
    assert all("&lt;script&gt;alert(1)" in page and "<script>alert" not in page for page in pages)


@pytest.mark.parametrize("path", [f"{ONE}none", "/destinations/edit?name=none", "/destinations/edit?kind=fax"])
def test_what_is_not_there_is_not_found(administrator: Browser, path: str) -> None:
    assert administrator.get(path).status_code == 404


def test_a_viewer_looks_and_finds_nothing_to_press(viewer: Browser) -> None:
    for path in ("/destinations", f"{ONE}pacs", "/peers"):
        page = viewer.get(path)
        assert page.status_code == 200
        assert page.text.count("<button") == 1  # log out


@pytest.mark.parametrize("what", ["save", "remove", "roll-back"])
def test_an_operator_changes_no_destination(operator: Browser, what: str) -> None:
    assert operator.post(f"/destinations/{what}", FORM).status_code == 403


@pytest.mark.parametrize("what", ["try", "again", "pause", "resume"])
def test_a_viewer_neither_tries_nor_sends(viewer: Browser, what: str) -> None:
    assert viewer.post(f"/destinations/{what}", {"name": "pacs", "what": "answer"}).status_code == 403


def test_a_peer_is_let_in_moved_and_removed(node: App, administrator: Browser) -> None:
    administrator.post("/peers/save", {"ae_title": "CT1", "is_new": "true", "addresses": "10.0.0.5", "seen": "0"})
    administrator.post("/peers/save", {"ae_title": "CT1", "addresses": "10.0.0.5, 10.1.0.0/16", "seen": "2"})
    peers = [(peer.ae_title, peer.addresses) for peer in node.neighbours.peers]
    shown = administrator.get("/peers").text
    administrator.post("/peers/remove", {"ae_title": "CT1", "seen": "3"})

    assert peers == [("CT1", ("10.0.0.5", "10.1.0.0/16"))]
    assert "10.0.0.5, 10.1.0.0/16" in shown
    assert list(node.neighbours.peers) == []


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"ae_title": "FAR TOO LONG A TITLE"}, "is no AE title: 1 to 16 letters of ASCII"),
        ({"ae_title": ""}, "ae_title"),
    ],
)
def test_a_peer_that_cannot_be_is_refused(administrator: Browser, form: dict[str, str], problem: str) -> None:
    answer = administrator.post("/peers/save", {"is_new": "true", "seen": "0"} | form)

    assert answer.status_code == 422
    assert problem in answer.text


def test_who_was_rejected_is_let_in_from_the_list(node: App, administrator: Browser, viewer: Browser) -> None:
    with node.database.write() as session:
        callers.rejected(session, Rejection("MR7", "10.0.0.9", "calling AE title or address is not a configured peer"))
    shown = viewer.get("/peers").text
    administrator.post(
        "/peers/save", {"ae_title": "MR7", "addresses": "10.0.0.9", "is_new": "true", "seen": "0"}, page="/peers"
    )

    assert "MR7" in shown.rsplit("Who was not let in", 1)[1]
    assert [(peer.ae_title, peer.addresses) for peer in node.neighbours.peers] == [("MR7", ("10.0.0.9",))]


def test_an_operator_lets_nobody_in(operator: Browser) -> None:
    assert operator.post("/peers/save", {"ae_title": "X", "seen": "0", "is_new": "true"}).status_code == 403

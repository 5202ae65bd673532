import pytest

from dicom_ai.app import App
from dicom_ai.storage import audit
from tests.unit.pipeline.lab import SERIES, STUDY
from tests.unit.web.browser import Browser

ROW = f'<a href="/studies/{STUDY}">'


@pytest.mark.parametrize(
    "query", ["", "?patient=jane", "?patient=P-", "?accession=a-1", "?state=sent", "?date_to=2099-01-01"]
)
def test_a_study_is_found_by_what_is_known_of_it(looking: Browser, query: str) -> None:
    assert ROW in looking.get(f"/studies{query}").text


@pytest.mark.parametrize(
    "query", ["?patient=John", "?patient=%25", "?accession=B", "?state=failed", "?date_from=2099-01-01"]
)
def test_a_study_that_does_not_fit_is_not_shown(looking: Browser, query: str) -> None:
    text = looking.get(f"/studies{query}").text

    assert ROW not in text
    assert "No study fits." in text


@pytest.mark.parametrize("query", ["?before=x", "?after=1_", "?state=none", "?date_from=yesterday"])
def test_what_is_malformed_in_an_address_counts_as_not_asked(looking: Browser, query: str) -> None:
    assert ROW in looking.get(f"/studies{query}").text


@pytest.mark.parametrize("path", ["/studies", f"/studies/{STUDY}", f"/studies/{STUDY}/runs/1"])
def test_a_name_that_is_a_script_is_only_text(looking: Browser, path: str) -> None:
    text = looking.get(path).text

    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;, Jane" in text


@pytest.mark.parametrize("path", [f"/studies/{STUDY}", f"/studies/{STUDY}/runs/1"])
def test_each_look_at_a_patient_is_in_the_trail_once(sent_study: App, looking: Browser, path: str) -> None:
    def looks() -> int:
        with sent_study.database.read() as session:
            events = audit.events(session, limit=100_000)
        return sum(
            (event.actor, event.action, event.subject) == ("viewer", "viewed", f"study {STUDY}") for event in events
        )

    before = looks()
    looking.get(path)
    looking.get(path, **{"HX-Request": "true"})

    assert looks() == before + 1


def test_a_study_tells_what_happened_to_it_in_order(looking: Browser) -> None:
    text = looking.get(f"/studies/{STUDY}").text

    steps = [
        "first image received",
        "routed by rules version 1",
        "analysis by cord began",
        "run 1 reported",
        "SR sent to pacs",
    ]
    places = [text.index(step) for step in steps]
    assert places == sorted(places)


def test_a_study_tells_which_rule_took_which_series(looking: Browser) -> None:
    text = looking.get(f"/studies/{STUDY}").text

    assert '<span class="state good">taken</span> by <strong class="name">cord</strong>' in text


def test_a_thumbnail_is_a_picture_of_the_series(looking: Browser) -> None:
    answer = looking.get(f"/studies/{STUDY}/series/{SERIES}/thumbnail.png")

    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "path",
    [
        "/studies/1.2.3",
        "/studies/..%2f..%2fetc%2fpasswd",
        "/studies/1.2.3/runs/1",
        f"/studies/{STUDY}/runs/9",
        f"/studies/{STUDY}/series/1.2.3/thumbnail.png",
        f"/studies/{STUDY}/series/..%2f..%2f..%2fnode.db/thumbnail.png",
        "/results/..%2f..%2fnode.db/object.dcm",
        "/results/1.2.3/slices/0.png?segments=1",
    ],
)
def test_what_the_node_does_not_have_is_not_there(looking: Browser, path: str) -> None:
    assert looking.get(path).status_code == 404


def test_a_viewer_may_look_but_not_ask_for_an_analysis(looking: Browser) -> None:
    answer = looking.post(f"/studies/{STUDY}/ask")

    assert answer.status_code == 403
    assert "This needs the role operator; yours is viewer." in answer.text

"""The pages of the models, for each role."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_ai import settings
from dicom_ai.app import App, open_app, prepare
from dicom_ai.domain.account import Role
from dicom_ai.storage import accounts, models_off, rules
from tests.unit.inference.models import model_folder, threshold_graph
from tests.unit.pipeline.lab import Lab
from tests.unit.pipeline.test_versions_of_models import two_models
from tests.unit.web.browser import Browser

RULE = {"name": "bright", "model": "bright", "all": [{"keyword": "Modality", "equals": "MR"}]}
ONE = "/models/one?name="


@pytest.fixture
def node(tmp_path: Path, hashed: str) -> Iterator[App]:
    """A node with a model, another version of it, and a study that two models have seen."""
    lab = Lab(tmp_path, at=1_800_000_000.0)
    two_models(lab)
    lab.database.close()
    for name in ("bright", "bright-2"):
        model_folder(tmp_path / "models" / name, threshold_graph(500.0), options='activation = "sigmoid"')
    app = open_app(
        settings.Settings(
            storage=settings.Storage(
                data_dir=tmp_path / "data", database_url=f"sqlite:///{tmp_path / 'node.db'}", reserve_bytes=0
            ),
            models=settings.Models(directory=tmp_path / "models", device="cpu"),
        )
    )
    prepare(app)
    with app.database.write() as session:
        rules.save(session, {"rule": [RULE]}, author="test", note="")
        for role in Role:
            accounts.add(session, role.value, role, hashed=hashed, who="test")
    yield app
    app.close()


def off(node: App) -> list[str]:
    with node.database.read() as session:
        return list(models_off.all_of(session))


def test_a_viewer_sees_what_a_model_is_and_has_nothing_to_press(viewer: Browser) -> None:
    pages = [viewer.get(path) for path in ("/models", f"{ONE}bright", "/models/compare?one=cord&other=cord-new")]

    assert [page.status_code for page in pages] == [200] * 3
    assert all(page.text.count("<button") == 1 for page in pages)  # log out
    assert "right: every digest is that of the manifest" in pages[1].text
    assert "bright is on" in pages[1].text  # its rule
    assert "/models/compare?one=bright&amp;other=bright-2" in pages[1].text


def test_weights_that_were_changed_are_told(node: App, viewer: Browser) -> None:
    weights = node.models_folder / "bright" / "weights.onnx"
    weights.write_bytes(weights.read_bytes() + b"x")

    assert "SHA-256 is" in viewer.get(f"{ONE}bright").text
    assert '<span class="state bad">wrong</span>' in viewer.get("/models").text


def test_a_card_with_a_script_is_shown_as_text(node: App, viewer: Browser) -> None:
    (node.models_folder / "bright" / "MODEL_CARD.md").write_text("# Bright\n\n<script>alert(1)</script>\n")

    page = viewer.get(f"{ONE}bright").text

    assert "<h3>Bright</h3>" in page
    assert "<script>alert" not in page


def test_an_administrator_turns_a_model_off_and_on(node: App, administrator: Browser) -> None:
    administrator.post("/models/turn", {"name": "bright", "state": "off", "why": "it draws the canal"})
    turned, page = off(node), administrator.get(f"{ONE}bright").text
    administrator.post("/models/turn", {"name": "bright", "state": "on"})

    assert turned == ["bright"]
    assert "by administrator" in page
    assert "it draws the canal" in page
    assert off(node) == []


def test_the_page_of_the_rules_says_that_a_model_is_off(node: App, administrator: Browser) -> None:
    administrator.post("/models/turn", {"name": "bright", "state": "off"})

    assert "rule &#39;bright&#39; takes nothing: model bright is off since" in administrator.get("/rules").text


@pytest.mark.parametrize("form", [{"name": "none", "state": "off"}, {"name": "bright", "state": "half"}])
def test_what_cannot_be_turned_is_refused(node: App, administrator: Browser, form: dict[str, str]) -> None:
    assert administrator.post("/models/turn", form).status_code in (404, 422)
    assert off(node) == []


def test_an_operator_turns_nothing_off(node: App, operator: Browser) -> None:
    assert operator.post("/models/turn", {"name": "bright", "state": "off"}).status_code == 403
    assert off(node) == []


def test_two_models_are_compared_site_by_site(viewer: Browser) -> None:
    page = viewer.get("/models/compare?one=cord&other=cord-new").text

    assert "How far they lie apart" in page
    assert "cord 1.0 (000000000000); cord-new 1.0 (000000000000)" in page
    cells = page.split('<th scope="row">the cord seen</th>')[1].split("</tr>")[0]
    assert re.findall(r"[-+.0-9]+", re.sub(r"<[^>]*>", " ", cells)) == ["100.00", "80.00", "-20.00", "-20.0"]


@pytest.mark.parametrize("path", [f"{ONE}none", f"{ONE}..%2F.."])
def test_a_model_that_is_not_there_is_not_found(viewer: Browser, path: str) -> None:
    assert viewer.get(path).status_code == 404

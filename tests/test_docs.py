"""Documentation is tested: generated pages are fresh, links lead somewhere, and everything has its place."""

import re

import pytest

from dicom_ai.cli import COMMANDS
from tests.generate_docs import PAGES
from tests.peers import REPOSITORY

PAGES_BY_HAND = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("models/*/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)(#[^)]*)?\)")


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_fresh(name):
    written = (REPOSITORY / name).read_text(encoding="utf-8")

    assert written == PAGES[name](), f"{name} is stale: make docs"


@pytest.mark.parametrize("page", PAGES_BY_HAND, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page):
    targets = [match.group(1) for match in LINK.finditer(page.read_text(encoding="utf-8"))]

    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]

    assert missing == []


def test_every_command_is_in_the_changelog_or_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES_BY_HAND if page.name != "cli.md")

    unmentioned = [name for name in COMMANDS if f"dicom-ai {name}" not in text]

    assert unmentioned == []


def test_every_package_stands_in_the_picture_of_the_house():
    picture = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")

    packages = [path.parent.name for path in (REPOSITORY / "dicom_ai").glob("*/__init__.py")]

    assert [name for name in packages if f"{name} " not in picture] == []

"""Every page has its pictures in docs/images, and no picture is of a page that is gone."""

import re

import pytest

from dicom_ai.web.routes import URLS
from tests.page_pictures.camera import PICTURES, SCHEMES
from tests.peers import REPOSITORY

ALIKE = {"/rules/remove": "rules/turn", "/rules/roll-back": "rules/turn"}
"""Pages that look like another one."""

FILE = re.compile(r"\.(png|svg|csv|pdf|dcm|toml|nii\.gz)$")
PAGES = [url.path for url in URLS if url.method == "GET" and not FILE.search(url.path) and "provider" not in url.path]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_a_picture(path: str) -> None:
    page = re.compile(re.sub(r"\{\w+\}", r"[^/]+", ALIKE.get(path, path).strip("/")) + r"(\?.*)?")

    assert any(page.fullmatch(picture.path) for picture in PICTURES.values())


def test_the_pictures_are_those_that_the_command_takes() -> None:
    there = {path.name for path in (REPOSITORY / "docs" / "images").glob("page-*.png")}

    assert there == {f"page-{name}-{scheme}.png" for name in PICTURES for scheme in SCHEMES}

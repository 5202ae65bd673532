"""Which pictures there are, and a browser that takes them in light and dark."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dicom_ai.domain.browsing import Search
from dicom_ai.storage import browse
from dicom_ai.storage.database import Session
from tests.acceptance.browsing import signed_in
from tests.page_pictures.hospital import ADMINISTRATOR
from tests.peers import need_program

WIDTH_PX, LONGEST_PX = 1280, 1180
COLORS = 56
LEAST_PX = 420
SCHEMES = ("light", "dark")
GREYS = 18
"""Of a picture that shows an image of a scanner."""

Steps = Callable[[Page], None]


def nothing(page: Page) -> None:
    """Show the page as it opens."""


@dataclass(frozen=True)
class Picture:
    """One picture. account: "" before log-in. path: may hold {study}, the UID of the study that is shown.

    is_new: of a node that was never started before. tall_px: where the picture ends, at the latest. has_noise: it shows
    an image of a scanner.
    """

    path: str
    steps: Steps = nothing
    account: str = ADMINISTRATOR
    tall_px: int = LONGEST_PX
    is_new: bool = False
    has_noise: bool = False


def new_token(page: Page) -> None:
    """Make a token, and show another secret than its own."""
    page.get_by_label("Name", exact=True).fill("nightly-report")
    page.locator("#ends").fill("2026-12-31")
    page.get_by_role("button", name="Make the token").click()
    page.locator("#secret").evaluate("field => { field.value = 'AsZ0-an-example-that-opens-nothing' }")


def new_destination(page: Page) -> None:
    """Fill in the form of a destination with TLS."""
    page.get_by_label("Name", exact=True).fill("regional-archive")
    page.get_by_label("Host name or address").fill("vna.region.example")
    page.get_by_label("Port", exact=True).fill("2762")
    page.get_by_label("Its AE title").fill("REGION_VNA")
    page.get_by_label("Connect with TLS").check()


def written_rule(page: Page) -> None:
    """Write a rule as the guide tells: from values that occurred."""
    page.get_by_label("Name", exact=True).fill("neck-mr2")
    page.get_by_label("Description").fill("Sagittal MR of the neck from the second scanner.")
    page.get_by_label("Model", exact=True).select_option("spinal-cord-2")
    for place, (keyword, value) in enumerate((("Modality", "MR"), ("plane", "sagittal"), ("StationName", "MR2"))):
        field = page.locator(f"#all-{place}-value")
        if not field.count():
            page.locator("#all-new").fill(keyword)
            page.locator("#all-new").press("Enter")
            field.wait_for()
        page.get_by_role("button", name=f"{value} ·").first.click()
        expect(field).to_have_value(value)


def tried_rule(page: Page) -> None:
    """Have it tried."""
    written_rule(page)
    page.get_by_role("button", name="Check and try").click()
    page.locator("#review").wait_for()


def refused_rule(page: Page) -> None:
    """Have one refused."""
    written_rule(page)
    page.get_by_label("Priority").fill("high")
    page.locator("#all-1-value").fill("saggital")
    page.get_by_role("button", name="Check and try").click()
    page.locator(".fault").first.wait_for()


def changed_toml(page: Page) -> None:
    """Narrow a rule in the text of all rules, and have it tried."""
    text = page.locator("#text")
    narrower = re.sub(
        r'(?s)(name = "spine".*?all = \[)', r'\1\n    { keyword = "StationName", equals = "MR1" },', text.input_value()
    )
    text.fill(narrower)
    page.get_by_role("button", name="Check").first.click()
    page.get_by_text("Tried on").first.wait_for()


PICTURES = {
    "audit": Picture("audit", tall_px=900),  # first, so that it does not tell of the taking of the others
    "first-start": Picture("first-start", account="", is_new=True),
    "login": Picture("login", account=""),
    "overview": Picture(""),
    "studies": Picture("studies", tall_px=1000),
    "study": Picture("studies/{study}"),
    "result": Picture("studies/{study}/runs/1?seg=1", tall_px=1000, has_noise=True),
    "queue": Picture("queue", tall_px=1560),
    "judgements": Picture("judgements?month=2026-03"),
    "rules": Picture("rules"),
    "rules-edit": Picture("rules/edit", written_rule),
    "rules-tried": Picture("rules/edit", tried_rule),
    "rules-refused": Picture("rules/edit", refused_rule),
    "rules-turn": Picture("rules/turn?name=cord-2"),
    "rules-compare": Picture("rules/compare?old=4&new=7"),
    "rules-import": Picture("rules/import", changed_toml),
    "destinations": Picture("destinations"),
    "destination": Picture("destinations/one?name=pacs"),
    "destination-down": Picture("destinations/one?name=research", tall_px=900),
    "destination-form": Picture("destinations/edit?kind=c_store", new_destination),
    "peers": Picture("peers"),
    "models": Picture("models"),
    "model": Picture("models/one?name=spinal-cord"),
    "models-compare": Picture("models/compare?one=spinal-cord&other=spinal-cord-2"),
    "accounts": Picture("accounts"),
    "tokens": Picture("tokens", new_token),
}
"""page-NAME-light.png and page-NAME-dark.png; in this order."""


@dataclass(frozen=True)
class Camera:
    """A browser before the node at an address, and a new one. shown_as: text of this machine -> what stands there."""

    browser: Browser
    address: str
    new_address: str
    study_uid: str
    shown_as: dict[str, str]

    def take(self, name: str, out: Path) -> None:
        """Take one picture in light and dark."""
        picture = PICTURES[name]
        address = self.new_address if picture.is_new else self.address
        account = picture.account
        context = signed_in(self.browser, address, account) if account else self.browser.new_context()
        page = context.new_page()
        page.set_viewport_size({"width": WIDTH_PX, "height": 900})
        page.goto(address + picture.path.format(study=self.study_uid))
        picture.steps(page)
        page.wait_for_load_state("networkidle")
        for was, shown in self.shown_as.items():
            page.evaluate(_SAY_INSTEAD, [was, shown])
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            shot = _shot(page, picture.tall_px)
            save(shot, out / f"page-{name}-{scheme}.png", has_noise=picture.has_noise)
        context.close()


_SAY_INSTEAD = """([was, shown]) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(was, shown);
}"""


@contextmanager
def camera(address: str, new_address: str, study_uid: str, shown_as: dict[str, str]) -> Iterator[Camera]:
    """Open the browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need_program("chromium"), args=["--no-sandbox"])
        yield Camera(browser, address, new_address, study_uid, shown_as)
        browser.close()


def study_of(session: Session, patient: str) -> str:
    """Return the UID of the newest study of a patient."""
    return browse.search(session, Search(patient=patient)).studies[0].study_uid


def save(png: bytes, path: Path, *, has_noise: bool) -> None:
    """Keep a picture as a small file of few colours."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    if has_noise:
        picture = _with_few_greys(
            picture.resize([round(0.75 * side) for side in picture.size], Image.Resampling.LANCZOS)
        )
    _with_few_colors(picture, 2 * COLORS if has_noise else COLORS).save(path, optimize=True)


def _with_few_colors(picture: Image.Image, most: int) -> Image.Image:
    """Return a picture with its most frequent colours, which are those of the style sheet, and some for all others."""
    flat = np.asarray(picture).reshape(-1, 3)
    seen, places, counts = np.unique(flat, axis=0, return_inverse=True, return_counts=True)
    by_count = np.argsort(-counts, kind="stable")
    frequent, others = seen[by_count[: most // 2]], by_count[most // 2 :]
    if len(others):
        rare = Image.fromarray(flat[np.isin(places.ravel(), others)][None])
        reduced = rare.quantize(most // 2, method=Image.Quantize.MAXCOVERAGE).getpalette() or []
        frequent = np.concatenate([frequent, np.array(reduced).reshape(-1, 3)[: most // 2]])
    nearest = np.argmin(((seen[:, None, :].astype(int) - frequent) ** 2).sum(axis=2), axis=1)
    found = Image.fromarray(nearest[places.ravel()].astype(np.uint8).reshape(picture.height, picture.width), "P")
    found.putpalette(frequent.astype(np.uint8).tobytes())
    return found


def _with_few_greys(picture: Image.Image) -> Image.Image:
    """Return a picture whose noise, which is grey, takes no colour from the rest."""
    pixels = np.array(picture)
    is_grey = np.ptp(pixels, axis=2) == 0
    step = 255 / (GREYS - 1)
    pixels[is_grey] = np.rint(np.rint(pixels[is_grey] / step) * step).astype(np.uint8)
    return Image.fromarray(pixels)


def _shot(page: Page, tall_px: int) -> bytes:
    page.set_viewport_size({"width": WIDTH_PX, "height": LEAST_PX})  # a page is as tall as its window at least
    height = min(tall_px, int(page.evaluate("document.body.scrollHeight")))
    page.set_viewport_size({"width": WIDTH_PX, "height": height})
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(300)
    return page.screenshot()

import csv
import gzip
import io
import re

import nibabel
import numpy as np
import pypdfium2
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from dicom_ai.app import App
from dicom_ai.domain.result import ResultKind, ResultObject
from dicom_ai.domain.trail import TrailSearch
from dicom_ai.storage import audit, judgements, results, runs
from dicom_ai.web.application import create
from tests.unit.pipeline.lab import STUDY
from tests.unit.web.browser import Browser

RUN = f"/studies/{STUDY}/runs/1"


@pytest.fixture
def seg(sent_study: App) -> str:
    """The UID of the SEG that was sent."""
    with sent_study.database.read() as session:
        found = results.all_of(session, STUDY, sent_study.files.root)
    return next(item.identity.sop_instance_uid for item in found if item.identity.kind.value == "seg")


def pixels(browser: Browser, path: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(browser.get(path).content))).astype(int)


def test_the_page_says_first_that_nobody_has_verified_it(looking: Browser) -> None:
    text = looking.get(RUN).text

    assert text.index("Research use only, not verified.") < text.index("Downloads")


def test_the_cord_is_drawn_where_the_sent_seg_has_it_and_only_when_it_is_on(looking: Browser, seg: str) -> None:
    plain = pixels(looking, f"/results/{seg}/slices/3.png?segments=0")
    drawn = pixels(looking, f"/results/{seg}/slices/3.png?segments=1")

    changed = np.argwhere((plain != drawn).any(axis=2))
    assert (changed.min(axis=0).tolist(), changed.max(axis=0).tolist()) == ([11, 11], [20, 20])


def test_a_slice_that_the_series_does_not_have_is_not_there(looking: Browser, seg: str) -> None:
    assert looking.get(f"/results/{seg}/slices/99.png?segments=1").status_code == 404
    assert looking.get(f"/results/{seg}/slices/-1.png?segments=1").status_code == 404


def test_the_table_holds_the_numbers_of_the_sent_report(looking: Browser) -> None:
    rows = list(csv.DictReader(io.StringIO(looking.get(f"{RUN}/table.csv").text)))
    page = re.sub(r"\s+", " ", looking.get(RUN).text)

    given = [row["value"] for row in rows if row["measurement"].startswith("Mean CSA") and row["value"]]
    missing = [value for value in given if f'<td class="number">{value}</td>' not in page]
    assert (len(given) > 0, missing) == (True, [])


def test_a_download_is_the_object_as_it_was_sent(sent_study: App, looking: Browser, seg: str) -> None:
    answer = looking.get(f"/results/{seg}/object.dcm")

    with sent_study.database.read() as session:
        item = results.find_written(session, seg, sent_study.files.root)
    assert item is not None
    assert answer.content == item.path.read_bytes()
    assert dcmread(io.BytesIO(answer.content)).SOPInstanceUID == seg


def test_the_labels_as_nifti_have_as_many_voxels_as_the_seg(looking: Browser, seg: str) -> None:
    answer = looking.get(f"/results/{seg}/labels.nii.gz")

    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    assert int(np.count_nonzero(np.asarray(image.dataobj))) == 6 * 10 * 10


def sent_object(app: App, kind: ResultKind) -> ResultObject:
    """Return the first object of a kind that was sent."""
    with app.database.read() as session:
        found = results.all_of(session, STUDY, app.files.root)
    return next(item for item in found if item.identity.kind is kind)


def noted(app: App, who: str) -> list[tuple[str, str, object]]:
    """Return action, subject and what of everything that somebody did, oldest first."""
    with app.database.read() as session:
        found = audit.search(session, TrailSearch(who=who), most=100)
    return [(event.action, event.subject, event.detail.get("what")) for event in reversed(found)]


def test_the_page_offers_pdf_and_picture_for_people_and_as_they_were_sent(sent_study: App, looking: Browser) -> None:
    page = looking.get(RUN).text
    pdf, sc = (sent_object(sent_study, kind).identity.sop_instance_uid for kind in (ResultKind.PDF, ResultKind.SC))

    wanted = [f"{pdf}/report.pdf", f"{pdf}/object.dcm", f"{sc}/report.png", f"{sc}/object.dcm"]
    assert [f'href="/results/{path}" download' in page for path in wanted] == [True] * 4


def test_the_pdf_is_that_inside_the_object_in_the_archive(own_study: App) -> None:
    item = sent_object(own_study, ResultKind.PDF)
    viewer = Browser(create(own_study)).log_in("viewer")
    plain = viewer.get(f"/results/{item.identity.sop_instance_uid}/report.pdf")
    wrapped = viewer.get(f"/results/{item.identity.sop_instance_uid}/object.dcm")

    document = dcmread(io.BytesIO(wrapped.content))
    assert (wrapped.headers["content-type"], wrapped.content) == ("application/dicom", item.path.read_bytes())
    assert document.SOPClassUID == EncapsulatedPDFStorage
    assert plain.headers["content-type"] == "application/pdf"
    assert plain.headers["content-disposition"].endswith('.pdf"')
    assert plain.content == document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
    assert "not verified" in pypdfium2.PdfDocument(plain.content)[0].get_textpage().get_text_bounded().lower()
    study = f"study {STUDY}"
    assert noted(own_study, "viewer")[1:] == [("downloaded", study, "pdf file"), ("downloaded", study, "pdf")]


def test_the_picture_is_the_secondary_capture_in_the_archive(own_study: App) -> None:
    item = sent_object(own_study, ResultKind.SC)
    viewer = Browser(create(own_study)).log_in("viewer")
    shown = viewer.get(f"/results/{item.identity.sop_instance_uid}/report.png")
    wrapped = viewer.get(f"/results/{item.identity.sop_instance_uid}/object.dcm")

    capture = dcmread(io.BytesIO(wrapped.content))
    assert (wrapped.headers["content-type"], wrapped.content) == ("application/dicom", item.path.read_bytes())
    assert capture.SOPClassUID == SecondaryCaptureImageStorage
    assert shown.headers["content-type"] == "image/png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown.content))), capture.pixel_array)
    study = f"study {STUDY}"
    assert noted(own_study, "viewer")[1:] == [("downloaded", study, "png file"), ("downloaded", study, "sc")]


def test_nobody_downloads_without_logging_in_and_no_object_as_what_it_is_not(sent_study: App, looking: Browser) -> None:
    pdf, sr = (sent_object(sent_study, kind).identity.sop_instance_uid for kind in (ResultKind.PDF, ResultKind.SR))
    nobody = Browser(create(sent_study))

    asked = [f"/results/{pdf}/{name}" for name in ("report.pdf", "object.dcm")]
    assert [nobody.get(path).headers["location"].split("?")[0] for path in asked] == ["/login", "/login"]
    assert looking.get(f"/results/{sr}/report.pdf").status_code == 404
    assert looking.get(f"/results/{pdf}/report.png").status_code == 404


def test_who_scrolls_through_the_slices_without_the_page_has_looked_once(own_study: App) -> None:
    seg = sent_object(own_study, ResultKind.SEG).identity.sop_instance_uid
    viewer = Browser(create(own_study)).log_in("viewer")
    for number in range(3):
        viewer.get(f"/results/{seg}/slices/{number}.png?segments=1")

    assert noted(own_study, "viewer")[1:] == [("viewed", f"study {STUDY}", None)]


def test_a_reject_is_kept_with_its_reason_and_counts_by_scanner(own_study: App) -> None:
    operator = Browser(create(own_study)).log_in("operator")

    operator.post(f"{RUN}/judge", {"verdict": "accepted"})
    answer = operator.post(f"{RUN}/judge", {"verdict": "rejected", "reason": "the cord ends too early"})

    assert answer.headers["location"] == f"{RUN}?done=Kept%3A%20rejected."
    assert "the cord ends too early" in operator.get(RUN).text
    with own_study.database.read() as session:
        (run,) = runs.all_of(session, STUDY)
        kept = [(item.who, item.verdict.value) for item in judgements.of_run(session, run.id)]
        (tally,) = judgements.tally(session, begin=0, end=1e12)
    assert kept == [("operator", "rejected"), ("operator", "accepted")]
    assert {verdict.value: number for verdict, number in tally.numbers.items()} == {
        "accepted": 0,
        "corrected": 0,
        "rejected": 1,
    }


def test_a_reject_without_a_reason_is_refused(own_study: App) -> None:
    operator = Browser(create(own_study)).log_in("operator")

    answer = operator.post(f"{RUN}/judge", {"verdict": "rejected", "reason": "  "})

    assert answer.status_code == 422
    assert "say why the result is rejected" in answer.text


def test_a_viewer_cannot_judge(looking: Browser) -> None:
    assert looking.post(f"{RUN}/judge", {"verdict": "accepted"}).status_code == 403
    assert f"{RUN}/judge" not in looking.get(RUN).text

"""Model cards come from people who write models: nothing of them runs, and nothing is loaded from elsewhere."""

import pytest

from dicom_ai.web.cards import rendered


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        '<img src=x onerror="alert(1)">',
        "![x](https://elsewhere.example/x.png)",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "<javascript:alert(1)>",
    ],
)
def test_nothing_in_a_card_runs_or_loads(text: str) -> None:
    html = rendered(text)

    signs = ("<script", "<img", 'href="javascript', 'href="data')
    assert not any(sign in html for sign in signs)


def test_headings_stand_below_that_of_the_page_and_tables_scroll() -> None:
    html = rendered("# Card\n\n## Use\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n")

    assert "<h3>Card</h3>" in html
    assert "<h3>Use</h3>" in html
    assert '<div class="scroll" tabindex="0"' in html
    assert '<td class="number">2</td>' in html
    assert "style=" not in html


def test_a_link_to_the_web_stays_and_one_to_a_file_is_text() -> None:
    html = rendered("[paper](https://arxiv.example/1) and [curve](curve.svg)")

    assert '<a href="https://arxiv.example/1">paper</a>' in html
    assert "curve.svg" in html
    assert 'href="curve.svg"' not in html

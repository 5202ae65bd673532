"""Model cards on a page: Markdown of people who write models, so no HTML, no scripts, and links to the web only."""

from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

WEB = ("https://", "http://")
_DEEPER = {"h1": "h3", "h2": "h3", "h3": "h4", "h4": "h5", "h5": "h6", "h6": "h6"}
"""The page has a heading of its own, and the section of the card too."""


def rendered(text: str) -> Markup:
    """Return a card as HTML that is safe to show: what is no Markdown is shown as text."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.validateLink = lambda url: url.startswith(WEB)  # type: ignore[method-assign]
    markdown.add_render_rule("table_open", _table_open)
    markdown.add_render_rule("table_close", _table_close)
    markdown.add_render_rule("image", _image)
    tokens = markdown.parse(text)
    for token in tokens:
        token.tag = _DEEPER.get(token.tag, token.tag)
        style = token.attrs.pop("style", "")  # the content security policy refuses it
        if "right" in str(style):
            token.attrs["class"] = "number"
    return Markup(markdown.renderer.render(tokens, markdown.options, {}))  # what is no Markdown was escaped above


def _table_open(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return '<div class="scroll" tabindex="0" role="region" aria-label="Table of the card"><table>\n'


def _table_close(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return "</table></div>\n"


def _image(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """Show what a picture is called: nothing is loaded from elsewhere."""
    words: str = renderer.renderInlineAsText(tokens[index].children or [], options, env)
    return str(Markup("<em>{}</em>").format(words))

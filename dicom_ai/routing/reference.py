"""The tables of docs/rules.md, made from the code so that they cannot differ from it."""

from dicom_ai.routing.anatomy_score import SOURCES
from dicom_ai.routing.facts import FACTS
from dicom_ai.routing.predicates import PREDICATES

_KINDS = {"LO": "text", "DS": "number", "flag": "true or false"}


def predicates_table() -> str:
    """Return the predicates as a table in Markdown."""
    rows = [f"| `{name}` | {one.argument} | {one.meaning} |" for name, one in PREDICATES.items()]
    return "\n".join(["| predicate | argument | true where |", "| --- | --- | --- |", *rows])


def facts_table() -> str:
    """Return the derived facts as a table in Markdown."""
    rows = [f"| `{name}` | {_KINDS[one.vr]} | {one.meaning} |" for name, one in FACTS.items()]
    return "\n".join(["| fact | is | says |", "| --- | --- | --- |", *rows])


def sources_table() -> str:
    """Return what words in each kind of text are worth as a table in Markdown."""
    rows = [
        f"| {one.name} | {', '.join(one.keywords)} | {one.spine} | {one.brain} | {one.head} | {one.other} |"
        for one in SOURCES
    ]
    head = "| text | keywords | spine | brain | head | other |"
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- |", *rows])


TABLES = {"predicates": predicates_table, "facts": facts_table, "sources": sources_table}
"""Name in the page's marks -> what stands between them."""


def with_tables(page: str) -> str:
    """Return the page with every table between its marks made anew."""
    for name, table in TABLES.items():
        before, _, rest = page.partition(f"<!-- {name} -->\n")
        _, _, after = rest.partition(f"<!-- end of {name} -->")
        page = f"{before}<!-- {name} -->\n{table()}\n<!-- end of {name} -->{after}"
    return page

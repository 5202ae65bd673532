"""docs/rules.md says what the code does.

To renew its tables: python -c "from tests.unit.routing.test_reference import renew; renew()"
"""

import re
import tomllib
from pathlib import Path

from dicom_ai.routing.contradictions import contradictions
from dicom_ai.routing.reference import TABLES, with_tables
from dicom_ai.routing.rule import parse_rules

PAGE = Path(__file__).resolve().parents[3] / "docs" / "rules.md"


def renew() -> None:
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def test_the_tables_are_those_of_the_code():
    page = PAGE.read_text(encoding="utf-8")

    assert page == with_tables(page)
    assert all(table() in page for table in TABLES.values())


def test_the_example_is_a_rule():
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

    rules = parse_rules(tomllib.loads(example))

    assert [rule.name for rule in rules.rules] == ["sagittal-neck"]
    assert contradictions(rules) == []

"""Rules as TOML text (toml.io 1.0). The standard library reads TOML but does not write it; rules need little of it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_LISTS_OF_TABLES = ("all", "any", "none")


def toml_text(content: Mapping[str, Any]) -> str:
    """Return the text of {"rule": [tables]}; reading it gives the same content."""
    return "\n".join(_rule(rule) for rule in content.get("rule", []))


def _rule(rule: Mapping[str, Any]) -> str:
    lines = ["[[rule]]"]
    lines += [f"{name} = {_value(value)}" for name, value in rule.items() if name not in _LISTS_OF_TABLES]
    for name in _LISTS_OF_TABLES:
        if rule.get(name):
            lines += [f"{name} = [", *(f"    {_value(condition)}," for condition in rule[name]), "]"]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_value(one)}" for name, one in value.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return repr(value)

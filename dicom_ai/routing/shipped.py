"""Rules in files: the shipped ones, and an administrator's."""

import sysconfig
import tomllib
from pathlib import Path

from dicom_ai.errors import RuleError
from dicom_ai.routing.rule import RuleSet, parse_rules


def shipped_rules_file() -> Path:
    """Return config/routing.toml of the checkout, or share/dicom-ai/config/routing.toml of the installation."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        return checkout / "config" / "routing.toml"
    return Path(sysconfig.get_path("data")) / "share" / "dicom-ai" / "config" / "routing.toml"


def read_rules(path: Path | None = None) -> RuleSet:
    """Return the rules of a file, or the shipped ones. Raises RuleError naming the file, the rule and the place."""
    path = path or shipped_rules_file()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(f"{path}: cannot be read ({error})") from None
    try:
        return rules_of(text)
    except RuleError as error:
        raise RuleError(f"{path}: {error}") from None


def rules_of(text: str) -> RuleSet:
    """Return the rules of a TOML text. Raises RuleError naming the line, or the rule and the place in it."""
    try:
        return parse_rules(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RuleError(f"is not TOML: {error}") from None

"""Strict reading of a TOML table: each key is taken with its type; what was not taken is refused by done()."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from dicom_ai.errors import ModelError

T = TypeVar("T")
_REQUIRED: Any = object()


class Table:
    """A TOML table that knows its file and its place, for messages that name both."""

    def __init__(self, content: Mapping[str, Any], file: Path, place: str = "") -> None:
        self._content = content
        self._file = file
        self._place = place
        self._taken: set[str] = set()

    def wrong(self, key: str, reason: str) -> ModelError:
        """Return the error for a key of this table."""
        return ModelError(f"{self._file}: {self._name(key)}: {reason}")

    def done(self) -> None:
        """Refuse the keys that nobody took."""
        unknown = sorted(set(self._content) - self._taken)
        if unknown:
            raise self.wrong(unknown[0], f"unknown key; known here: {', '.join(sorted(self._taken))}")

    def free(self) -> Mapping[str, Any]:
        """Take the whole table unchecked."""
        self._taken |= set(self._content)
        return self._content

    def text(self, key: str, default: str = _REQUIRED) -> str:
        """Take a string, not blank unless it is the default."""
        value = self._take(key, (str,), "a text", default)
        if value is not default and not value.strip():
            raise self.wrong(key, "is blank")
        return str(value)

    def choice(self, key: str, among: tuple[str, ...], default: str = _REQUIRED) -> str:
        """Take one of several words."""
        value = self.text(key, default)
        if value not in among:
            raise self.wrong(key, f"{value!r} is not one of {', '.join(among)}")
        return value

    def flag(self, key: str, default: bool = _REQUIRED) -> bool:
        """Take true or false."""
        return bool(self._take(key, (bool,), "true or false", default))

    def integer(self, key: str, default: int = _REQUIRED, *, least: int | None = None, most: int | None = None) -> int:
        """Take a whole number in a range."""
        value = self._take(key, (int,), "a whole number", default)
        self._check_range(key, value, least, most)
        return int(value)

    def number(
        self, key: str, default: Any = _REQUIRED, *, least: float | None = None, most: float | None = None
    ) -> Any:
        """Take a number in a range; the default may be None."""
        value = self._take(key, (int, float), "a number", default)
        if value is None:
            return None
        self._check_range(key, value, least, most)
        return float(value)

    def texts(
        self, key: str, default: tuple[str, ...] = _REQUIRED, *, among: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        """Take a list of strings, each from `among` where that is given."""
        values: tuple[str, ...] = self._list(key, (str,), "a list of texts", default)
        for value in values:
            if among is not None and value not in among:
                raise self.wrong(key, f"{value!r} is not one of {', '.join(among)}")
        return values

    def numbers(
        self, key: str, default: tuple[float, ...] = _REQUIRED, *, least: float | None = None
    ) -> tuple[float, ...]:
        """Take a list of numbers."""
        values = self._list(key, (int, float), "a list of numbers", default)
        for value in values:
            self._check_range(key, value, least, None)
        return tuple(float(value) for value in values)

    def integers(self, key: str, default: tuple[int, ...] = _REQUIRED, *, least: int | None = None) -> tuple[int, ...]:
        """Take a list of whole numbers."""
        values: tuple[int, ...] = self._list(key, (int,), "a list of whole numbers", default)
        for value in values:
            self._check_range(key, value, least, None)
        return values

    def table(self, key: str, default: Mapping[str, Any] = _REQUIRED) -> "Table":
        """Take a table."""
        return Table(self._take(key, (dict,), "a table", default), self._file, self._name(key))

    def tables(self, key: str) -> "list[Table]":
        """Take a list of tables, [[key]]; at least one."""
        values = self._list(key, (dict,), f"a list of tables, [[{key}]]", _REQUIRED)
        return [Table(value, self._file, f"{self._name(key)}[{number}]") for number, value in enumerate(values, 1)]

    def _name(self, key: str) -> str:
        return f"{self._place}.{key}" if self._place else key

    def _take(self, key: str, types: tuple[type, ...], what: str, default: T) -> Any:
        self._taken.add(key)
        if key not in self._content:
            if default is _REQUIRED:
                raise self.wrong(key, "is missing")
            return default
        value = self._content[key]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise self.wrong(key, f"{value!r} is not {what}")
        return value

    def _list(self, key: str, types: tuple[type, ...], what: str, default: Any) -> tuple[Any, ...]:
        values = self._take(key, (list,), what, default)
        for value in values:
            if not isinstance(value, types) or isinstance(value, bool):
                raise self.wrong(key, f"{value!r} does not belong in {what}")
        return tuple(values)

    def _check_range(self, key: str, value: float, least: float | None, most: float | None) -> None:
        if (least is not None and not value >= least) or (most is not None and not value <= most):
            bounds = " and ".join(
                text for text, bound in ((f"at least {least}", least), (f"at most {most}", most)) if bound is not None
            )
            raise self.wrong(key, f"{value} must be {bounds}")

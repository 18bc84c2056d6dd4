"""One JSON object of bgpd, read key by key: a missing value is empty, a value of a type that FRR does not use is an error."""

from __future__ import annotations

from ocfpy.bgp.errors import UnknownAnswer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_LIMIT = 1e18  # more than any counter or time; also excludes infinity and NaN


class Answer:
    """A JSON object; where names it in an error. Every method may raise UnknownAnswer. A null counts as missing."""

    __slots__ = ("_value", "where")

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise UnknownAnswer(where, "an object", value)
        self._value: dict[str, Any] = value
        self.where = where

    def __contains__(self, key: str) -> bool:
        return self._value.get(key) is not None

    def __len__(self) -> int:
        return len(self._value)

    def at(self, key: str) -> Answer:
        """The object under a key, empty when missing."""
        return Answer(self._get(key, {}), f"{self.where}: {key}")

    def each(self, key: str) -> list[Answer]:
        """The objects of the array under a key."""
        items = self._get(key, [])
        if not isinstance(items, list):
            raise UnknownAnswer(f"{self.where}: {key}", "an array", items)
        return [Answer(item, f"{self.where}: {key}") for item in items]

    def names(self) -> tuple[str, ...]:
        """The keys of this object, which FRR uses for neighbors and prefixes."""
        return tuple(self._value)

    def objects(self) -> Iterator[tuple[str, Answer]]:
        """The keys that have an object, with it; `vrfName` and the like stand beside them."""
        for key, value in self._value.items():
            if isinstance(value, dict):
                yield key, Answer(value, f"{self.where}: {key}")

    def text(self, key: str) -> str:
        """A string, "" when missing."""
        value = self._get(key, "")
        if not isinstance(value, str):
            raise UnknownAnswer(f"{self.where}: {key}", "a text", value)
        return value

    def number(self, key: str) -> float:
        """A number, 0 when missing."""
        value = self._get(key, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _LIMIT:
            raise UnknownAnswer(f"{self.where}: {key}", "a number", value)
        return float(value)

    def seconds(self, key: str) -> float:
        """A number of milliseconds, in seconds."""
        return self.number(key) / 1000

    def flag(self, key: str) -> bool:
        """True or false; missing is false."""
        value = self._get(key, False)
        if not isinstance(value, bool):
            raise UnknownAnswer(f"{self.where}: {key}", "true or false", value)
        return value

    def _get(self, key: str, default: Any) -> Any:
        value = self._value.get(key)
        return default if value is None else value

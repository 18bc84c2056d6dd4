"""Parameters of an agent, declared once: the source of metadata, man page, parsing and validation."""

from __future__ import annotations

from ocfpy.ocf.addresses import Address, Prefix, parse_address, parse_prefix, shown
from ocfpy.ocf.declaration import Parameter as Parameter
from ocfpy.ocf.declaration import declared_parameters as declared_parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    T = TypeVar("T")
else:
    T = None

MAX_LIST_LENGTH = 65536
MAX_COMPLAINTS = 8
MAX_INTERFACE_LENGTH = 15
"""linux/if.h: IFNAMSIZ is 16 with the NUL."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
NAME_CHARACTERS = f"{_LETTERS}{_LETTERS.upper()}0123456789_.-"
"""Characters that need no quoting anywhere; as a charset, or the base of one."""
_UNITS_S = {
    "": 1.0,
    "us": 1e-6,
    "usec": 1e-6,
    "ms": 1e-3,
    "msec": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
}


class StringParam(Parameter[str]):
    """Text; one of choices, or made of the characters in charset, if these are given."""

    def __init__(
        self, shortdesc: str, longdesc: str, *, choices: Sequence[str] = (), charset: str = "", **common: Any
    ) -> None:
        super().__init__(shortdesc, longdesc, **common)
        self.choices = choices
        self.charset = charset
        if choices:
            self.content_type = "select"

    def parse(self, text: str) -> str:
        if self.choices and text not in self.choices:
            raise ValueError(f"{shown(text)} is not one of {', '.join(self.choices)}")
        strange = [c for c in text if c not in self.charset] if self.charset else []
        if strange:
            raise ValueError(f"{shown(text)} has {shown(strange[0])} in it, which is not allowed here")
        return text


class InterfaceParam(StringParam):
    """The name of a network interface."""

    def __init__(self, shortdesc: str, longdesc: str, **common: Any) -> None:
        super().__init__(shortdesc, longdesc, charset=NAME_CHARACTERS, **common)

    def parse(self, text: str) -> str:
        name = super().parse(text)
        if len(name) > MAX_INTERFACE_LENGTH:
            raise ValueError(f"{shown(name)} has more than {MAX_INTERFACE_LENGTH} characters")
        return name


class SecretParam(Parameter[str]):
    """A password or a key: no message ever quotes it.

    Metadata cannot mark it (the schema knows no such attribute), but Pacemaker hides the values of parameters
    named password, passwd or user, and `crm resource secret` keeps any value out of the CIB.
    """

    def read(self, text: str) -> str:
        """Return the text. Raises ValueError with a sentence that does not quote it."""
        if len(text) > self.max_length or not text.isprintable():
            raise ValueError(f"it has a line break, an unprintable character or more than {self.max_length} characters")
        return text


class IntParam(Parameter[int]):
    """A whole number, from minimum to maximum where these are given."""

    content_type = word = "integer"

    def __init__(
        self,
        shortdesc: str,
        longdesc: str,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(shortdesc, longdesc, **common)
        self.minimum = minimum
        self.maximum = maximum

    @property
    def kind(self) -> str:
        return self.word + _range(self.minimum, self.maximum)

    def parse(self, text: str) -> int:
        digits = text[1:] if text.startswith("-") else text
        if not _is_number(digits):
            raise ValueError(f"{shown(text)} is not a whole number")
        value = int(text)
        _check_range(text, value, self.minimum, self.maximum)
        return value


class BoolParam(Parameter[bool]):
    """A switch, in any spelling that ocf-shellfuncs accepts."""

    content_type = word = "boolean"

    def spell(self, default: Any) -> str:
        return default if isinstance(default, str) else str(default).lower()

    def parse(self, text: str) -> bool:
        word = text.lower()
        if word in ("yes", "true", "1", "y", "on", "ja"):
            return True
        if word in ("no", "false", "0", "n", "off"):
            return False
        raise ValueError(f"{shown(text)} is neither true nor false")


class DurationParam(Parameter[float]):
    """A time in seconds, spelled like Pacemaker's: 500ms, 2s, 2, 1min; minimum, maximum and usual likewise.

    A number without a unit that is above `usual` gets a warning: it was probably meant in milliseconds.
    """

    word = "time"

    def __init__(
        self,
        shortdesc: str,
        longdesc: str,
        *,
        minimum: str = "0",
        maximum: str | None = None,
        usual: str = "",
        **common: Any,
    ) -> None:
        super().__init__(shortdesc, longdesc, **common)
        self.minimum = minimum
        self.maximum = maximum
        self.usual = usual

    @property
    def kind(self) -> str:
        return self.word + _range(self.minimum if self.minimum != "0" else None, self.maximum)

    def spell(self, default: Any) -> str:
        return default if isinstance(default, str) else f"{default:g}s"

    def parse(self, text: str) -> float:
        value = parse_duration(text)
        if value < parse_duration(self.minimum):
            raise ValueError(f"{shown(text)} is shorter than {self.minimum}")
        if self.maximum is not None and value > parse_duration(self.maximum):
            unit = f"; write {text}ms for milliseconds" if text.isdigit() else ""
            raise ValueError(f"{shown(text)} is longer than {self.maximum}{unit}")
        return value

    def doubt(self, text: str) -> str:
        if not self.usual or not text.isdigit() or parse_duration(text) <= parse_duration(self.usual):
            return ""
        return f"{text} is {text} s; write {text}ms for milliseconds, or {text}s"


class AddressParam(Parameter[Address]):
    """An IP address; prefix="host" accepts /32 and /128 only, prefix="any" any length."""

    word = "address"

    def __init__(self, shortdesc: str, longdesc: str, *, prefix: str = "host", **common: Any) -> None:
        super().__init__(shortdesc, longdesc, **common)
        self.prefix = prefix

    def parse(self, text: str) -> Address:
        address = parse_address(text)
        if self.prefix == "host" and not address.is_host:
            raise ValueError(f"{shown(text)}: only a /32 or /128 can be used here, or leave the length out")
        if self.prefix == "host" and address.special:
            raise ValueError(f"{shown(text)} is {address.special}, which cannot be the address of a service")
        return address


class ListParam(Parameter["tuple[T, ...]"]):
    """Words separated by spaces, each parsed by parse, whose ValueError is the message; unset is no words."""

    max_length = MAX_LIST_LENGTH
    unset: Any = ()
    word = "list"

    def __init__(self, shortdesc: str, longdesc: str, *, parse: Callable[[str], T], **common: Any) -> None:
        super().__init__(shortdesc, longdesc, **common)
        self._parse_word = parse

    def spell(self, default: Any) -> str:
        return default if isinstance(default, str) else " ".join(map(str, default))

    def parse(self, text: str) -> tuple[T, ...]:
        values: list[T] = []
        complaints: list[str] = []
        for word in text.split():
            try:
                values.append(self._parse_word(word))
            except ValueError as error:
                complaints.append(_commas(word) if self._is_list_with_commas(word) else str(error))
        if complaints:
            more = len(complaints) - MAX_COMPLAINTS
            tail = f", and {more} more" if more > 0 else ""
            raise ValueError(", ".join(complaints[:MAX_COMPLAINTS]) + tail)
        return tuple(values)


    def _is_list_with_commas(self, word: str) -> bool:
        try:
            return "," in word and all(self._parse_word(part) is not None for part in word.split(",") if part)
        except ValueError:
            return False


class PrefixListParam(ListParam[Prefix]):
    """Networks separated by white space."""

    def __init__(self, shortdesc: str, longdesc: str, **common: Any) -> None:
        super().__init__(shortdesc, longdesc, parse=parse_prefix, **common)

    def _is_list_with_commas(self, word: str) -> bool:
        return "," in word


class NumberOrPercent:
    """A number of things, or a percentage of a total."""

    __slots__ = ("is_percent", "value")

    def __init__(self, value: int, is_percent: bool) -> None:
        self.value = value
        self.is_percent = is_percent

    def of(self, total: int) -> int:
        """Return the number for this total; a percentage is rounded up: 50% of 3 is 2."""
        return -(-total * self.value // 100) if self.is_percent else self.value

    def __str__(self) -> str:
        return f"{self.value}%" if self.is_percent else str(self.value)


class NumberOrPercentParam(Parameter[NumberOrPercent]):
    """A whole number from minimum on, or a percentage up to 100%."""

    word = "number or percentage"

    def __init__(self, shortdesc: str, longdesc: str, *, minimum: int = 0, **common: Any) -> None:
        super().__init__(shortdesc, longdesc, **common)
        self.minimum = minimum

    def parse(self, text: str) -> NumberOrPercent:
        is_percent = text.endswith("%")
        digits = text[:-1] if is_percent else text
        if not _is_number(digits):
            raise ValueError(f"{shown(text)} is neither a whole number nor a percentage")
        _check_range(text, int(digits), self.minimum, 100 if is_percent else None)
        return NumberOrPercent(int(digits), is_percent)


class PathParam(Parameter[str]):
    """An absolute path."""

    word = "path"

    def parse(self, text: str) -> str:
        if not text.startswith("/"):
            raise ValueError(f"{shown(text)} is not an absolute path")
        return text


def parse_duration(text: str) -> float:
    """Return the seconds of a time spelled like Pacemaker's, decimals permitted. Raises ValueError."""
    number = text.rstrip(_LETTERS)
    unit = text[len(number) :]
    number = number.rstrip(" ")
    whole, point, fraction = number.partition(".")
    if unit not in _UNITS_S or not _is_number(whole) or (point and not _is_number(fraction)):
        raise ValueError(f"{shown(text)} is not a time, such as 500ms, 2s or 1min")
    return float(number) * _UNITS_S[unit]


def _commas(word: str) -> str:
    return f"{shown(word)}: separate them by spaces, not by commas"


def _is_number(text: str) -> bool:
    """Whether text is a few ASCII digits: int() also accepts spaces, underscores and other scripts' digits."""
    return text.isascii() and text.isdigit() and len(text) <= 18


def _range(minimum: object, maximum: object) -> str:
    if maximum is None:
        return "" if minimum is None else f", at least {minimum}"
    return f", at most {maximum}" if minimum is None else f", {minimum} to {maximum}"


def _check_range(text: str, value: int, minimum: int | None, maximum: int | None) -> None:
    if minimum is not None and value < minimum:
        raise ValueError(f"{shown(text)} is less than {minimum}")
    if maximum is not None and value > maximum:
        raise ValueError(f"{shown(text)} is more than {maximum}")

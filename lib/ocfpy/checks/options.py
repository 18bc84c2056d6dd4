"""What a type of check can be told, as typed values: made of the texts of CheckSettings once, when the check is made.

Each type has a class of its own beside its code. Its fields, by name, are the options that `registry.py` has for the type.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar

from ocfpy.ocf.addresses import Address, parse_address

if TYPE_CHECKING:
    from ocfpy.checks.settings import CheckSettings

T = TypeVar("T")
O = TypeVar("O", bound="Options")  # noqa: E741 it is not a number


@dataclass(frozen=True)
class Source(Generic[T]):
    """An option whose text may be the path of a file that has it: `Check.value` makes what it stands for, when it is known."""

    name: str
    text: str
    parse: Callable[[str], T]


def option(parse: Callable[[str], Any] = str) -> Any:
    """A field that `parse` makes of the option's text; ValueError where it cannot."""
    return field(metadata={"parse": parse})


def source(parse: Callable[[str], Any] = str) -> Any:
    """A field of the type Source."""
    return field(metadata={"source": parse})


def flag(text: str) -> bool:
    """Whether an option is switched on."""
    return text == "true"


def words(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """What makes a tuple of the words of a text."""
    return lambda text: tuple(map(parse, text.split()))


@dataclass(frozen=True)
class Options:
    """What a check can be told that goes nowhere over the network."""

    @classmethod
    def of(cls: type[O], settings: CheckSettings) -> O:
        """The options in `settings`, each with its default where it says nothing. Raises ValueError."""
        texts = {one.name: settings[one.name] for one in fields(cls)}
        values: dict[str, Any] = {
            one.name: one.metadata["parse"](texts[one.name])
            if "parse" in one.metadata
            else Source(one.name, texts[one.name], one.metadata["source"])
            for one in fields(cls)
        }
        return cls(**values)


@dataclass(frozen=True)
class NetworkOptions(Options):
    """Those of every other check: the addresses of this node to come from, one of each family."""

    bind: tuple[Address, ...] = option(words(parse_address))


@dataclass(frozen=True)
class TlsOptions(NetworkOptions):
    """Those of a check over TLS: what is verified, and files, which are empty where there is none."""

    tls_verify: bool = option(flag)
    tls_name: str = option()
    ca: str = option()
    cert: str = option()
    key: str = option()

    @property
    def files(self) -> tuple[str, str, str]:
        """The paths of CAs, certificate and key."""
        return self.ca, self.cert, self.key

    @property
    def server_name(self) -> str:
        """What the server is called in TLS; empty: by its address."""
        return self.tls_name


@dataclass(frozen=True)
class StartTlsOptions(TlsOptions):
    """Those of a check that may go over to TLS on the way."""

    starttls: bool = option(flag)


@dataclass(frozen=True)
class LoginOptions(StartTlsOptions):
    """Those of a check that may log in on the way, as `user` with the password `secret`."""

    user: str = option()
    secret: Source[str] = source()

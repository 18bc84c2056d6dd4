"""The administrator's list of the networks that anycast addresses may be taken from."""

from __future__ import annotations

from ocfpy.ocf.addresses import Address, Prefix, parse_prefix
from ocfpy.ocf.errors import ConfigError, HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

ALLOWED_PREFIXES_FILE = "/etc/anycast/allowed-prefixes"


def read_prefixes(path: str) -> tuple[Prefix, ...]:
    """The prefixes in the file, one a line, `#` begins a comment; none when there is no such file.

    Raises HostError for a line that is not a prefix: an incomplete list would admit or exclude wrong addresses.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}") from None
    found = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                found.append(parse_prefix(text))
            except ValueError as error:
                raise HostError(f"{path}, line {number}: {error}") from None
    return tuple(found)


def outside(prefix: Address, allowed: Sequence[Prefix], place: str) -> str:
    """The sentence for a prefix that is in none of the allowed ones of a place, or nothing."""
    if any(network.contains(prefix) for network in allowed):
        return ""
    return f"{prefix.cidr} is outside what may be announced: {place} has {' '.join(map(str, allowed))}"


def check_allowed(prefix: Address, from_parameter: Sequence[Prefix], path: str = ALLOWED_PREFIXES_FILE) -> None:
    """Raise if the prefix may not be announced from this host; it has to be in each place that names any.

    ConfigError if the parameter forbids it; HostError if the file forbids it, or both are empty.
    """
    from_file = read_prefixes(path)
    if not from_parameter and not from_file:
        raise HostError(
            f"nothing may be announced: name the anycast subnets in parameter allowed_prefixes or in {path}"
        )
    if from_parameter and (fault := outside(prefix, from_parameter, "allowed_prefixes")):
        raise ConfigError(fault)
    if from_file and (fault := outside(prefix, from_file, path)):
        raise HostError(fault)


def strays(sent: Sequence[str], from_parameter: Sequence[Prefix], path: str = ALLOWED_PREFIXES_FILE) -> list[str]:
    """Return those of the prefixes, as text, that may not be announced from this host. Raises HostError like read_prefixes."""
    places = [place for place in (from_parameter, read_prefixes(path)) if place]
    return [text for text in sent if not all(_within(text, place) for place in places)]


def _within(text: str, allowed: Sequence[Prefix]) -> bool:
    prefix = parse_prefix(text)
    return any(network.contains(prefix) for network in allowed)

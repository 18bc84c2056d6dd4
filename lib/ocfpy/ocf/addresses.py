"""IP addresses and prefixes; importing ipaddress, the usual choice, takes longer than a monitor runs."""

from __future__ import annotations

# The C module behind socket, which itself pulls in enum and selectors (measured: 6 ms against 0.3 ms).
from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton

_BITS = {4: 32, 6: 128}
_AF = {4: AF_INET, 6: AF_INET6}

# RFC 6890: addresses bound to a host, a link or a group, which can never be routed to a site.
_SPECIAL = (
    ("0.0.0.0/8", "an unspecified address"),
    ("127.0.0.0/8", "a loopback address"),
    ("169.254.0.0/16", "a link-local address"),
    ("224.0.0.0/4", "a multicast address"),
    ("240.0.0.0/4", "a reserved address"),
    ("::/128", "the unspecified address"),
    ("::1/128", "the loopback address"),
    ("::ffff:0:0/96", "an IPv4 address written as IPv6"),
    ("fe80::/10", "a link-local address"),
    ("ff00::/8", "a multicast address"),
)


class _Network:
    """Family (4 or 6), the packed bytes and the prefix length."""

    __slots__ = ("family", "packed", "prefixlen")

    def __init__(self, family: int, packed: bytes, prefixlen: int) -> None:
        self.family = family
        self.packed = packed
        self.prefixlen = prefixlen

    @property
    def cidr(self) -> str:
        """The canonical text with the prefix length: 192.0.2.53/32."""
        return f"{inet_ntop(_AF[self.family], self.packed)}/{self.prefixlen}"

    def _key(self) -> tuple[int, bytes, int]:
        return self.family, self.packed, self.prefixlen

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, _Network) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __lt__(self, other: _Network) -> bool:
        return self._key() < other._key()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.cidr})"


class Address(_Network):
    """An address with its configured prefix length; str() leaves the length out."""

    __slots__ = ()

    def __str__(self) -> str:
        return inet_ntop(_AF[self.family], self.packed)

    @property
    def is_host(self) -> bool:
        """Whether this is a /32 or /128."""
        return self.prefixlen == _BITS[self.family]

    @property
    def special(self) -> str:
        """Why it cannot be the address of a service; empty for an ordinary unicast address."""
        return next((words for text, words in _SPECIAL if parse_prefix(text).contains(self)), "")


class Prefix(_Network):
    """A network: no bit is set beyond the prefix length."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.cidr

    def contains(self, other: Address | Prefix) -> bool:
        """Whether every address of other is in this prefix; a prefix of the other family never is."""
        if other.family != self.family or other.prefixlen < self.prefixlen:
            return False
        spare = _BITS[self.family] - self.prefixlen
        return int.from_bytes(other.packed, "big") >> spare == int.from_bytes(self.packed, "big") >> spare


def shown(text: str) -> str:
    """Return text quoted for a message, shortened when it is long."""
    return repr(text if len(text) <= 64 else text[:61] + "...")


def _parse(text: str, what: str) -> tuple[int, bytes, int]:
    host, slash, length = text.partition("/")
    family = 6 if ":" in host else 4
    try:
        packed = inet_pton(_AF[family], host)
    except (OSError, ValueError):
        raise ValueError(f"{shown(text)} is not an IP {what}") from None
    if not slash:
        return family, packed, _BITS[family]
    if not (length.isascii() and length.isdigit() and len(length) <= 3 and int(length) <= _BITS[family]):
        raise ValueError(f"{shown(text)}: the prefix length must be 0 to {_BITS[family]}")
    return family, packed, int(length)


def parse_address(text: str) -> Address:
    """Parse `192.0.2.53` or `192.0.2.53/32`, or IPv6; without a length it is a host. Raises ValueError."""
    return Address(*_parse(text, "address"))


def parse_prefix(text: str) -> Prefix:
    """Parse `192.0.2.0/24`; bits beyond the length, nearly always a typing error, are refused. Raises ValueError."""
    family, packed, length = _parse(text, "prefix")
    host_bits = int.from_bytes(packed, "big") & ((1 << (_BITS[family] - length)) - 1)
    if host_bits:
        network = (int.from_bytes(packed, "big") ^ host_bits).to_bytes(len(packed), "big")
        raise ValueError(f"{shown(text)} has host bits set: did you mean {Prefix(family, network, length)}?")
    return Prefix(family, packed, length)

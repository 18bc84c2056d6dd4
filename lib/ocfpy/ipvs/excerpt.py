"""The lines of /proc/net/ip_vs that are about one address, without what changes with each connection.

The launcher of anycast-vip takes the same excerpt with sed (is_table_the_same in agents/launcher.sh); the formats are those of
net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_info_seq_show.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ocf.addresses import Address

MARKS = "FWM "
"""How the line of a service by firewall mark begins; which family it is for shows in its real servers only."""


def pattern_of(address: Address, with_marks: bool) -> str:
    """Return the extended regular expression for the beginning of a service's line: those on the address, and those by mark."""
    text = _endpoint(address)
    for bracket in "[]":
        text = text.replace(bracket, f"\\{bracket}")
    return f"(.*{text}|{MARKS})" if with_marks else f".*{text}"


def excerpt(text: str, address: Address, with_marks: bool) -> list[str]:
    """Return the lines of those services and of their real servers, these without their connections."""
    endpoint, found, wanted = _endpoint(address), [], False
    for line in text.splitlines():
        is_heading = not line.startswith(" ")
        if is_heading:
            wanted = endpoint in line or (with_marks and line.startswith(MARKS))
        if wanted:
            found.append(line if is_heading else line.rsplit(None, 2)[0])
    return found


def _endpoint(address: Address) -> str:
    if address.family == 4:
        return f" {address.packed.hex().upper()}:"
    words = address.packed.hex()
    return f" [{':'.join(words[at : at + 4] for at in range(0, 32, 4))}]:"

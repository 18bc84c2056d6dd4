"""Shows a collected status to people: tables on a terminal with rich, plain columns everywhere else.

Reasons quote what servers sent, so they are data: no markup of rich, no control sequence, no character that `out` lacks.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TextIO

from ocfpy.healthd.snapshot import DRAINING, SORRY, STILL_SERVING, UP, PoolSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocfpy.healthd.snapshot import ServerSnapshot, ServiceSnapshot

    Rows = list[tuple[str, ...]]

_COLOURS = {
    UP: "green",
    "down": "red",
    "down but pooled": "bold red",
    "unknown": "yellow",
    STILL_SERVING: "yellow",
    DRAINING: "cyan",
    "drained": "cyan",
    SORRY: "magenta",
}


_PRESENT = {True: "yes", False: "no", None: "unknown"}


def as_text(found: dict[str, Any], out: TextIO) -> None:
    """Write everything in `found` (see collect.collect) to `out`."""
    for pool in map(PoolSnapshot.read, found["pools"]):
        said = f", {pool.attribute.name}={pool.attribute.value}" if pool.attribute else ""
        _table(
            f"{pool.resource}: {pool.state}{said}",
            ("service", "real server", "weight", "conns", "state", "for", "why"),
            [row for service in pool.virtual for row in _servers(service)],
            out,
        )
        for warning in pool.warnings:
            print(f"  {_printable(warning, out)}\n", file=out)
    if times := found.get("timeouts"):
        print(
            f"silent connections are forgotten after {times['tcp']} s (TCP), {times['tcp_fin']} s (TCP that closes),"
            f" {times['udp']} s (UDP): ipvsadm --set\n",
            file=out,
        )
    sync: Rows = [
        (one["resource"], one.get("nic", ""), one.get("syncid", ""), one.get("group", ""))
        for one in found["sync"]
    ]
    addresses: Rows = [
        (one["resource"], one.get("ip", ""), one.get("nic", ""), _PRESENT[one.get("present")]) for one in found["addresses"]
    ]
    routes: Rows = [
        (one["resource"], one.get("prefix", ""), one.get("vrf", ""), _neighbors(one), _gate(one.get("gate")))
        for one in found["announcements"]
    ]
    if sync:
        _table("connections shared", ("resource", "nic", "syncid", "group"), sync, out)
    if addresses:
        _table("addresses", ("resource", "address", "nic", "there"), addresses, out)
    if routes:
        _table("announcements", ("resource", "prefix", "vrf", "advertised to", "gate"), routes, out)
    if not any(found.values()):
        print("no anycast resource is started on this node", file=out)


def _servers(service: ServiceSnapshot) -> Iterable[tuple[str, ...]]:
    lost = ", no quorum" if service.quorum is False and service.alive else ""
    name = f"{service.service} ({service.alive} alive{lost})"
    for real in service.real_servers:
        age = _duration(time.time() - real.since) if real.since is not None else ""
        yield name, real.server, _weight(real), _connections(real), real.state, age, _why(real)
        name = ""


def _neighbors(route: dict[str, Any]) -> str:
    """The neighbors that bgpd advertises it to, or why bgpd cannot be asked."""
    neighbors = route.get("neighbors")
    if neighbors is None:
        return f"unknown: {route.get('trouble', '')}"
    return ", ".join(neighbors) or "none"


def _gate(gate: dict[str, Any] | None) -> str:
    """What the health daemon did with a gated route, since when, and what keeps it from doing more; "-" without a gate."""
    if gate is None:
        return "-"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(gate["since"]))
    why = f": {gate['why']}" if gate["why"] and gate["state"] == "withdrawn" else ""
    error = f", and cannot be changed: {gate['error']}" if gate["error"] else ""
    return f"{gate['state']}{why} since {since}{error}"


def _weight(real: ServerSnapshot) -> str:
    """The weight in the kernel; and the one it is moving to, if that differs."""
    goal = real.configured if real.state == UP else real.wanted
    shown = "-" if real.weight is None else str(real.weight)
    return shown if goal == real.weight else f"{shown} -> {'-' if goal is None else goal}"


def _connections(real: ServerSnapshot) -> str:
    return f"{real.active}+{real.inactive}" if real.active is not None else ""


def _why(real: ServerSnapshot) -> str:
    if real.drain:
        waits = f", waiting for persistent clients: {real.drain.clients}" if real.drain.clients else ""
        return f"removed in {_duration(real.drain.until - time.time())} at the latest{waits}"
    return real.reason


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _printable(text: object, out: TextIO) -> str:
    """Return text with an escape, such as \\x1b or \\u2026, for what is unprintable or not in the character set of `out`."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    encoding = out.encoding or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def _table(title: str, columns: tuple[str, ...], rows: Rows, out: TextIO) -> None:
    title = _printable(title, out)
    rows = [tuple(_printable(cell, out) for cell in row) for row in rows]
    if out.isatty() and _rich_table(title, columns, rows, out):
        return
    widths = [max(map(len, cells)) for cells in zip(columns, *rows)]
    print(title, file=out)
    for row in (columns, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        print(f"  {'  '.join(cells)}".rstrip(), file=out)
    print(file=out)


def _rich_table(title: str, columns: tuple[str, ...], rows: Rows, out: TextIO) -> bool:
    """Print with rich if it is installed; return whether it is. A str would be read as markup, a Text is not."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    table = Table(title=Text(title), title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")  # the ellipsis that is the default is not in every character set
    for row in rows:
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    Console(file=out).print(table)
    return True

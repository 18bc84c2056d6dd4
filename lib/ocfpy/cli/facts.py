"""Compares the records of addresses and announcements with the kernel and bgpd."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ocfpy.bgp.announcer import Announcer
from ocfpy.bgp.choice import AUTO, choose
from ocfpy.bgp.vty import Vty
from ocfpy.net.loopback import locate
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import OcfError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Json = dict[str, Any]

BGPD_S = 2.0
"""How long one bgpd may take for all its announcements; one that does not answer is not asked about the others."""


def look_at_addresses(records: Sequence[Json]) -> list[Json]:
    """Return the records with "present": whether the address is on its interface now, None where that cannot be told."""
    return [{**record, "present": _is_present(record)} for record in records]


def _is_present(record: Json) -> bool | None:
    try:
        address = parse_address(record["ip"])
        return (record["nic"], address.prefixlen) in locate(address)
    except (KeyError, ValueError, OSError):
        return None


def look_at_announcements(records: Sequence[Json]) -> list[Json]:
    """Return the records with "neighbors", those that bgpd advertises the prefix to now, and "trouble".

    `neighbors` is None where bgpd cannot be asked; `trouble` then says why.
    """
    deadlines: dict[str, Deadline] = {}
    troubles: dict[str, str] = {}
    return [{**record, **_advertised(record, deadlines, troubles)} for record in records]


def _advertised(record: Json, deadlines: dict[str, Deadline], troubles: dict[str, str]) -> Json:
    directory = record.get("vty_dir", "")
    if not directory or "prefix" not in record:
        return {"neighbors": None, "trouble": "its record has no bgpd"}
    if directory not in troubles:
        deadline = deadlines.setdefault(directory, Deadline(BGPD_S))
        try:
            vty = Vty(os.path.join(directory, "bgpd.vty"), deadline)
            announcer = Announcer(choose(record.get("backend", AUTO), vty, deadline), record.get("vrf", ""))
            route = announcer.route(parse_address(record["prefix"]))
            return {"neighbors": list(route.advertised_to) if route.exists else [], "trouble": ""}
        except OcfError as error:
            troubles[directory] = error.reason
        except (ValueError, OSError) as error:
            troubles[directory] = str(error)
    return {"neighbors": None, "trouble": troubles[directory]}

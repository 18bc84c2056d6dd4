"""A catalogue without mistakes, and random valid ones for property tests."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import strategies as st

DNS = """
services:
  dns:
    addresses: [192.0.2.53, "2001:db8:53::53"]
    ports: [udp/53, tcp/53]
    real_servers: [10.0.0.11, "2001:db8:a::11"]
    check: dns
    check_name: example.com
""".lstrip()
"""A catalogue without mistakes. Its last line is line 7."""

NAMES = ("dns", "web-1", "ldap.example", "ntp_")


def _service(name: str, options: dict[str, Any]) -> dict[str, Any]:
    number = NAMES.index(name) + 1
    addresses = {"4": [f"192.0.2.{number}"], "6": [f"2001:db8:53::{number}"]}
    addresses["46"] = addresses["4"] + addresses["6"]
    servers = {"4": [f"10.0.{number}.1"], "6": [f"2001:db8:a::{number}"]}
    servers["46"] = servers["4"] + servers["6"]
    families = options["addresses"]
    service: dict[str, Any] = {"addresses": addresses[families], "ports": ["tcp/80"], "real_servers": servers[families]}
    service.update({key: value for key, value in options.items() if key != "addresses" and value is not None})
    if service.get("active") == "both":
        service.pop("prefer", None)
        service.pop("announce", None)
    return service


_OPTIONS = st.fixed_dictionaries(
    {
        "addresses": st.sampled_from(["4", "6", "46"]),
        "families": st.sampled_from([None, "together", "apart"]),
        "active": st.sampled_from([None, "one", "both"]),
        "prefer": st.sampled_from([None, "lb1", "lb2"]),
        "announce": st.sampled_from([None, "none", {"min_peers": 2}]),
        "fall": st.sampled_from([None, 2, 5]),
    }
)
_DEFAULTS = st.sampled_from(
    [{}, {"check_interval": "1s"}, {"fall": 4, "operations": {"ipvs-pool": {"start": {"timeout": "90s"}}}}]
)


@st.composite
def catalogues(draw: st.DrawFn) -> str:
    """The text of a catalogue with up to four services."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    document: dict[str, Any] = {"services": {name: _service(name, draw(_OPTIONS)) for name in names}}
    document["defaults"] = draw(_DEFAULTS)
    if draw(st.booleans()):
        document["sync"] = {"nic": "eth0", "syncid": 53}
    return str(yaml.safe_dump(document))

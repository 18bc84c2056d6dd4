"""The announcement is taken away behind the cluster's back: the monitor has it announced again, by itself or by Pacemaker."""
from __future__ import annotations

import time

import pytest

from tests.lab.testbed import VIP4, VIP6, VIPS, Lab, wait_for

NO_NETWORK = "\n".join((
    "configure terminal", "router bgp",
    "address-family ipv4 unicast", f"no network {VIP4}/32", "exit",
    "address-family ipv6 unicast", f"no network {VIP6}/128",
))
ACCIDENTS = {
    "typed": f"vtysh -c '{NO_NETWORK}'",
    # What `systemctl reload frr` runs: what is not in frr.conf goes.
    "reload": "/usr/lib/frr/frr-reload.py --reload /etc/frr/frr.conf",
    "bgpd": "kill -9 $(cat /run/frr/bgpd.pid)",  # watchfrr starts it again
    "frr": "/usr/lib/frr/frrinit.sh restart >/dev/null 2>&1 </dev/null",
}
BACK_S = 120
"""Generous: a monitor every 5 s, perhaps a stop and a start, and after a restart of FRR its sessions, on a busy machine."""


@pytest.mark.parametrize("accident", sorted(ACCIDENTS))
def test_it_is_announced_again(steady: Lab, accident: str) -> None:
    cluster, core = steady.site_a.cluster, steady.core
    node = steady.node(cluster.wait_active("bgp4"))
    since = time.time()
    node.run(ACCIDENTS[accident], timeout=60).check()

    def withdrawn() -> bool:
        return any(event.at > since and event.prefix == VIP4 and event.next_hops != ("router-a",) for event in core.events)

    wait_for(withdrawn, BACK_S, "the route to go")
    for vip in VIPS:
        core.wait_route(vip, "router-a", limit=BACK_S)
    took = max(event.at for event in core.events if event.next_hops == ("router-a",)) - since
    print(f"{accident}: announced again after {took:.1f} s")
    for resource in ("bgp4", "bgp6"):
        cluster.wait_active(resource)
    cluster.wait_idle()

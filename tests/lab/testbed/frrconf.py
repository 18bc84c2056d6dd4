"""FRR configurations of the lab: the documentation's own examples with this lab's numbers, and the core's."""
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .base import REPOSITORY

EXAMPLES = REPOSITORY / "docs/examples"
CORE_ASN = 65000
CLIENT_NET4 = "10.0.100.0/24"
CLIENT_NET6 = "2001:db8:100::/64"
ANYCAST4 = "192.0.2.0/24"
ANYCAST6 = "2001:db8:53::/64"
PREFERENCE = {"a": 200, "b": 100}
BFD_INTERVAL = 300
"""Milliseconds; three missed are a failure. The examples' 100 ms are for machines of their own: here four nodes, three routers
and all other processes share two cores, and a node that forks a lot was seen to answer 190 ms late."""


@dataclass(frozen=True)
class Plan:
    """Numbers of one site: the second byte of its IPv4, the third word of its IPv6 networks, its autonomous systems."""

    name: str
    number: int

    @property
    def router_asn(self) -> int:
        return 65000 + self.number

    @property
    def lb_asn(self) -> int:
        return 65010 + self.number - 1

    def lan4(self, host: int) -> str:
        """Address in the site's LAN; .1 is the router, .11 and .12 the load balancers, .21 and .22 the real servers."""
        return f"10.{self.number}.0.{host}"

    def lan6(self, host: int) -> str:
        """The same in IPv6."""
        return f"2001:db8:{self.number}::{host}"

    def wan4(self, host: int) -> str:
        """Address on the line to the core: .1 is the core, .2 the site's router."""
        return f"10.0.{self.number}.{host}"

    def wan6(self, host: int) -> str:
        """The same in IPv6."""
        return f"2001:db8:ff0{self.number}::{host}"


def replaced(text: str, words: Mapping[str, str]) -> str:
    """Text with whole words (numbers, addresses, prefixes) replaced, in one pass, and this lab's BFD interval."""
    text = text.replace("-interval 100\n", f"-interval {BFD_INTERVAL}\n")
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.sub(rf"(?<![\w.:])({pattern})(?![\w.:])", lambda match: words[match[0]], text)


def load_balancer(plan: Plan, node: str, host: int) -> str:
    """frr.conf of a load balancer: docs/examples/frr-lb.conf; the site has one router, the example two."""
    text = (EXAMPLES / "frr-lb.conf").read_text()
    lines = [line for line in text.splitlines() if not re.search(r"neighbor (10\.1\.0\.2|2001:db8:1::2) ", line)]
    return replaced("\n".join(lines), {
        "lb1": node, "65010": str(plan.lb_asn), "65001": str(plan.router_asn), "2001:db8:53::/48": ANYCAST6,
        "10.1.0.11": plan.lan4(host), "10.1.0.1": plan.lan4(1), "2001:db8:1::1": plan.lan6(1),
    }) + "\n"


def _example_router(plan: Plan) -> str:
    text = (EXAMPLES / "frr-router.conf").read_text().replace("\nend\n", "\n")
    text = re.sub(r"(?m)^ip(v6)? route .*\n", "", text)  # there is no last resort here: what no site announces is to be lost
    return replaced(text, {
        "router1": f"router-{plan.name}", "65001": str(plan.router_asn), "65010": str(plan.lb_asn), "2001:db8:53::/48": ANYCAST6,
        "10.1.0.1": plan.lan4(1), "10.1.0.11": plan.lan4(11), "10.1.0.12": plan.lan4(12),
        "2001:db8:1::11": plan.lan6(11), "2001:db8:1::12": plan.lan6(12),
    })


def single_router(plan: Plan) -> str:
    """frr.conf of a router with one load balancer and no core: the example without its second load balancer."""
    lines = _example_router(plan).splitlines()
    return "\n".join(line for line in lines if f" {plan.lan4(12)} " not in line and f" {plan.lan6(12)} " not in line) + "\n"


def site_router(plan: Plan) -> str:
    """frr.conf of a site's router: docs/examples/frr-router.conf and a session with the core."""
    return _example_router(plan) + f"""
route-map ALL permit 10
exit
router bgp {plan.router_asn}
{_session(plan.wan4(1), plan.wan6(1), CORE_ASN)}
 address-family ipv4 unicast
  network {plan.lan4(0)}/24
  neighbor {plan.wan4(1)} activate
  neighbor {plan.wan4(1)} route-map ALL in
  neighbor {plan.wan4(1)} route-map ALL out
 exit-address-family
 address-family ipv6 unicast
  network {plan.lan6(0).removesuffix("0")}/64
  neighbor {plan.wan6(1)} activate
  neighbor {plan.wan6(1)} route-map ALL in
  neighbor {plan.wan6(1)} route-map ALL out
 exit-address-family
exit
"""


def core(plans: list[Plan]) -> str:
    """frr.conf of the core: it prefers site A as long as that announces anything."""
    text = f"""\
frr defaults traditional
hostname core
bfd
 profile ANYCAST
  detect-multiplier 3
  receive-interval {BFD_INTERVAL}
  transmit-interval {BFD_INTERVAL}
 exit
exit
route-map ALL permit 10
exit
"""
    for plan in plans:
        text += f"route-map FROM-{plan.name} permit 10\n set local-preference {PREFERENCE[plan.name]}\n"
        text += " set ipv6 next-hop prefer-global\nexit\n"
    text += f"router bgp {CORE_ASN}\n bgp router-id 10.0.0.1\n no bgp default ipv4-unicast\n timers bgp 3 9\n"
    for plan in plans:
        text += _session(plan.wan4(2), plan.wan6(2), plan.router_asn) + "\n"
    for family, net in (("ipv4", CLIENT_NET4), ("ipv6", CLIENT_NET6)):
        text += f" address-family {family} unicast\n  network {net}\n"
        for plan in plans:
            peer = plan.wan4(2) if family == "ipv4" else plan.wan6(2)
            text += f"  neighbor {peer} activate\n  neighbor {peer} route-map FROM-{plan.name} in\n"
            text += f"  neighbor {peer} route-map ALL out\n"
        text += " exit-address-family\n"
    return text + "exit\n"


def _session(address4: str, address6: str, asn: int) -> str:
    return "\n".join(
        f" neighbor {address} remote-as {asn}\n neighbor {address} bfd profile ANYCAST\n neighbor {address} timers connect 1"
        for address in (address4, address6)
    )

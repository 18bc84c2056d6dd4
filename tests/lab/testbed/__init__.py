"""The lab: two anycast sites made of real kernels, real routers and real servers, driven from Python.

Tests, demo and benchmarks stand on this package. It needs root, and on the host only Debian's frr, iproute2, mmdebstrap
and e2fsprogs; everything else in the lab comes from the Debian root that it builds for itself (rootfs.py).

    client -- core --+-- router-a --- lan-a --- lb-a1 lb-a2 (user-mode Linux: IPVS, FRR, Corosync, Pacemaker)
                     |                   '----- rs-a1 rs-a2 (namespaces: DNS server, nginx, the VIPs on lo)
                     '-- router-b --- lan-b --- lb-b1 lb-b2, rs-b1 rs-b2

Every site's routers and nodes speak eBGP with BFD; the core prefers site A and knows B as the backup. Requests go to
VIP4 = 192.0.2.53 and VIP6 = 2001:db8:53::53, UDP and TCP 53 (DNS) and TCP 80 (HTTP). Forwarding is DR: answers return
from the real servers through the site's router.

    with Lab() as lab:                       # builds what is missing, boots, waits for BGP; close() leaves nothing behind
        lab.start_clusters()                 # Corosync + Pacemaker on both sites, all nodes online
        lab.load_examples()                  # the installed cib-examples file, through crmsh, for this lab's addresses
        site = lab.site_a                    # .name "a" .router .nodes .backends .cluster; lab.sites, lab.nodes
        stream = lab.client.stream(interval=0.02)      # DNS and HTTP, IPv4 and IPv6, each every `interval` seconds

        site.backends.stop(); site.backends.start()    # kill -9 / start every server's services
        site.backends[0].stop(); .start(); .freeze(); .thaw()
        site.cluster.crm("node standby lb-a1")         # -> Result, raises LabError unless rc is 0
        site.cluster.who_is_active("vip4")             # node name or None
        site.cluster.wait_online(); .failed_actions(); .fail_counts(); .attributes() -> {node: {name: value}}
        site.cluster.status()                          # the text of crm_mon -1rfA
        node = lab.node("lb-a1")
        node.run("ipvsadm -Ln", timeout=10).out        # -> Result(rc, out, err); .check() raises LabError
        node.put("/etc/x", "text"); node.get("/etc/x")
        node.power_off()                               # power cut: SIGKILL, nothing says goodbye
        node.power_on()                                # same disk; FRR and the cluster come back by themselves
        site.dark(); site.light()                      # uplink cut silently + every node without power; and back
        site.uplink.cut(); site.uplink.mend()          # the cable only: no carrier loss is seen on either side

        lab.core.route_to("192.0.2.53")                # -> ["router-a"]: names of the next hops, [] without a route
        lab.core.events                                # [RouteEvent(at, prefix, next_hops)] live; at = time.time()
        lab.core.wait_route("192.0.2.53", "router-b", limit=5)
        report = stream.report(since=t0, until=t1)     # by send time, live at any moment; without: everything
        report.sent, report.lost, report.gap           # gap: longest time without an answer, seconds, worst kind
        report.by_site, report.by_server, report.by_kind, report.requests
        stream.stop()                                  # ends the process, waits for the last answers

wait_for(probe, limit, what) polls until probe() is true and fails with the last value seen. Every failure of the lab itself
is a LabError. Times are time.time() seconds. Lab(sites=("a",)) makes half of it; Lab(keep_logs=DIR) chooses where logs go.

Why not munet (LabN's topology library, PyPI): it makes namespaces, podman containers and QEMU guests from a description
and drives shells in them. Namespaces are the small part here (network.py, about 150 lines of `ip`); the nodes need kernels of
their own without KVM, which it has no kind for, power cuts, copy-on-write disks and cables that fail silently. It would be
one more thing to install that Debian 12 does not package, and all of uml.py would still be ours.
"""
from __future__ import annotations

from .base import VIP4, VIP6, VIPS, LabError, Result, wait_for
from .client import Client, Stream
from .cluster import Cluster
from .realserver import Backends, RealServer
from .report import Report, Request
from .router import RouteEvent, Router
from .topology import Lab, Site
from .uml import UmlNode

__all__ = [
    "Backends", "Client", "Cluster", "Lab", "LabError", "RealServer", "Report", "Request", "Result", "RouteEvent", "Router",
    "Site", "Stream", "UmlNode", "VIP4", "VIP6", "VIPS", "wait_for",
]

"""What the agents do on this node as metrics, in Prometheus' text exposition format (version 0.0.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from ocfpy.healthd.client import DEGRADED, RUNNING
from ocfpy.healthd.snapshot import PoolSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocfpy.healthd.snapshot import ServerSnapshot, ServiceSnapshot

    Json = dict[str, Any]
    Labels = dict[str, str]
    Samples = dict[str, list[str]]
    Sample = tuple[str, Labels, Optional[float]]

PREFIX = "anycast"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

HELP = {
    "pool_up": ("gauge", "1 where the health daemon answers, and its table is what it should be."),
    "pool_attribute": ("gauge", "Backends alive, as the node attribute tells the cluster."),
    "pool_attribute_in_cluster": ("gauge", "1 where the cluster has taken the attribute's value."),
    "service_backends_alive": ("gauge", "Real servers that are up, down but pooled ones left out."),
    "service_backends_down_but_pooled": ("gauge", "Real servers that are down and kept in service by min_up."),
    "service_backends_leaving": ("gauge", "Real servers that are leaving and still serve, because the new ones are not up."),
    "service_quorum": ("gauge", "1 where the virtual service has its quorum."),
    "real_server_up": ("gauge", "1 where the checks say that the real server is up."),
    "real_server_weight": ("gauge", "Weight in the kernel; no sample where the server is not in the table."),
    "real_server_state": ("gauge", "1, with the state in words as a label."),
    "real_server_since_seconds": ("gauge", "Since when the checks say so, or it is draining, in seconds since the epoch."),
    "real_server_check_seconds": ("gauge", "How long the last check took."),
    "real_server_connections": ("gauge", "Connections that the kernel remembers."),
    "service_connections_total": ("counter", "Connections that the virtual service has had."),
    "service_packets_total": ("counter", "Packets; with direct routing none goes out this way."),
    "service_bytes_total": ("counter", "Bytes; with direct routing none goes out this way."),
    "real_server_connections_total": ("counter", "Connections that the real server has had."),
    "real_server_packets_total": ("counter", "Packets; with direct routing none goes out this way."),
    "real_server_bytes_total": ("counter", "Bytes; with direct routing none goes out this way."),
    "address_info": ("gauge", "1 for each anycast address that was started here."),
    "announcement_info": ("gauge", "1 for each announcement that was started here."),
    "address_present": ("gauge", "1 where the address is on its interface, 0 where it was started and is not."),
    "announcement_neighbors": ("gauge", "Neighbors that bgpd advertises the prefix to; no sample where it cannot be asked."),
    "sync_info": ("gauge", "1 for each connection sync that was started here."),
}
"""Type and meaning of each metric; names without the prefix, units as prometheus.io/docs/practices/naming wants them."""


def as_metrics(found: Json) -> str:
    """Everything in `found` (see collect.collect), ready for a scrape or node_exporter's textfile collector."""
    samples: Samples = {}
    for name, labels, value in _samples(found):
        if value is None:
            continue
        shown = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
        samples.setdefault(name, []).append(f"{PREFIX}_{name}{{{shown}}} {value}\n")
    return "".join(
        f"# HELP {PREFIX}_{name} {text}\n# TYPE {PREFIX}_{name} {kind}\n{''.join(samples[name])}"
        for name, (kind, text) in HELP.items()
        if name in samples
    )


def _samples(found: Json) -> Iterator[Sample]:
    """The value is None where there is nothing to tell, as of what the daemon of an older version does not know."""
    for document in found["pools"]:
        pool = PoolSnapshot.read(document)
        labels = {"pool": pool.resource}
        yield "pool_up", labels, int(pool.state.split()[0] in (RUNNING, DEGRADED))
        if pool.stale:
            continue  # the rest may have changed
        if pool.attribute:
            named = {**labels, "attribute": pool.attribute.name}
            yield "pool_attribute", named, pool.attribute.value
            yield "pool_attribute_in_cluster", named, _flag(pool.attribute.in_cluster)
        for service in pool.virtual:
            yield from _of_service(service, {**labels, "service": service.service})
    for kind, name, labelled in (
        ("addresses", "address_info", ("ip", "nic")),
        ("announcements", "announcement_info", ("prefix", "vrf")),
        ("sync", "sync_info", ("nic", "syncid", "group")),
    ):
        for one in found[kind]:
            yield name, {"resource": one["resource"], **{label: one.get(label, "") for label in labelled}}, 1
    for one in found["addresses"]:
        yield "address_present", {"resource": one["resource"], "ip": one.get("ip", "")}, _flag(one.get("present"))
    for one in found["announcements"]:
        neighbors = one.get("neighbors")
        labels = {"resource": one["resource"], "prefix": one.get("prefix", "")}
        yield "announcement_neighbors", labels, None if neighbors is None else len(neighbors)


def _of_service(service: ServiceSnapshot, labels: Labels) -> Iterator[Sample]:
    yield "service_backends_alive", labels, service.alive
    yield "service_backends_down_but_pooled", labels, service.down_but_pooled
    yield "service_backends_leaving", labels, service.leaving_still_serving
    yield "service_quorum", labels, _flag(service.quorum)
    yield from _of_traffic("service", service.traffic, labels)
    for real in service.real_servers:
        yield from _of_real_server(real, {**labels, "server": real.server})


def _of_real_server(real: ServerSnapshot, labels: Labels) -> Iterator[Sample]:
    yield "real_server_state", {**labels, "state": real.state}, 1
    yield "real_server_weight", labels, real.weight
    for kind, connections in (("active", real.active), ("inactive", real.inactive)):
        yield "real_server_connections", {**labels, "state": kind}, connections
    yield from _of_traffic("real_server", real.traffic, labels)
    if real.check:  # sorry servers have none
        yield "real_server_up", labels, _flag(real.check.up)
        yield "real_server_since_seconds", labels, None if real.check.up is None else real.since
        yield "real_server_check_seconds", labels, real.check.seconds


def _of_traffic(of: str, traffic: dict[str, int] | None, labels: Labels) -> Iterator[Sample]:
    if traffic:
        yield f"{of}_connections_total", labels, traffic["connections"]
        for what in ("packets", "bytes"):
            for direction in ("in", "out"):
                yield f"{of}_{what}_total", {**labels, "direction": direction}, traffic[f"{direction}_{what}"]


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)

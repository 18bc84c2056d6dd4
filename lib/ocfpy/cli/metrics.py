"""The state of this node's agents as metrics, in Prometheus' text exposition format (version 0.0.4)."""

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
    "pool_up": ("gauge", "1 if the health daemon answers, and its table is as wanted."),
    "pool_attribute": ("gauge", "Live backends, as published in the node attribute."),
    "pool_attribute_in_cluster": ("gauge", "1 if the cluster has accepted the attribute's value."),
    "service_backends_alive": ("gauge", "Real servers that are up, without those that are down but pooled."),
    "service_backends_down_but_pooled": ("gauge", "Real servers that are down and kept in service by min_up."),
    "service_backends_leaving": ("gauge", "Real servers that are leaving and still serve, because the new ones are not up."),
    "service_quorum": ("gauge", "1 if the virtual service has its quorum."),
    "real_server_up": ("gauge", "1 if the checks say that the real server is up."),
    "real_server_weight": ("gauge", "Weight in the kernel; no sample if the server is not in the table."),
    "real_server_state": ("gauge", "1, with the state as a label."),
    "real_server_since_seconds": ("gauge", "Start of the up or down state, or of the drain, in seconds since the epoch."),
    "real_server_check_seconds": ("gauge", "Duration of the last check."),
    "real_server_connections": ("gauge", "Connections in the kernel's connection table."),
    "service_connections_total": ("counter", "Connections to the virtual service."),
    "service_packets_total": ("counter", "Packets; with direct routing replies do not pass here."),
    "service_bytes_total": ("counter", "Bytes; with direct routing replies do not pass here."),
    "real_server_connections_total": ("counter", "Connections to the real server."),
    "real_server_packets_total": ("counter", "Packets; with direct routing replies do not pass here."),
    "real_server_bytes_total": ("counter", "Bytes; with direct routing replies do not pass here."),
    "address_info": ("gauge", "1 for each anycast address started here."),
    "announcement_info": ("gauge", "1 for each announcement started here."),
    "address_present": ("gauge", "1 if the address is on its interface, 0 if it was started but is missing."),
    "announcement_neighbors": ("gauge", "Neighbors that bgpd advertises the prefix to; no sample if bgpd does not answer."),
    "sync_info": ("gauge", "1 for each connection sync started here."),
}
"""Type and meaning of each metric; names without the prefix, units as in prometheus.io/docs/practices/naming."""


def as_metrics(found: Json) -> str:
    """Return everything in `found` (see collect.collect) for a scrape or node_exporter's textfile collector."""
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
    """A value of None is no sample: for example of a field that an older daemon does not have."""
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

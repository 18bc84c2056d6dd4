"""The state of this node's agents as metrics, in Prometheus' text exposition format (version 0.0.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from ocfpy.healthd.client import DEGRADED, RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    """Add a sample. None adds nothing, for example for a field that an older daemon does not have."""
    for pool in found["pools"]:
        labels = {"pool": pool["resource"]}
        yield "pool_up", labels, int(pool["state"].split()[0] in (RUNNING, DEGRADED))
        if pool.get("stale"):
            continue  # the state of the rest is unknown
        if attribute := pool.get("attribute"):
            named = {**labels, "attribute": attribute["name"]}
            yield "pool_attribute", named, attribute["value"]
            yield "pool_attribute_in_cluster", named, _flag(attribute.get("in_cluster"))
        for service in pool["virtual"]:
            yield from _of_service(service, {**labels, "service": service["service"]})
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


def _of_service(service: Json, labels: Labels) -> Iterator[Sample]:
    yield "service_backends_alive", labels, service.get("alive")
    yield "service_backends_down_but_pooled", labels, service.get("down_but_pooled")
    yield "service_backends_leaving", labels, service.get("leaving_still_serving")
    yield "service_quorum", labels, _flag(service.get("quorum"))
    yield from _of_traffic("service", service, labels)
    for real in service["real_servers"]:
        yield from _of_real_server(real, {**labels, "server": real["server"]})


def _of_real_server(real: Json, labels: Labels) -> Iterator[Sample]:
    yield "real_server_state", {**labels, "state": real["state"]}, 1
    yield "real_server_weight", labels, real["weight"]
    for kind in ("active", "inactive"):
        yield "real_server_connections", {**labels, "state": kind}, real.get(kind)
    yield from _of_traffic("real_server", real, labels)
    if check := real.get("check"):  # a sorry server, and one that is leaving, have none
        up = _flag(check.get("up"))
        yield "real_server_up", labels, up
        yield "real_server_since_seconds", labels, None if up is None else real.get("since")
        yield "real_server_check_seconds", labels, check.get("seconds")


def _of_traffic(of: str, counted: Json, labels: Labels) -> Iterator[Sample]:
    if traffic := counted.get("traffic"):
        yield f"{of}_connections_total", labels, traffic["connections"]
        for what in ("packets", "bytes"):
            for direction in ("in", "out"):
                yield f"{of}_{what}_total", {**labels, "direction": direction}, traffic[f"{direction}_{what}"]


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)

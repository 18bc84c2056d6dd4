"""The parameters of ocf:anycast:ipvs-pool except those of its checks: declarations only."""

from __future__ import annotations

from ocfpy.ipvs.model import (
    FORWARDS,
    MAX_PORT,
    TUNNEL_TYPES,
    parse_real_server,
    parse_scheduler_flag,
    parse_virtual,
)
from ocfpy.ocf.parameters import (
    NAME_CHARACTERS,
    BoolParam,
    DurationParam,
    IntParam,
    ListParam,
    NumberOrPercentParam,
    PathParam,
    StringParam,
)

DRAIN_DIR = "/var/lib/ocf-anycast/drained"


def real_server_word(text: str) -> str:
    """Return a real server as written, after validation: its defaults come from other parameters."""
    parse_real_server(text)
    return text


class ServiceParameters:
    """Virtual services, their real servers, and which of these get traffic."""

    virtual = ListParam(
        "virtual services",
        "What clients connect to, separated by white space: tcp/192.0.2.53:53 udp/[2001:db8::53]:53,"
        " sctp/..., or a firewall mark: fwmark/7 (IPv4), fwmark6/7 (IPv6). Required, like real_servers, unless config is set.",
        parse=parse_virtual,
        reloadable=True,
    )
    real_servers = ListParam(
        "real servers",
        "The servers behind each virtual service, separated by white space: 10.0.0.11:53"
        " [2001:db8:1::11]:53,weight=2,forward=nat. The default port is that of the virtual service. Options:"
        " weight, forward, lower and upper (connection thresholds), tunnel_type, tunnel_port. A virtual service gets"
        " the servers of its own address family; if there are none, those with forward=tunnel."
        " Host names are refused.",
        parse=real_server_word,
        reloadable=True,
    )
    scheduler = StringParam(
        "scheduler",
        "Any scheduler of the kernel: rr, wrr, lc, wlc, sh, mh, ...",
        charset="abcdefghijklmnopqrstuvwxyz0123456789_",
        default="wlc",
        reloadable=True,
    )
    scheduler_flags = ListParam(
        "scheduler flags",
        "mh-fallback, mh-port, sh-fallback, sh-port, or flag-1 to flag-3.",
        parse=parse_scheduler_flag,
        reloadable=True,
    )
    forward = StringParam(
        "forwarding method",
        "dr (direct routing), nat or tunnel, for real servers that do not set it.",
        choices=FORWARDS,
        default="dr",
        reloadable=True,
    )
    tunnel_type = StringParam(
        "tunnel type",
        "ipip, gue or gre, for forward=tunnel.",
        choices=TUNNEL_TYPES,
        default="ipip",
        reloadable=True,
    )
    tunnel_port = IntParam(
        "tunnel port",
        "UDP port at which the real servers receive GUE.",
        minimum=1,
        maximum=MAX_PORT,
        reloadable=True,
    )
    persistence_timeout = DurationParam(
        "persistence",
        "How long a client stays with its real server; whole seconds. 0: each connection is scheduled separately.",
        maximum="744h",  # ipvsadm's limit, 31 days
        default="0s",
        reloadable=True,
    )
    persistence_netmask = StringParam(
        "persistence netmask",
        "Clients of the same network stay together: 24 or 255.255.255.0. Unset: each address separately.",
        reloadable=True,
    )
    persistence_engine = StringParam(
        "persistence engine", "sip, or another engine of the kernel.", charset=NAME_CHARACTERS, reloadable=True
    )
    one_packet = BoolParam(
        "one-packet scheduling",
        "Schedule each packet separately in the pool's UDP (and firewall mark) services: for DNS, where a packet is a"
        " request. Otherwise a client's address and port stay with a server, even a dead one, until the UDP timeout of"
        " five minutes. Not with forward=nat.",
        default="false",
        reloadable=True,
    )
    quiesce = BoolParam(
        "quiesce",
        "true: a failed server gets weight 0, and its existing connections stay. false: it is"
        " removed, and with the kernel's net.ipv4.vs.expire_nodest_conn=1 its clients go to another server"
        " at once, instead of at the end of the connection's timeout (five minutes for UDP).",
        default="true",
        reloadable=True,
    )
    attribute = StringParam(
        "node attribute",
        "Holds the number of live backends, of the virtual service that has the fewest. Each pool needs its own."
        " Unset: healthy- and the name of the resource.",
        charset=NAME_CHARACTERS,
    )
    dampen = DurationParam(
        "dampening",
        "How long the cluster waits for further changes of the attribute before it acts on a change.",
        maximum="1h",
        usual="1min",
        default="0s",
        reloadable=True,
    )
    min_up = NumberOrPercentParam(
        "servers kept in service",
        "This many real servers of each virtual service, or this percentage of them, stay in service even when their"
        " checks fail: those that failed last, shown as down but pooled. For checks that may be wrong about"
        " many servers at once. Drained servers are counted, but not kept. The node attribute"
        " counts only servers that are up. 0: every server that fails is taken out.",
        default="0",
        reloadable=True,
    )
    quorum = NumberOrPercentParam(
        "quorum",
        "With fewer real servers up than this, or this percentage, a virtual service is dead for the cluster: the"
        " node attribute is 0. The servers that are up stay in service.",
        minimum=1,
        default="1",
        reloadable=True,
    )
    quorum_up = NumberOrPercentParam(
        "quorum to come back",
        "This many servers have to be up for a virtual service to regain its quorum. Unset: quorum.",
        minimum=1,
        reloadable=True,
    )
    sorry_server = ListParam(
        "sorry servers",
        "Servers, written like those of real_servers, that get the clients when no real server does; for example"
        " with a page that apologizes. They are not checked and do not count as alive.",
        parse=real_server_word,
        reloadable=True,
    )
    drain_timeout = DurationParam(
        "drain timeout",
        "A drained real server (weight=0, no longer in real_servers, or `anycastctl"
        " drain`) gets no new clients, and is removed when its connections have ended, at the latest after this"
        " time. A client of UDP counts until the kernel's time-out, five minutes after its last packet (ipvsadm --set);"
        " one with persistence until persistence_timeout after its last connection, unless"
        " net.ipv4.vs.expire_quiescent_template=1 sends it elsewhere. 0s: it is removed at once.",
        maximum="24h",
        default="5min",
        reloadable=True,
    )
    drain_dir = PathParam(
        "directory of drained servers",
        "A file in it that is named after a real server, 10.0.0.11 or 10.0.0.11:53, drains that server until the file"
        " is removed; in the subdirectory named after the resource only in this pool. `anycastctl drain` and"
        " `undrain` create and remove the files.",
        default=DRAIN_DIR,
        reloadable=True,
    )
    slow_start = DurationParam(
        "slow start",
        "The weight of a real server that is back grows to its configured weight in this time, in ten steps. Needs weights"
        " with room for steps, such as weight=10.",
        maximum="1h",
        default="0s",
        reloadable=True,
    )

"""The parameters of ocf:anycast:ipvs-pool that say how real servers are checked: declarations only."""

from __future__ import annotations

from ocfpy.checks.expect import parse_rcode, parse_status
from ocfpy.checks.registry import NAMES, OPTIONS, TYPES, users_of
from ocfpy.ipvs.model import MAX_PORT
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.parameters import (
    NAME_CHARACTERS,
    BoolParam,
    DurationParam,
    IntParam,
    ListParam,
    PathParam,
    SecretParam,
    StringParam,
)

_RDTYPES = ("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT")


def _of(option: str, text: str) -> str:
    """Return the description of a parameter, with the checks that it applies to."""
    users = users_of(option)
    return f"{text} For check={', '.join(users)}." if len(users) < len(NAMES) // 2 else text


class CheckParameters:
    """The parameters check, check_*, rise and fall."""

    check = StringParam(
        "health check",
        "; ".join(f"{kind.name}: {kind.summary}" for kind in TYPES.values())
        + ". Required for a service of UDP or SCTP that has no service of TCP beside it.",
        choices=NAMES,
        default="tcp",
        reloadable=True,
    )
    check_port = IntParam(
        "port to check",
        "Unset: the port of the real server. With a firewall mark as virtual service the server has no port: then the"
        " usual port of the checked protocol.",
        minimum=1,
        maximum=MAX_PORT,
        reloadable=True,
    )
    check_interval = DurationParam(
        "check interval",
        "Time between two checks of a server. Checks keep to the wall clock, so that both nodes of a pair"
        " check the same server at the same time.",
        minimum="100ms",
        maximum="1h",
        usual="1min",
        default="2s",
        reloadable=True,
    )
    check_retry_interval = DurationParam(
        "retry interval",
        "Interval while results contradict the server's state, until rise or fall is reached. A refusing server is then out"
        " after at most check_interval + (fall - 1) x check_retry_interval, instead of fall x check_interval. A silent server is"
        " out after check_interval + fall x check_timeout, if check_timeout is longer than check_retry_interval: no check begins"
        " before the last one has ended. HAProxy calls it fastinter, keepalived delay_before_retry. Not longer than"
        " check_interval. Unset: check_interval.",
        minimum="10ms",
        maximum="1h",
        usual="1min",
        reloadable=True,
    )
    check_timeout = DurationParam(
        "check timeout",
        "A server that has not answered by then fails the check. Not longer than check_interval.",
        minimum="10ms",
        maximum="1h",
        usual="1min",
        default="1s",
        reloadable=True,
    )
    rise = IntParam(
        "successes until up",
        "This many successful checks in a row bring a server back.",
        minimum=1,
        maximum=100,
        default=2,
        reloadable=True,
    )
    fall = IntParam(
        "failures until down",
        "This many failed checks in a row take a server out.",
        minimum=1,
        maximum=100,
        default=3,
        reloadable=True,
    )
    check_request = SecretParam(
        "request",
        "What is sent to the server. tcp and udp: the text itself. http: the body, with check_method=POST. http_proxy: the URL to"
        " fetch, http://www.example.com/, or the destination of a tunnel, www.example.com:443. mysql and postgresql: the query,"
        " unset SELECT 1. In all of these \\r, \\n, \\t, \\\\ and \\x00 to \\xff are escapes as in C. ldap: the search as in an"
        " LDAP URL, dn?attributes?scope?filter, such as dc=example,dc=com??sub?(uid=probe); unset, the server's own entry (root"
        " DSE). sip: the URI; unset, that of the server. A request that contains credentials belongs into a file: @/path stands"
        f" for the first line of that file. For check={', '.join(users_of('request'))}.",
        reloadable=True,
    )
    check_expect = StringParam(
        "expected text",
        "Text that the answer has to contain, or a regular expression after re:. http and http_proxy search the body (the first"
        " MiB), dns the records of the answer, tcp and udp the received data, mysql and postgresql the rows, with | between the"
        " values, ldap the entries, as lines \"dn: ...\" and \"attribute: value\". udp without an expected text succeeds if the"
        " server answers a ping and does not report that the port is closed.",
        reloadable=True,
    )
    http_host = StringParam(
        "HTTP host",
        _of("host", "The Host header. Unset: the address of the server."),
        charset=f"{NAME_CHARACTERS}[]:",
        reloadable=True,
        name="check_host",
    )
    check_path = StringParam(
        "HTTP path",
        _of("path", "The path of the request, with its query."),
        default=OPTIONS["path"],
        reloadable=True,
    )
    check_method = StringParam(
        "HTTP method",
        _of("method", "The method of the request."),
        choices=("GET", "HEAD", "OPTIONS", "POST"),
        default=OPTIONS["method"],
        reloadable=True,
    )
    check_status = ListParam(
        "statuses",
        _of("status", "The HTTP or SIP statuses that count as success, such as 200-299 301."),
        parse=parse_status,
        default=OPTIONS["status"],
        reloadable=True,
    )
    check_headers = SecretParam(
        "HTTP headers",
        _of(
            "headers",
            "Further header lines, or replacements of the default ones, \\n between two: X-Site: here\\nAccept: text/html."
            " Headers that contain credentials belong into a file: @/path stands for the first line of that file.",
        ),
        reloadable=True,
    )
    check_name = StringParam(
        "DNS name", _of("name", "The name in the query."), charset=f"{NAME_CHARACTERS}*/", reloadable=True
    )
    check_rdtype = StringParam(
        "DNS record type",
        _of("rdtype", "The type in the query; the answer has to have a record of it."),
        choices=_RDTYPES,
        default=OPTIONS["rdtype"],
        reloadable=True,
    )
    check_rcode = ListParam(
        "DNS rcodes",
        _of("rcode", "The rcodes that count as success, such as NOERROR NXDOMAIN. Only NOERROR requires records in the answer."),
        parse=parse_rcode,
        default=OPTIONS["rcode"],
        reloadable=True,
    )
    check_transport = StringParam(
        "transport",
        _of(
            "transport",
            "Whether to use udp or tcp. A dns answer that is truncated over udp is requested again over tcp.",
        ),
        choices=("udp", "tcp"),
        default=OPTIONS["transport"],
        reloadable=True,
    )
    check_cd = BoolParam(
        "DNS checking disabled",
        _of(
            "cd",
            "true: set the CD bit in the query, so that a resolver that validates DNSSEC answers also where it cannot validate"
            " (dig +cd).",
        ),
        default=OPTIONS["cd"],
        reloadable=True,
    )
    check_command = StringParam(
        "command",
        _of(
            "command",
            "The command that checks a server: an absolute path and arguments, separated by blanks, without a shell. It"
            " gets four more arguments, as with ldirectord: address (or firewall mark) and port of the virtual service,"
            " address and port of the real server. Its environment has the same in VIP, VPORT, RIP and RPORT, and PROTOCOL,"
            " TIMEOUT in seconds, PATH, LC_ALL and OCF_ANYCAST_POOL, nothing else. Exit code 0 is success; any other"
            " one is a failure, with the first line of the output as the reason. It runs as check_command_user in its own"
            " process group, which is killed at the timeout and when the command has"
            " ended; processes that leave the group are killed as well.",
        ),
        reloadable=True,
    )
    check_command_user = StringParam(
        "user of the command",
        _of(
            "command_user",
            "The user that runs check_command, or the checkcommand and fallbackcommand of config, with this user's groups."
            " Unset: ocf-anycast where this node has that user, else nobody."
            " root has to be requested by name; an account that may change the command's file is root then."
            " No user gets further privileges from setuid programs such as sudo.",
        ),
        charset=f"{NAME_CHARACTERS}$",
        reloadable=True,
    )
    check_dynamic = BoolParam(
        "weight from the command",
        _of(
            "dynamic",
            "true: exit codes 2 to 255 are successes that set a weight: exit code minus 2, in percent of the configured"
            " weight, like keepalived's misc_dynamic. 102 is 100 %, 2 is 0.",
        ),
        default=OPTIONS["dynamic"],
        reloadable=True,
    )
    check_user = StringParam("user", _of("user", "The user to log in as. Unset: no login."), reloadable=True)
    check_secret = SecretParam(
        "password",
        _of(
            "secret",
            "The password or shared secret: the path of a file (begins with /) with the secret in its first line, or the"
            " secret itself, which belongs into the CIB only through cibsecret of crm_resource or pcs.",
        ),
        reloadable=True,
    )
    check_password = SecretParam(
        "password of a RADIUS user",
        _of("password", "The password of check_user, given like check_secret, which is the secret shared with the servers."),
        reloadable=True,
    )
    check_max_stratum = IntParam(
        "maximum stratum",
        _of("max_stratum", "A server with a greater stratum fails the check."),
        minimum=1,
        maximum=15,
        default=int(OPTIONS["max_stratum"]),
        reloadable=True,
    )
    check_max_distance = DurationParam(
        "maximum root distance",
        _of(
            "max_distance",
            "The server's greatest possible error: half the delay to the reference clock plus the dispersion. The"
            " default is what chrony as a client accepts.",
        ),
        minimum="1ms",
        maximum="16s",
        default=OPTIONS["max_distance"],
        reloadable=True,
    )
    check_database = StringParam(
        "database", _of("database", "The database to open."), charset=f"{NAME_CHARACTERS}$", reloadable=True
    )
    check_starttls = BoolParam(
        "STARTTLS",
        _of("starttls", "Switch to TLS before anything else, and fail if the server does not offer it."),
        default=OPTIONS["starttls"],
        reloadable=True,
    )
    check_tls_verify = BoolParam(
        "verify the certificate",
        "true: a check over TLS fails if the certificate has expired, its CA is not trusted, or it is for another name."
        " false: any certificate is accepted.",
        default=OPTIONS["tls_verify"],
        reloadable=True,
    )
    check_tls_name = StringParam(
        "TLS server name",
        "The name that is sent to the server (SNI) and that its certificate has to match. Unset: that of check_host;"
        " without one, the address of the server.",
        charset=f"{NAME_CHARACTERS}:",
        reloadable=True,
    )
    check_ca = PathParam(
        "trusted CAs",
        "A file of certificates, in PEM, to trust instead of the system's when a certificate is verified.",
        reloadable=True,
    )
    check_cert = PathParam(
        "client certificate",
        "A file with the certificate, in PEM, for servers that request one.",
        reloadable=True,
    )
    check_key = PathParam(
        "key of the client certificate", "Its private key, if that is not in the file check_cert.", reloadable=True
    )
    check_bind = ListParam(
        "source address",
        "The address of this node that checks are sent from; one of each family if there are servers of both. Unset:"
        " the kernel's choice.",
        parse=parse_address,
        reloadable=True,
    )
    check_via = StringParam(
        "path of the checks",
        "real: a check connects to the address of the real server. vip: it takes the path of the clients, to the address of"
        " the virtual service and through IPVS to that one server, so that a server without the address on its loopback, or"
        " without its end of a tunnel, fails. For that each server has its own virtual service by firewall mark"
        " (0x4f430000 and up) in IPVS, which is removed with the pool. With IPv4, and forward=dr or"
        " tunnel, the interface to the real servers needs accept_local=1 and an rp_filter other than 1, and a node"
        " without the address needs a route to it, such as a default route. With forward=nat it tests no more than"
        " real does, except the return path.",
        choices=("real", "vip"),
        default=OPTIONS["via"],
        reloadable=True,
    )

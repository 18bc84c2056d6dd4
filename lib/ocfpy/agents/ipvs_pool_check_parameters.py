"""The parameters of ocf:anycast:ipvs-pool that say how real servers are checked, and what they mean together."""

from __future__ import annotations

from ocfpy.agents.ipvs_pool_member_parameters import MemberParameters
from ocfpy.agents.ipvs_pool_parameters import fault_of
from ocfpy.checks.expect import (
    matcher,
    parse_headers,
    parse_name,
    parse_proxy_request,
    parse_rcode,
    parse_sip_uri,
    parse_status,
    unescape,
)
from ocfpy.checks.registry import NAMES, OPTIONS, TYPES, kind_of, problems, users_of
from ocfpy.checks.secretfile import is_file
from ocfpy.ipvs.model import MAX_PORT
from ocfpy.ocf.addresses import parse_address, shown
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ocfpy.checks.settings import CheckSettings

PATH_CHARACTERS = "/?&=;:@+$,!~*'()%#[]"
"""What stays as it is in a path and its query, besides letters and digits."""
_FITTING = {"udp": "dns, ntp, radius, sip, udp or ping", "sctp": "ping or external"}
"""Checks that say something about a service of another protocol than TCP."""
_RDTYPES = ("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT")


def _of(option: str, text: str) -> str:
    """The description of a parameter, with the checks that it is for."""
    users = users_of(option)
    return f"{text} For check={', '.join(users)}." if len(users) < len(NAMES) // 2 else text


class CheckParameters(MemberParameters):
    """Declares the parameters check_*, rise and fall, and makes the settings of the checks of them."""

    check = StringParam(
        "health check",
        "; ".join(f"{kind.name}: {kind.summary}" for kind in TYPES.values())
        + ". It has to be set for a service of UDP or SCTP that has no service of TCP beside it.",
        choices=NAMES,
        default="tcp",
        reloadable=True,
    )
    check_port = IntParam(
        "port to check",
        "Unset: the port of the real server; where it has none, because its virtual service is a firewall mark, the"
        " usual port of what is checked.",
        minimum=1,
        maximum=MAX_PORT,
        reloadable=True,
    )
    check_interval = DurationParam(
        "time between two checks",
        "Every server is checked this often. Checks keep to the wall clock, so that both nodes of a pair"
        " check the same server at the same time.",
        minimum="100ms",
        maximum="1h",
        usual="1min",
        default="2s",
        reloadable=True,
    )
    check_retry_interval = DurationParam(
        "time between two checks in doubt",
        "How soon a check follows one that says something else than is believed of the server, until as many as fall or rise have"
        " decided. So a server that refuses is out after check_interval and fall - 1 times this, at the latest, and not only"
        " after fall times check_interval. One that is silent is out after check_interval and fall times check_timeout, where"
        " that is longer than this: no check begins before the last one has ended. HAProxy calls it fastinter, keepalived"
        " delay_before_retry. Not longer than check_interval. Unset: check_interval.",
        minimum="10ms",
        maximum="1h",
        usual="1min",
        reloadable=True,
    )
    check_timeout = DurationParam(
        "time for one check",
        "A server that has not answered by then has failed the check. Not longer than check_interval.",
        minimum="10ms",
        maximum="1h",
        usual="1min",
        default="1s",
        reloadable=True,
    )
    rise = IntParam(
        "good checks",
        "So many in a row bring a server back.",
        minimum=1,
        maximum=100,
        default=2,
        reloadable=True,
    )
    fall = IntParam(
        "bad checks",
        "So many in a row take a server out.",
        minimum=1,
        maximum=100,
        default=3,
        reloadable=True,
    )
    check_request = SecretParam(
        "what to send, or to ask for",
        "What is sent to the server, or asked of it. In tcp and udp it is sent as it is; in http it is the body, for"
        " check_method=POST; in http_proxy it is the URL that is fetched, http://www.example.com/, or where a tunnel has to"
        " lead, www.example.com:443; in mysql and postgresql it is the query, unset SELECT 1. In all of these \\r, \\n, \\t, \\\\"
        " and \\x00 to \\xff stand for the bytes that they stand for in C. In ldap it is the search, written as in an LDAP URL,"
        " dn?attributes?scope?filter, such as dc=example,dc=com??sub?(uid=probe); unset, that for the server's own entry (root"
        " DSE). In sip it is the URI, unset that of the server. One that has credentials in it belongs into a file: @/path stands"
        f" for the first line of that. For check={', '.join(users_of('request'))}.",
        reloadable=True,
    )
    check_expect = StringParam(
        "expected text",
        "Text that the answer has to contain, or a regular expression after re:. In http and http_proxy it is looked for"
        " in the body (the first MiB), in dns in the records of the answer, in tcp and udp in what the server says,"
        " in mysql and postgresql in the rows, whose values have | between them, in ldap in the entries, as lines \"dn: ...\""
        " and \"attribute: value\". With udp and no expected text a server is fine if it answers a ping and does not say that"
        " the port is closed.",
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
        _of("path", "The path, with its query, that is asked for."),
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
        _of("status", "The statuses of HTTP or SIP that are fine, such as 200-299 301."),
        parse=parse_status,
        default=OPTIONS["status"],
        reloadable=True,
    )
    check_headers = SecretParam(
        "HTTP headers",
        _of(
            "headers",
            "Further header lines, or others in place of ours, \\n between two: X-Site: here\\nAccept: text/html. Those that have"
            " credentials in them belong into a file: @/path stands for the first line of that.",
        ),
        reloadable=True,
    )
    check_name = StringParam(
        "DNS name", _of("name", "The name that is asked for."), charset=f"{NAME_CHARACTERS}*/", reloadable=True
    )
    check_rdtype = StringParam(
        "DNS record type",
        _of("rdtype", "The type that is asked for; the answer has to have one."),
        choices=_RDTYPES,
        default=OPTIONS["rdtype"],
        reloadable=True,
    )
    check_rcode = ListParam(
        "DNS rcodes",
        _of("rcode", "The rcodes that are fine, such as NOERROR NXDOMAIN. Only with NOERROR the answer has to have records."),
        parse=parse_rcode,
        default=OPTIONS["rcode"],
        reloadable=True,
    )
    check_transport = StringParam(
        "transport",
        _of(
            "transport",
            "Whether the question goes over udp or tcp. In dns, what is truncated over udp is asked again over tcp.",
        ),
        choices=("udp", "tcp"),
        default=OPTIONS["transport"],
        reloadable=True,
    )
    check_cd = BoolParam(
        "DNS checking disabled",
        _of(
            "cd",
            "true: the question has the CD bit, so that a resolver that validates DNSSEC answers also where it cannot validate"
            " (dig +cd).",
        ),
        default=OPTIONS["cd"],
        reloadable=True,
    )
    check_command = StringParam(
        "command",
        _of(
            "command",
            "The command that says how a server is: its path and arguments, separated by blanks, without a shell. It"
            " gets four more arguments, as ldirectord's does: address (or firewall mark) and port of the virtual service,"
            " address and port of the real server; in the environment they are VIP, VPORT, RIP and RPORT, besides PROTOCOL,"
            " TIMEOUT in seconds, PATH, LC_ALL and OCF_ANYCAST_POOL, and nothing else. Exit code 0: the server is fine;"
            " another one: it is not, and the first line of the output is the reason. It runs as check_command_user in a"
            " process group of its own, which is killed with all that is in it at the timeout, and when the command has"
            " ended; processes that leave the group are killed as well.",
        ),
        reloadable=True,
    )
    check_command_user = StringParam(
        "user of the command",
        _of(
            "command_user",
            "The user that check_command runs as, with this user's groups. Unset: ocf-anycast where this node has such a user,"
            " else nobody. root has to be asked for by name; an account that may change the command's file is root then."
            " No user gets further privileges from setuid programs such as sudo.",
        ),
        charset=f"{NAME_CHARACTERS}$",
        reloadable=True,
    )
    check_dynamic = BoolParam(
        "weight from the command",
        _of(
            "dynamic",
            "true: the exit codes 2 to 255 say that the server is fine as well, and ask for a weight: in percent of the"
            " configured one, plus 2, as keepalived's misc_dynamic. 102 is 100 %, 2 is 0.",
        ),
        default=OPTIONS["dynamic"],
        reloadable=True,
    )
    check_user = StringParam("user", _of("user", "Who logs in. Unset: nobody does."), reloadable=True)
    check_secret = SecretParam(
        "password",
        _of(
            "secret",
            "The password or shared secret: the path of a file whose first line it is (begins with /), or itself, which"
            " belongs into the CIB only by way of crm_resource's and pcs' cibsecret.",
        ),
        reloadable=True,
    )
    check_password = SecretParam(
        "password of a RADIUS user",
        _of("password", "The password of check_user, given like check_secret, which is what the servers share with this node."),
        reloadable=True,
    )
    check_max_stratum = IntParam(
        "greatest stratum",
        _of("max_stratum", "A server that is further from a reference clock has failed the check."),
        minimum=1,
        maximum=15,
        default=int(OPTIONS["max_stratum"]),
        reloadable=True,
    )
    check_max_distance = DurationParam(
        "greatest root distance",
        _of(
            "max_distance",
            "How far the server's time may be off at worst: half the delay to the reference clock, and the dispersion. The"
            " default is what chrony as a client accepts.",
        ),
        minimum="1ms",
        maximum="16s",
        default=OPTIONS["max_distance"],
        reloadable=True,
    )
    check_database = StringParam(
        "database", _of("database", "The database that is opened."), charset=f"{NAME_CHARACTERS}$", reloadable=True
    )
    check_starttls = BoolParam(
        "STARTTLS",
        _of("starttls", "Go over to TLS before anything else is said, and fail where the server does not offer it."),
        default=OPTIONS["starttls"],
        reloadable=True,
    )
    check_tls_verify = BoolParam(
        "verify the certificate",
        "Whether a check over TLS fails when a client that looks at the certificate would: it has expired, its CA is not"
        " trusted, or it is for another name. false: any certificate will do.",
        default=OPTIONS["tls_verify"],
        reloadable=True,
    )
    check_tls_name = StringParam(
        "name in TLS",
        "The name that the server is asked for (SNI) and that its certificate has to be for. Unset: that of check_host;"
        " without one, the address of the server.",
        charset=f"{NAME_CHARACTERS}:",
        reloadable=True,
    )
    check_ca = PathParam(
        "trusted CAs",
        "A file of certificates, in PEM, that are trusted instead of the system's when a certificate is verified.",
        reloadable=True,
    )
    check_cert = PathParam(
        "client certificate",
        "A file with the certificate, in PEM, that is shown to a server that asks for one.",
        reloadable=True,
    )
    check_key = PathParam(
        "key of the client certificate", "Its private key, if that is not in the file check_cert.", reloadable=True
    )
    check_bind = ListParam(
        "source address",
        "The address of this node that checks come from; one of each family if there are servers of both. Unset: the"
        " one that the kernel chooses.",
        parse=parse_address,
        reloadable=True,
    )
    check_via = StringParam(
        "way of the checks",
        "real: a check goes to the address of the real server. vip: it goes where its clients go, to the address of the"
        " virtual service, and through IPVS to that one server, so that one without the address on its loopback, or"
        " without its end of a tunnel, fails. For that each server has a virtual service by firewall mark"
        " (0x4f430000 and up) of its own in IPVS, which lives and ends with the pool. With IPv4, and forward=dr or"
        " tunnel, the interface to the real servers needs accept_local=1 and an rp_filter that is not 1, and a node"
        " without the address needs a route to it, such as a default route. With forward=nat it shows no more than"
        " real does, but for the way back.",
        choices=("real", "vip"),
        default=OPTIONS["via"],
        reloadable=True,
    )

    def check_config(self) -> list[str]:
        faults = super().check_config()
        times = {"check_timeout": self.check_timeout, "check_retry_interval": self.check_retry_interval or 0.0}
        faults += [
            f"{name} ({seconds:g} s) is longer than check_interval ({self.check_interval:g} s)"
            for name, seconds in times.items()
            if seconds > self.check_interval
        ]
        faults += problems(self.check, self._given_options())
        if self.check_name:
            faults += fault_of(parse_name, "check_name", self.check_name)
        if not self.check_path.startswith("/") or " " in self.check_path or not self.check_path.isascii():
            faults.append(self._fault_of_path())
        if self.check_expect:
            faults += fault_of(matcher, "check_expect", self.check_expect)
        if self.check_request and not is_file(self.check_request):
            faults += fault_of(self._parser_of_request(), "check_request", self.check_request)
        if self.check_headers and not is_file(self.check_headers):
            faults += fault_of(parse_headers, "check_headers", self.check_headers)
        if self.check_command and not self.check_command.startswith("/"):
            faults.append(f"check_command {shown(self.check_command)} has to begin with an absolute path")
        faults += self._faults_of_default_check()
        return faults + self._faults_without_body() + self._faults_of_ports() + self._faults_of_way()

    def _fault_of_path(self) -> str:
        from urllib.parse import quote  # only for those who need it

        if not self.check_path.startswith("/"):
            return f"check_path {shown(self.check_path)} does not begin with /"
        fault = f"check_path {shown(self.check_path)} has blanks or letters that are not ASCII"
        return fault if self.check == "ftp" else f"{fault}: write {quote(self.check_path, safe=PATH_CHARACTERS)}"

    def _faults_of_default_check(self) -> list[str]:
        """A service that is not TCP and whose servers would be asked over TCP, although no one has said so."""
        if self.is_set("check") or self.check_port:
            return []
        by_tcp = {(virtual.address, virtual.port) for virtual in self.virtual if virtual.proto == "tcp"}
        return [
            f"{virtual}: check is not set, and its default, tcp, would ask the servers over TCP: set check={fitting},"
            " or check=tcp if they answer there"
            for virtual in self.virtual
            for fitting in [_FITTING.get(virtual.proto or "")]
            if fitting and (virtual.address, virtual.port) not in by_tcp
        ]

    def _faults_without_body(self) -> list[str]:
        """An expected text that nobody would look for, or that cannot be there."""
        if not self.check_expect or "method" not in kind_of(self.check).options:
            return []
        if self.check == "http_proxy" and "://" not in (self.check_request or "://") and not is_file(self.check_request):
            return ["check_expect: a tunnel (check_request=HOST:PORT) has no body to have it"]
        if self.check_method == "HEAD":
            return ["check_expect: an answer to check_method=HEAD has no body to have it"]
        return []

    def _parser_of_request(self) -> Callable[[str], object]:
        module = kind_of(self.check).module
        if module == "ldap":
            from ocfpy.checks.protocols.ldap_search import parse_search  # only for those who use it

            return parse_search
        return {"http_proxy": parse_proxy_request, "sip": parse_sip_uri}.get(module, unescape)

    def _faults_of_ports(self) -> list[str]:
        kind = kind_of(self.check)
        if self.check_port or kind.port != 0 or kind.per_service:
            return []
        return [
            f"{virtual}: which port of {real} is to be checked? set check_port"
            for virtual in self.virtual
            for real in self.behind(virtual)
            if not real.port
        ]

    def _faults_of_way(self) -> list[str]:
        if self.check_via != "vip":
            return []
        faults = [
            f"check_via=vip: {virtual} has no address to go to" for virtual in self.virtual if virtual.address is None
        ]
        if self.check == "udp" and not self.check_expect:
            faults.append("check_via=vip: check=udp needs check_expect: who is gone and who is silent look alike")
        sources = [address.family for address in self.check_bind]
        mixed = [
            real
            for virtual in self.virtual
            for real in self.behind(virtual)
            if real.address.family != virtual.family and virtual.family not in sources
        ]
        if mixed:
            faults.append(
                f"check_via=vip: {mixed[0]} is of another address family than its virtual service: set check_bind to"
                " the address of this node that checks come from"
            )
        return faults

    def _given_options(self) -> dict[str, str]:
        """The options that are set to something else than what they are anyway, as texts: some tools spell out every default."""
        spell = {parameter.name: parameter.spell for parameter in self.parameters()}
        given = [name for name in OPTIONS if self.is_set(f"check_{name}")]
        texts = {name: spell[f"check_{name}"](self.values[f"check_{name}"]) for name in given}
        return {name: text for name, text in texts.items() if text != OPTIONS[name]}

    def check_settings(self) -> CheckSettings:
        """How every real server is checked."""
        from ocfpy.checks.settings import CheckSettings

        return CheckSettings(
            type=self.check,
            port=self.check_port or 0,
            interval=self.check_interval,
            timeout=self.check_timeout,
            rise=self.rise,
            fall=self.fall,
            options=self._given_options().items(),
            retry_interval=self.check_retry_interval or 0.0,
        )

"""Finds what is wrong with the configuration of a pool beyond the type of each value: functions without I/O."""

from __future__ import annotations

from ocfpy.checks.expect import (
    matcher,
    parse_headers,
    parse_name,
    parse_proxy_request,
    parse_sip_uri,
    unescape,
)
from ocfpy.checks.registry import kind_of
from ocfpy.checks.registry import problems as check_problems
from ocfpy.checks.secretfile import is_file
from ocfpy.ipvs.model import HASHING, ONE_PACKET_PROTOCOLS, by_key, parse_netmask
from ocfpy.ipvs.refusals import problems, real_problems
from ocfpy.ocf.addresses import shown
from ocfpy.pool.backends import members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ocfpy.agents.ipvs_pool_build import PoolBuild
    from ocfpy.agents.ipvs_pool_config import PoolConfig

PATH_CHARACTERS = "/?&=;:@+$,!~*'()%#[]"
"""Characters, beside letters and digits, that need no escape in a path and its query."""
_FITTING = {"udp": "dns, ntp, radius, sip, udp or ping", "sctp": "ping or external"}
"""Checks that fit a service of another protocol than TCP."""
_NEEDED = ("virtual", "real_servers")
_BESIDE = ("config", "check_command_user", "attribute", "dampen", "drain_dir")
"""Parameters of a pool that has its services from a file."""


def faults_of(config: PoolConfig, build: PoolBuild) -> list[str]:
    """Return every fault, each as a sentence for the operator."""
    faults = _faults_of_scheduling(config, build) + _faults_of_numbers(config, build) + _faults_of_check(config, build)
    if "config" in config.given:
        return faults + [
            f"config and {name} exclude each other: remove {name}, the file sets it"
            for name in config.names()
            if name not in _BESIDE and name in config.given
        ]
    return [f"parameter {name}: required, but not set" for name in _NEEDED if name not in config.given] + faults


def warnings_of(config: PoolConfig, build: PoolBuild) -> list[str]:
    """Return what can be used and is probably not meant."""
    from ocfpy.ipvs.schedulers import WITHOUT_WEIGHTS, doubts

    warnings = doubts(config.scheduler, build.reals())
    if config.slow_start and config.scheduler in WITHOUT_WEIGHTS:
        warnings.append(
            f"slow_start has no effect with scheduler={config.scheduler}, which ignores weights:"
            f" {WITHOUT_WEIGHTS[config.scheduler]} does"
        )
    return warnings + list(build.file_warnings)


def _faults_of_scheduling(config: PoolConfig, build: PoolBuild) -> list[str]:
    faults = [f"{text} is given twice" for text in twice([str(virtual) for virtual in config.virtual])]
    if config.persistence_timeout % 1:
        faults.append("persistence_timeout must be whole seconds")
    if config.quiesce and config.scheduler in HASHING and "flag-1" not in config.scheduler_flags:
        faults.append(
            f"scheduler={config.scheduler} drops the clients of a server at weight 0:"
            f" add scheduler_flags={config.scheduler}-fallback, or set quiesce=false"
        )
    if config.one_packet and config.virtual and all(v.proto not in ONE_PACKET_PROTOCOLS for v in config.virtual):
        faults.append("one_packet is for UDP, and no virtual service is")
    return faults + _faults_of_services(config, build)


def _faults_of_services(config: PoolConfig, build: PoolBuild) -> list[str]:
    families = {virtual.family for virtual in config.virtual}
    if not families:
        return []
    if config.persistence_netmask:
        if len(families) > 1:
            return [
                "persistence_netmask fits one address family: use one pool for IPv4 and one for IPv6"
            ]
        faults = fault_of(
            lambda text: parse_netmask(text, max(families)),
            "persistence_netmask",
            config.persistence_netmask,
        )
        if faults:
            return faults
    faults = []
    settings, reals = build.settings(), build.reals()
    for virtual in config.virtual:
        behind = build.behind(virtual)
        faults += [
            f"{virtual}: real server {text} is given twice" for text in twice(list(map(str, behind)))
        ]
        faults += problems(virtual, settings.meant_for(virtual), by_key(behind))
        if not behind and config.real_servers:  # without real_servers another fault says so
            faults.append(f"{virtual} has no real server of its address family, IPv{virtual.family}")
    for real in reals:
        if real.forward != "tunnel" and real.address.family not in families:
            faults.append(f"real server {real} has no virtual service of its address family")
    return faults


def _faults_of_numbers(config: PoolConfig, build: PoolBuild) -> list[str]:
    faults = _faults_of_sorry_servers(config, build)
    if config.slow_start:
        faults += [
            f"slow_start: weight 1 of {real} has no room for steps: set weight=10 or more"
            for real in build.reals()
            if real.weight == 1
        ]
    for virtual in config.virtual:
        total = len(build.behind(virtual))
        keeps, restores = config.quorum.of(total), (config.quorum_up or config.quorum).of(total)
        if restores < keeps:
            faults.append(f"{virtual}: quorum_up ({restores} servers) is less than quorum ({keeps})")
        if total and config.min_up.of(total) > total:
            faults.append(f"{virtual}: min_up is {config.min_up}, but it has only {total} real servers")
        if total and max(keeps, restores) > total:
            faults.append(f"{virtual}: its quorum is {max(keeps, restores)}, but it has only {total} real servers")
    return faults


def _faults_of_sorry_servers(config: PoolConfig, build: PoolBuild) -> list[str]:
    sorry, faults = build.sorry(), []
    if sorry and config.min_up.value:
        faults.append("min_up keeps failed servers in service, and sorry_server never gets a client: set only one")
    faults += [f"sorry_server {real} has weight 0, and never gets a client" for real in sorry if not real.weight]
    families = {virtual.family for virtual in config.virtual}
    for real in sorry:
        if families and real.forward != "tunnel" and real.address.family not in families:
            faults.append(f"sorry_server {real} has no virtual service of its address family")
    for virtual in config.virtual:
        known, behind = by_key(build.behind(virtual)), members(virtual, sorry)
        faults += [f"{virtual}: sorry_server {text} is given twice" for text in twice(list(map(str, behind)))]
        for real in behind:
            if real.key in known:
                faults.append(f"{virtual}: sorry_server {real} is one of its real servers")
            faults += [
                f"{virtual}: sorry_server {real}: {fault}"
                for fault in real_problems(virtual, real, config.one_packet and virtual.proto in ONE_PACKET_PROTOCOLS)
            ]
    return faults


def _faults_of_check(config: PoolConfig, build: PoolBuild) -> list[str]:
    times = {"check_timeout": config.check_timeout, "check_retry_interval": config.check_retry_interval or 0.0}
    faults = [
        f"{name} ({seconds:g} s) is longer than check_interval ({config.check_interval:g} s)"
        for name, seconds in times.items()
        if seconds > config.check_interval
    ]
    faults += check_problems(config.check, config.options())
    if config.check_name:
        faults += fault_of(parse_name, "check_name", config.check_name)
    if not config.check_path.startswith("/") or " " in config.check_path or not config.check_path.isascii():
        faults.append(_fault_of_path(config))
    if config.check_expect:
        faults += fault_of(matcher, "check_expect", config.check_expect)
    if config.check_request and not is_file(config.check_request):
        faults += fault_of(_parser_of_request(config), "check_request", config.check_request)
    if config.check_headers and not is_file(config.check_headers):
        faults += fault_of(parse_headers, "check_headers", config.check_headers)
    if config.check_command and not config.check_command.startswith("/"):
        faults.append(f"check_command {shown(config.check_command)} has to begin with an absolute path")
    faults += _faults_of_default_check(config) + _faults_without_body(config)
    return faults + _faults_of_ports(config, build) + _faults_of_way(config, build)


def _fault_of_path(config: PoolConfig) -> str:
    from urllib.parse import quote  # only where it is needed

    if not config.check_path.startswith("/"):
        return f"check_path {shown(config.check_path)} does not begin with /"
    fault = f"check_path {shown(config.check_path)} has blanks or non-ASCII letters"
    return fault if config.check == "ftp" else f"{fault}: write {quote(config.check_path, safe=PATH_CHARACTERS)}"


def _faults_of_default_check(config: PoolConfig) -> list[str]:
    """Find services that are not TCP and whose servers the default check would test over TCP."""
    if "check" in config.given or config.check_port:
        return []
    by_tcp = {(virtual.address, virtual.port) for virtual in config.virtual if virtual.proto == "tcp"}
    return [
        f"{virtual}: check is not set, and the default tcp would check its servers over TCP: set check={fitting},"
        " or check=tcp if they answer there"
        for virtual in config.virtual
        for fitting in [_FITTING.get(virtual.proto or "")]
        if fitting and (virtual.address, virtual.port) not in by_tcp
    ]


def _faults_without_body(config: PoolConfig) -> list[str]:
    """Find expected texts that no check looks for, or that no answer can contain."""
    if not config.check_expect or "method" not in kind_of(config.check).options:
        return []
    if config.check == "http_proxy" and "://" not in (config.check_request or "://") and not is_file(config.check_request):
        return ["check_expect: a tunnel (check_request=HOST:PORT) has no body that could contain it"]
    if config.check_method == "HEAD":
        return ["check_expect: an answer to check_method=HEAD has no body that could contain it"]
    return []


def _parser_of_request(config: PoolConfig) -> Callable[[str], object]:
    module = kind_of(config.check).module
    if module == "ldap":
        from ocfpy.checks.protocols.ldap_search import parse_search  # only where it is needed

        return parse_search
    return {"http_proxy": parse_proxy_request, "sip": parse_sip_uri}.get(module, unescape)


def _faults_of_ports(config: PoolConfig, build: PoolBuild) -> list[str]:
    kind = kind_of(config.check)
    if config.check_port or kind.port != 0 or kind.per_service:
        return []
    return [
        f"{virtual}: {real} has no port to check: set check_port"
        for virtual in config.virtual
        for real in build.behind(virtual)
        if not real.port
    ]


def _faults_of_way(config: PoolConfig, build: PoolBuild) -> list[str]:
    if config.check_via != "vip":
        return []
    faults = [
        f"check_via=vip: {virtual} has no address to connect to" for virtual in config.virtual if virtual.address is None
    ]
    if config.check == "udp" and not config.check_expect:
        faults.append("check_via=vip: check=udp needs check_expect: a missing server and a silent one look alike")
    sources = [address.family for address in config.check_bind]
    mixed = [
        real
        for virtual in config.virtual
        for real in build.behind(virtual)
        if real.address.family != virtual.family and virtual.family not in sources
    ]
    if mixed:
        faults.append(
            f"check_via=vip: {mixed[0]} has another address family than its virtual service: set check_bind to"
            " the address of this node to send checks from"
        )
    return faults


def twice(texts: list[str]) -> list[str]:
    """Return the texts that occur more than once."""
    seen: set[str] = set()
    again: set[str] = set()
    for text in texts:
        (again if text in seen else seen).add(text)
    return sorted(again)


def fault_of(parse: Callable[[str], object], name: str, text: str) -> list[str]:
    """Return what `parse` reports about the value of a parameter."""
    try:
        parse(text)
    except ValueError as error:
        return [f"parameter {name}: {error}"]
    return []

"""Translates a Config to the daemon's specification: virtual services with their servers, checks and fallbacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ocfpy.checks.settings import CheckSettings
from ocfpy.ipvs.model import (
    RealServer,
    ServiceSettings,
    VirtualService,
    by_key,
    parse_netmask,
    parse_scheduler_flag,
)
from ocfpy.ipvs.refusals import problems
from ocfpy.ipvs.schedulers import doubts
from ocfpy.ldirectord.checks import Checker, service_of
from ocfpy.ldirectord.model import Config, Fallback, Note, Real, Virtual
from ocfpy.ldirectord.names import Names
from ocfpy.ocf.addresses import Address, shown
from ocfpy.pool.spec import ServiceSpec

MAX_RANGE = 4096
"""Most real servers in one range."""
MAX_SERVERS = 16384
"""Most real servers in one file, counted for each virtual service that they are behind: ranges make millions in a few KiB."""
_FORWARD = {"gate": "dr", "masq": "nat", "ipip": "tunnel"}


@dataclass
class Translation:
    """The meaning of a file. `unresolved` are faults that may pass: unknown names. `servers` counts like MAX_SERVERS."""

    services: list[ServiceSpec] = field(default_factory=list)
    faults: list[Note] = field(default_factory=list)
    unresolved: list[Note] = field(default_factory=list)
    warnings: list[Note] = field(default_factory=list)
    servers: int = 0


def translate(config: Config, names: Names) -> Translation:
    """Return all services of a file and all of its faults; entries with a fault are left out of the services."""
    result = Translation()
    seen: dict[VirtualService, int] = {}
    for virtual in config.virtuals:
        service = _Section(config, virtual, names, result).translate()
        if service is None:
            continue
        if service.virtual in seen:
            result.faults.append(
                Note(virtual.line, f"the same virtual service as on line {seen[service.virtual]}, {service.virtual}")
            )
        else:
            seen[service.virtual] = virtual.line
            result.services.append(service)
    if not config.virtuals:
        result.faults.append(Note(0, "there is no virtual service in it"))
    return result


class _Section:
    """One virtual section being translated."""

    def __init__(self, config: Config, virtual: Virtual, names: Names, result: Translation) -> None:
        self.config = config
        self.section = virtual
        self.names = names
        self.result = result

    def translate(self) -> ServiceSpec | None:
        """Return the service, or None if its address is not understood."""
        virtual = self._virtual()
        settings = self._settings()
        reals, checks = self._reals(virtual)
        fallback = self._fallback(virtual)
        if virtual is None:
            return None
        self._fault_each(self.section.line, problems(virtual, settings, {}))
        quiesce = self.config.quiescent if self.section.quiescent is None else self.section.quiescent
        if quiesce and settings.drops_at_zero:
            self._warn(
                self.section.line_of("scheduler"),
                f"{settings.scheduler} drops the clients of a server at weight 0: add"
                f" schedflags={settings.scheduler}-fallback, or quiescent=no",
            )
        for doubt in doubts(settings.scheduler, reals.values()):
            self._warn(self.section.line_of("scheduler"), doubt)
        check = next(iter(checks.values()), CheckSettings("off"))
        return ServiceSpec(
            virtual,
            reals,
            settings,
            check,
            checks={key: own for key, own in checks.items() if own != check},
            quiesce=bool(quiesce),
            sorry=by_key([fallback] if fallback else []),
            fallback_command=self.section.fallbackcommand or self.config.fallbackcommand,
            readd=self.config.readdquiescent,
        )

    def _fault(self, line: int, text: str) -> None:
        self.result.faults.append(Note(line, text))

    def _fault_each(self, line: int, texts: list[str]) -> None:
        for text in texts:
            self._fault(line, text.replace("a persistence_timeout", "persistent"))

    def _warn(self, line: int, text: str) -> None:
        self.result.warnings.append(Note(line, text))

    def _host(self, line: int, name: str) -> Address | None:
        address = self.names.host(name, self.section.family)
        if address is None:
            self.result.unresolved.append(
                Note(line, f"{shown(name)} is not an IPv{self.section.family} address, nor a host with one")
            )
        return address

    def _port(self, line: int, name: str, protocol: str) -> int | None:
        port = self.names.port(name, protocol)
        if port is None:
            self._fault(line, f"{shown(name)} is not a port{f' of {protocol}' if protocol else ''}, see /etc/services")
        return port

    def _virtual(self) -> VirtualService | None:
        section = self.section
        if section.fwmark:
            return VirtualService(fwmark=section.fwmark, family=section.family)
        if not section.host:
            return None  # the fault is recorded already
        address = self._host(section.line, section.host)
        port = self._port(section.line, section.port, section.protocol)
        return VirtualService(section.protocol, address, port) if address and port is not None else None

    def _settings(self) -> ServiceSettings:
        section = self.section
        flags, netmask = [], None
        for word in filter(None, section.schedflags.split(",")):
            try:
                flags.append(parse_scheduler_flag(word))
            except ValueError as error:
                self._fault(section.line_of("schedflags"), f"schedflags: {error}")
        if section.netmask:
            try:
                netmask = parse_netmask(section.netmask, section.family)
            except ValueError as error:
                self._fault(section.line_of("netmask"), f"netmask: {error}")
            if not section.persistent:
                self._warn(section.line_of("netmask"), "netmask: without effect, as in ldirectord, because persistent is not set")
        if section.ops and section.protocol != "udp":
            self._warn(section.line_of("ops"), "ops: without effect, as in ldirectord, because the service is not UDP")
        if section.checkinterval and not self.config.fork:
            self._warn(
                section.line_of("checkinterval"),
                "checkinterval: without effect, as in ldirectord, in a virtual section without fork=yes",
            )
        return ServiceSettings(
            section.scheduler,
            tuple(sorted(set(flags))),
            section.persistent,
            netmask if section.persistent else None,
            one_packet=section.ops and section.protocol == "udp",
        )

    def _reals(
        self, virtual: VirtualService | None
    ) -> tuple[dict[tuple[Address, int], RealServer], dict[tuple[Address, int], CheckSettings]]:
        section = self.section
        reals: dict[tuple[Address, int], RealServer] = {}
        checks: dict[tuple[Address, int], CheckSettings] = {}
        lines: dict[tuple[Address, int], int] = {}
        service = section.service or service_of(virtual.port if virtual else 0)
        alone = ServiceSettings(persistence_timeout=1, one_packet=section.ops and section.protocol == "udp")
        checker = Checker(self.config, section, service, self.names.node)
        said: set[tuple[int, str]] = set()
        for one in section.reals:
            if self.result.servers > MAX_SERVERS:
                break
            port = self._port(one.line, one.port, "")
            if port is None:
                continue
            for address in self._addresses(one):
                self.result.servers += 1
                if self.result.servers > MAX_SERVERS:
                    self._fault(one.line, f"the file has more than {MAX_SERVERS} real servers, which is the maximum")
                    break
                real = self._real(virtual, one, address, port)
                if real.key in reals:
                    self._fault(one.line, f"real server {real} is already on line {lines[real.key]}")
                    continue
                reals[real.key], lines[real.key] = real, one.line
                if virtual is None:
                    continue
                self._fault_each(one.line, problems(virtual, alone, {real.key: real}))
                try:
                    receive = section.receive if one.request is None else one.receive
                    checks[real.key] = checker.check(real, port, one.request, receive)
                except ValueError as error:
                    if (one.line, str(error)) not in said:
                        said.add((one.line, str(error)))
                        self._fault(one.line, str(error))
        return reals, checks

    def _addresses(self, one: Real) -> Iterator[Address]:
        first = self._host(one.line, one.first)
        if not one.last:
            if first:
                yield first
            return
        last = self._host(one.line, one.last)
        if self.section.family == 6:
            self._fault(one.line, "a range of IPv6 addresses is not supported, as in ldirectord")
        elif first and last:
            low, high = (int.from_bytes(end.packed, "big") for end in (first, last))
            if not low <= high < low + MAX_RANGE:
                self._fault(one.line, f"{first}->{last} is not a range of 1 to {MAX_RANGE} addresses")
                return
            for number in range(low, high + 1):
                yield Address(4, number.to_bytes(4, "big"), 32)

    def _real(self, virtual: VirtualService | None, one: Real | Fallback, address: Address, port: int) -> RealServer:
        """Return a server as ipvsadm adds it to the kernel: without port mapping its port is that of the service."""
        forward = _FORWARD[one.forward]
        if virtual is not None and virtual.address is not None and forward != "nat":
            port = virtual.port
        if isinstance(one, Fallback):
            return RealServer(address, port, forward=forward)
        return RealServer(address, port, one.weight, forward, one.lower, one.upper)

    def _fallback(self, virtual: VirtualService | None) -> RealServer | None:
        section = self.section
        common = self.config.fallback6 if section.family == 6 else self.config.fallback
        fallback = section.fallback or common
        if fallback is None:
            return None
        address = self._host(fallback.line, fallback.host)
        protocol = "" if section.fwmark else section.protocol
        port = self._port(fallback.line, fallback.port, protocol) if fallback.port else virtual.port if virtual else 0
        return self._real(virtual, fallback, address, port) if address and port is not None else None

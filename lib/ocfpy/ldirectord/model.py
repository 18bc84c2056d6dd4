"""The content of an ldirectord.cf as written: without resolved names and defaults."""

from __future__ import annotations

from dataclasses import dataclass, field

CONNECT, NEGOTIATE, COMBINED = "connect", "negotiate", "combined"
EXTERNAL, EXTERNAL_PERL, PING, ON, OFF = "external", "external-perl", "ping", "on", "off"

DEFAULT_CHECKTIMEOUT_S = 5
DEFAULT_NEGOTIATETIMEOUT_S = 30
DEFAULT_CHECKINTERVAL_S = 10
"""Defaults, as in ldirectord's set_defaults."""


@dataclass(frozen=True, order=True)
class Note:
    """A message about a line, as "line 7: ..."; line 0 is the file as a whole."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


@dataclass(frozen=True)
class Real:
    """A `real=` or `real6=`: one server, or with `last` a range; host names, and ports as names, are as written."""

    line: int
    first: str
    last: str = ""
    port: str = "0"
    forward: str = "gate"
    weight: int = 1
    request: str | None = None
    receive: str = ""
    lower: int = 0
    upper: int = 0


@dataclass(frozen=True)
class Fallback:
    """A `fallback=` or `fallback6=`; without a port that of the virtual service."""

    line: int
    host: str
    port: str = ""
    forward: str = "gate"


@dataclass
class Section:
    """Directives permitted both in a virtual section and before the first one; None if unset.

    `lines` has the last line of each directive.
    """

    checktimeout: int | None = None
    negotiatetimeout: int | None = None
    checkinterval: int | None = None
    checkcount: int | None = None
    failurecount: int | None = None
    fallback: Fallback | None = None
    fallbackcommand: str = ""
    quiescent: bool | None = None
    lines: dict[str, int] = field(default_factory=dict)


@dataclass
class Virtual(Section):
    """A virtual section. `family` is 4 or 6; there is `host` and `port`, or `fwmark`; neither when they are not understood."""

    line: int = 0
    family: int = 4
    host: str = ""
    port: str = "0"
    fwmark: int = 0
    reals: list[Real] = field(default_factory=list)
    checktype: str = NEGOTIATE
    connects: int = 0
    service: str = ""
    checkcommand: str = "/bin/true"
    checkport: int = 0
    request: str = "/"
    receive: str = ""
    httpmethod: str = "GET"
    virtualhost: str = ""
    login: str = ""
    passwd: str = ""
    database: str = ""
    secret: str = ""
    scheduler: str = "wrr"
    schedflags: str = ""
    persistent: int = 0
    netmask: str = ""
    protocol: str = ""
    ops: bool = False
    monitorfile: str = ""
    servicename: str = ""
    comment: str = ""

    def line_of(self, directive: str) -> int:
        """Return the line of the directive, or of the section if it is missing."""
        return self.lines.get(directive, self.line)


@dataclass
class Config(Section):
    """A whole file."""

    fallback6: Fallback | None = None
    autoreload: bool = False
    readdquiescent: bool = False
    fork: bool = False
    maintenancedir: str = ""
    virtuals: list[Virtual] = field(default_factory=list)

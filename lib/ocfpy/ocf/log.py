"""Lines to syslog, HA_LOGFILE and HA_DEBUGLOG, for which no action ever waits.

A log that accepts no more lines (a full /dev/log, a FIFO that no process reads) loses them: an action that waited for it
would be killed at its timeout, and a stop that is killed fences the node.
"""

from __future__ import annotations

import os
import time
from errno import EAGAIN, ECONNREFUSED, ENOBUFS, ENXIO

from ocfpy.ocf.errors import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Iterable, Mapping

DEV_LOG = "/dev/log"
SYSLOG = "syslog"
"""The name of syslog among the sinks of a log; every other sink is the path of a file."""
MAX_CHARACTERS = 8192
"""Longest line, in bytes: rsyslog's default limit."""

# Errors that may pass: a full queue or pipe, a syslog daemon that restarts, a FIFO that no process reads yet.
_BUSY = (EAGAIN, ECONNREFUSED, ENOBUFS, ENXIO)

# syslog(3), sys/syslog.h.
_FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
)  # fmt: skip
_DAEMON = 3
_LOCAL0 = 16
_SEVERITIES = {"ERROR": 3, "WARNING": 4, "INFO": 6, "DEBUG": 7}


class Log:
    """Writes lines in the format of ocf-shellfuncs; no action fails because of them, and none waits for them."""

    def __init__(self, agent_name: str, instance: str, environ: Mapping[str, str], traced: bool = False) -> None:
        self._name = f"{agent_name}({instance})[{os.getpid()}]"
        facility = environ.get("HA_LOGFACILITY") or "daemon"
        self._facility = _facility_code(facility)
        self._places = list(dict.fromkeys(filter(None, map(environ.get, ("HA_LOGFILE", "HA_DEBUGLOG")))))
        if facility != "none":
            self._places.append(SYSLOG)
        self._socket: socket | None = None
        self._trace = traced
        self._debug = self._trace or environ.get("HA_debug", "0") not in ("", "0")

    def debug(self, text: str) -> None:
        """Log for a developer; only with HA_debug, or when the resource is traced."""
        if self._debug:
            self._write("DEBUG", text)

    def info(self, text: str) -> None:
        """Log what was done."""
        self._write("INFO", text)

    def warning(self, text: str) -> None:
        """Log what an operator should know."""
        self._write("WARNING", text)

    def error(self, text: str) -> None:
        """Log what went wrong."""
        self._write("ERROR", text)

    def _write(self, level: str, text: str) -> None:
        self._deliver(level, text, time.time(), self._places)
        if self._trace or os.isatty(2):
            self._to_stderr(level, text)

    def _deliver(self, level: str, text: str, at: float, places: Iterable[str]) -> list[str]:
        """Offer one line to these sinks and return the busy ones; `at` is when it was written, seconds since 1970."""
        message = f"{self._name}: {level}: {one_line(text[:MAX_CHARACTERS])}"
        when = time.localtime(at)
        busy = []
        for place in places:
            try:
                if place == SYSLOG:
                    self._to_syslog(_SEVERITIES[level], time.strftime("%b %e %H:%M:%S", when), message)
                else:
                    _append(place, f"{time.strftime('%b %d %H:%M:%S', when)} {message}\n")
            except OSError as error:
                if error.errno in _BUSY:
                    busy.append(place)
            except (ImportError, ValueError):
                pass  # such as a NUL in the path
        return busy

    def _to_syslog(self, severity: int, when: str, message: str) -> None:
        """Send what syslog(3) would, which itself waits while the queue of /dev/log is full."""
        # The C module behind socket: socket itself and syslog cost a monitor more.
        import _socket

        if self._socket is None:
            self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        data = f"<{self._facility * 8 + severity}>{when} {message}".encode("utf-8", "backslashreplace")
        self._socket.sendto(data, _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL, DEV_LOG)

    def _to_stderr(self, level: str, text: str) -> None:
        try:
            os.write(2, f"{self._name}: {level}: {one_line(text)}\n".encode("utf-8", "backslashreplace"))
        except OSError:
            pass


def _append(path: str, line: str) -> None:
    # O_NONBLOCK: opening a FIFO waits for its reader, and writing to a full pipe for its emptying.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(path, flags, 0o640)
    try:
        os.write(fd, line.encode("utf-8", "backslashreplace"))
    finally:
        os.close(fd)


def _facility_code(name: str) -> int:
    """Return the number of a facility such as "daemon" or "local3"; that of "daemon" for an unknown name."""
    name = name.lower()
    if name.startswith("local") and name[5:] in tuple("01234567"):
        return _LOCAL0 + int(name[5:])
    return _FACILITIES.index(name) if name in _FACILITIES else _DAEMON

"""Writes down every line that an agent runs, to the file where `crm resource trace` expects it.

The switches and the file's place are those of ocf-shellfuncs: OCF_TRACE_RA or the parameter trace_ra; OCF_TRACE_FILE,
a descriptor or an absolute path, or else TRACE_DIR/TYPE/INSTANCE.ACTION.TIME with the parameter trace_dir, by
default below HA_VARLIB. The parameter trace_file, which ocf-shellfuncs lacks, names the file like OCF_TRACE_FILE.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from errno import ELOOP, ENXIO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType
    from typing import Any

    from ocfpy.ocf.context import Context

VARLIB = "/var/lib/heartbeat"
_FOREIGN = "{} is a link, a special file or a file of another user: remove it"
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def start(context: Context, environ: Mapping[str, str]) -> None:
    """Trace from here to the end of the process. No action fails because it cannot be traced: the log says why not."""
    where = environ.get("OCF_TRACE_FILE") or environ.get("OCF_RESKEY_trace_file") or ""
    try:
        fd = _open(where, context, environ)
    except (OSError, ValueError) as error:
        context.log.warning(f"no trace: {error}")
        return
    program = os.path.realpath(sys.argv[0]) if sys.argv else ""
    _write(fd, "".join(f"{name}={value!r}\n" for name, value in sorted(environ.items()) if not _is_secret(name)))
    sys.settrace(_tracer(fd, (_PACKAGE, program)))


def _open(where: str, context: Context, environ: Mapping[str, str]) -> int:
    if where.isascii() and where.isdigit() and len(where) == 1:
        os.fstat(int(where))
        return int(where)
    if where and not where.startswith("/"):
        context.log.warning("OCF_TRACE_FILE must be an open descriptor or an absolute path")
        where = ""
    if not where:
        top = environ.get("OCF_RESKEY_trace_dir") or f"{environ.get('HA_VARLIB') or VARLIB}/trace_ra"
        name = f"{context.instance.replace('/', '%2F')}.{context.action}.{time.strftime('%Y-%m-%d.%H:%M:%S')}"
        where = f"{top}/{context.agent_name}/{name}"
    os.makedirs(os.path.dirname(where), mode=0o755, exist_ok=True)
    return _open_file(where)


def _open_file(path: str) -> int:
    """Create the file or append to one of an earlier action.

    Raises ValueError for anything else: in a directory that others can write to, the name may link to a file of root's.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    try:
        fd = os.open(path, flags)
    except OSError as error:
        if error.errno not in (ELOOP, ENXIO):  # a symbolic link, a FIFO
            raise
        raise ValueError(_FOREIGN.format(path)) from None
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_uid != os.geteuid():
        os.close(fd)
        raise ValueError(_FOREIGN.format(path))
    return fd


def _tracer(fd: int, places: tuple[str, ...]) -> Callable[[FrameType, str, Any], Any]:
    def trace(frame: FrameType, event: str, value: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(places):
            return None  # not the libraries' insides
        if event == "line":
            _write(fd, f"+ {time.strftime('%H:%M:%S')}: {code.co_name}:{frame.f_lineno}: {_source(code.co_filename, frame)}\n")
        elif event == "exception":
            _write(fd, f"! {code.co_name}:{frame.f_lineno}: {value[0].__name__}: {value[1]}\n")
        return trace

    return trace


def _source(path: str, frame: FrameType) -> str:
    import linecache

    return linecache.getline(path, frame.f_lineno).strip()


def _write(fd: int, text: str) -> None:
    try:
        os.write(fd, text.encode("utf-8", "backslashreplace"))
    except OSError:
        pass


def _is_secret(name: str) -> bool:
    """Whether Pacemaker itself treats it as private, its name is similar, or it may contain credentials."""
    return any(word in name.lower() for word in ("passw", "secret", "token", "header", "request"))

"""Stops one thread of a process and leaves the others running: ptrace can, a signal stops them all."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# sys/ptrace.h
PTRACE_DETACH = 17
PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
WALL = 0x40000000  # linux/wait.h, __WALL: threads as well as children

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


@contextmanager
def stopped_thread(tid: int) -> Iterator[None]:
    """The thread, of any process, stands still within; it may be killed meanwhile. OSError when it cannot be had."""
    # Only the thread that traces may detach, so the one that does both is this one.
    tracer = threading.get_ident()
    _ptrace(PTRACE_SEIZE, tid)
    _ptrace(PTRACE_INTERRUPT, tid)
    os.waitpid(tid, WALL)
    try:
        yield
    finally:
        assert threading.get_ident() == tracer
        try:
            _ptrace(PTRACE_DETACH, tid)
        except ProcessLookupError:
            pass


def _ptrace(request: int, tid: int) -> None:
    if _libc.ptrace(request, tid, None, None) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

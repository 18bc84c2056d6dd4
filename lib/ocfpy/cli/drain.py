"""Drains real servers and undoes it: files in the pools' drain_dir, see healthd/drained.py."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ocfpy.healthd.drained import Drained, canonical
from ocfpy.healthd.snapshot import STILL_SERVING, UP
from ocfpy.ipvs.model import endpoint, parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    Json = dict[str, Any]


DRAINED_S = 10.0
"""How long the health daemon may take to give a drained server weight 0; it is notified, and does so at once."""
LOOK_S = 0.1


class DrainError(Exception):
    """Why a server cannot be drained or undrained, in a sentence."""


def drain(pools: Sequence[Json], server: str, pool: str = "", force: bool = False) -> list[str]:
    """Drain a server (an address, or address:port) in all pools that have it, or in one; return the files that do it.

    Raises DrainError when no pool has it, when it is the last live backend of a service and `force` is not given, and when it is
    not drained everywhere.
    """
    name, concerned = _concerned(pools, server, pool)
    last = [one["service"] for found in concerned for one in found["virtual"] if _is_last(one, name, _names(found))]
    if last and not force:
        raise DrainError(f"{name} is the last live backend of {last[0]}: --force drains it all the same")
    failures = []
    for directory in sorted({found["drain_dir"] for found in concerned}):
        try:
            _mark(directory, name, pool)
        except OSError as error:
            failures.append(f"{directory}/{_below(pool)}{name} cannot be created: {error.strerror}")
    files = _files(concerned, name, pool)
    if failures:
        made = [path for path in files if os.path.lexists(path)]
        by = f"; it is drained by {', '.join(made)}" if made else ""
        raise DrainError(f"{name} is not drained{' everywhere' if made else ''}: {'; '.join(failures)}{by}")
    return files


def _mark(drain_dir: str, name: str, pool: str) -> None:
    """Create the file that drains a server; others may be able to write to the directory, so no link in it is followed."""
    before = os.umask(0o022)
    try:
        os.makedirs(drain_dir, exist_ok=True)
        with _opened(drain_dir) as directory:
            if not pool:
                _create(name, directory)
                return
            try:
                os.mkdir(pool, dir_fd=directory)
            except FileExistsError:
                pass
            with _opened(pool, os.O_NOFOLLOW, directory) as below:
                _create(name, below)
    finally:
        os.umask(before)


@contextmanager
def _opened(path: str, flags: int = 0, within: int | None = None) -> Iterator[int]:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | flags, dir_fd=within)
    try:
        yield directory
    finally:
        os.close(directory)


def _create(name: str, directory: int) -> None:
    """Create the file; an existing file or link of that name drains the server as well, and stays as it is."""
    try:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=directory)
    except FileExistsError:
        return
    note = f"{os.environ.get('SUDO_USER') or 'root'} {time.strftime('%Y-%m-%d %H:%M:%S %z')}\n"
    try:
        os.write(fd, note.encode("utf-8", "backslashreplace"))
    except OSError:  # a full disk; only the name counts, the content is for people
        pass
    finally:
        os.close(fd)


def await_drained(server: str, pool: str, look: Callable[[], Sequence[Json]], limit_s: float = DRAINED_S) -> int:
    """Return how many connections a drained server still has, once it has weight 0, or is gone, in every pool.

    `look` reads the pools' state again. Raises DrainError when it still has a weight after `limit_s` seconds.
    """
    name = _name(server)
    end = time.monotonic() + limit_s
    while True:
        reals = [
            (found["resource"], real)
            for found in _having(_chosen(look(), pool), name)
            for one in found["virtual"]
            for real in one["real_servers"]
            if _is(str(real["server"]), {name})
        ]
        weighted = sorted({resource for resource, real in reals if real["weight"]})
        if not weighted:
            return sum(int(real.get("active", 0)) + int(real.get("inactive", 0)) for _, real in reals)
        if time.monotonic() > end:
            raise DrainError(
                f"{name} is marked as drained, but still has a weight in {', '.join(weighted)} after {limit_s:g} s:"
                " `anycastctl status` says whether the health daemon runs"
            )
        time.sleep(LOOK_S)


def undrain(pools: Sequence[Json], server: str, pool: str = "") -> list[str]:
    """Undrain a server, even one that no pool has any more; return the removed files.

    Raises DrainError when it was not drained by a file.
    """
    name = _name(server)
    removed = []
    for path in _files(_chosen(pools, pool), name, pool):
        try:
            os.unlink(path)
            removed.append(path)
        except FileNotFoundError:
            pass
    if not removed:
        _concerned(pools, server, pool)
        others = still_out(pools, server, pool)
        by = f": {', '.join(others)} drains it" if others else ""
        raise DrainError(f"{name} is not drained" + (f" in {pool}" if pool else " in all pools") + by)
    return removed


def has(pools: Sequence[Json], server: str, pool: str = "") -> bool:
    """Whether one of the pools has a server, or a port of it."""
    return bool(_having(_chosen(pools, pool), _name(server)))


def still_out(pools: Sequence[Json], server: str, pool: str = "") -> list[str]:
    """The files that drain a server that pools have, or a port of it, in any way."""
    name = _name(server)
    servers = {
        (found.get("drain_dir"), found["resource"], one)
        for found in _having(_chosen(pools, pool), name)
        for one in _servers(found, name)
    }
    paths = {
        path
        for directory, resource, one in servers
        if directory
        for word in (one, _host(one))
        for path in (f"{directory}/{word}", f"{directory}/{resource}/{word}")
    }
    return sorted(filter(os.path.lexists, paths))


def _name(server: str) -> str:
    """The name of the server's file."""
    try:
        return canonical(server)
    except ValueError as error:
        raise DrainError(str(error)) from None


def _chosen(pools: Sequence[Json], pool: str) -> list[Json]:
    """All pools, or the one of that name."""
    chosen = [found for found in pools if pool in ("", found["resource"])]
    if not chosen:
        raise DrainError(f"this node has no pool {pool}" if pool else "no pool is started on this node")
    return chosen


def _having(pools: Sequence[Json], name: str) -> list[Json]:
    """The pools that have the server."""
    return [found for found in pools if _servers(found, name)]


def _concerned(pools: Sequence[Json], server: str, pool: str) -> tuple[str, list[Json]]:
    """The name of the server's file, and the pools that have the server, at least one."""
    name = _name(server)
    concerned = _having(_chosen(pools, pool), name)
    if not concerned:
        where = f"pool {pool} does not have" if pool else "no pool on this node has"
        raise DrainError(f"{where} the real server {name}: `anycastctl status` lists the real servers")
    for found in concerned:
        if not found.get("drain_dir"):
            raise DrainError(f"pool {found['resource']} has no drain_dir")
    return name, concerned


def _files(pools: Sequence[Json], name: str, pool: str) -> list[str]:
    return sorted({f"{found['drain_dir']}/{_below(pool)}{name}" for found in pools if found.get("drain_dir")})


def _below(pool: str) -> str:
    return f"{pool}/" if pool else ""


def _servers(pool: Json, name: str) -> set[str]:
    """The real servers of a pool that the name matches."""
    return {
        str(real["server"]) for one in pool["virtual"] for real in one["real_servers"] if _is(str(real["server"]), {name})
    }


def _host(server: str) -> str:
    """A server without its port, if it has one."""
    address, _ = parse_endpoint(server)
    return endpoint(address, 0)


def _is(server: str, names: AbstractSet[str]) -> bool:
    """Whether one of the file names is of the server."""
    return server in names or _host(server) in names


def _names(pool: Json) -> frozenset[str]:
    """The files that exist now: the daemon's own list may be a check interval old."""
    drained = Drained(pool["drain_dir"], pool["resource"])
    drained.read()
    return drained.names


def _is_last(service: Json, name: str, out: AbstractSet[str]) -> bool:
    """Whether all live backends of a service, except those in `out`, would be drained."""
    alive = [
        str(real["server"])
        for real in service["real_servers"]
        if real["state"] in (UP, STILL_SERVING) and real["wanted"] and not _is(str(real["server"]), out)
    ]
    return bool(alive) and all(_is(server, {name}) for server in alive)

"""The files by which bgp-announce registers gated announcements, and by which the daemon remembers shut gates.

The agent writes the registrations and the daemon reads them, so that either may be killed or replaced at any time: the file
is the permission to announce. Part of bgp-announce's monitor, so it imports next to nothing.
"""

from __future__ import annotations

import os
import time

from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.context import Lock
from ocfpy.ocf.errors import DeadlineError
from ocfpy.ocf.state import StateFile, names_in, remove_file
from ocfpy.ocf.values import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocfpy.ocf.addresses import Address
    from ocfpy.ocf.deadline import Deadline

SCHEMA = 1
READABLE = (SCHEMA - 1, SCHEMA)
"""Versions of the format that this code reads: its own, and the previous one."""
SHARED_LOCK_S = 1.0
"""How long the daemon waits for an agent that writes a registration, which takes less than a millisecond."""
_POLL_S = 0.001
_PREFIX = "bgp-announce-"
_SUFFIX = ".gate"
_LOCK = "bgp-announce.gate.lock"
_MEMORY = "healthd-gate.shut"


class Registration(Record):
    """An announcement whose route is withdrawn with the last backend of the pool that publishes `attribute`.

    All fields are text. `leaving` is set once stop has begun: from then on the daemon only withdraws, and `route_map` is the one
    to drain with, or empty.
    """

    __slots__ = ("attribute", "backend", "leaving", "prefix", "resource", "route_map", "vrf", "vty_dir")

    def __init__(
        self,
        resource: str,
        prefix: str,
        attribute: str,
        route_map: str = "",
        vrf: str = "",
        backend: str = "auto",
        vty_dir: str = "/run/frr",
        leaving: str = "",
    ) -> None:
        self.resource = resource
        self.prefix = prefix
        self.attribute = attribute
        self.route_map = route_map
        self.vrf = vrf
        self.backend = backend
        self.vty_dir = vty_dir
        self.leaving = leaving

    @property
    def address(self) -> Address:
        """The parsed prefix."""
        return parse_address(self.prefix)


class GateFiles:
    """The registrations of one run directory, and the daemon's memory of shut gates."""

    __slots__ = ("_directory",)

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def read(self, resource: str) -> Registration | None:
        """Return a resource's registration, None if there is none that this version can read. Raises OSError."""
        record = StateFile(self._path(resource)).read()
        if record is None or not _is_readable(record):
            return None
        fields = {name: record.get(name, "") for name in Registration.__slots__ if name != "resource"}
        registration = Registration(resource, **fields)
        try:
            parse_address(registration.prefix)
        except ValueError:
            return None
        return registration

    def read_all(self) -> list[Registration]:
        """Return every registration. Raises OSError."""
        names = [name for name in sorted(names_in(self._directory)) if name.startswith(_PREFIX) and name.endswith(_SUFFIX)]
        found = [self.read(name[len(_PREFIX) : -len(_SUFFIX)]) for name in names]
        return [registration for registration in found if registration is not None]

    def write(self, registration: Registration) -> None:
        """Replace a registration. Raises OSError."""
        fields = {name: getattr(registration, name) for name in registration.__slots__ if name != "resource"}
        StateFile(self._path(registration.resource)).write({"schema": str(SCHEMA), **fields})

    def delete(self, resource: str) -> None:
        """Remove a registration; a missing file is no error. Raises OSError."""
        StateFile(self._path(resource)).delete()

    def write_lock(self, deadline: Deadline) -> Lock:
        """Return the lock that an agent holds while it writes or deletes: the daemon announces nothing meanwhile."""
        return Lock(f"{self._directory}/{_LOCK}", deadline)

    def read_lock(self) -> SharedLock:
        """Return the lock that the daemon holds while it announces what the files permit."""
        return SharedLock(f"{self._directory}/{_LOCK}")

    def shut_gates(self) -> dict[str, tuple[float, str]]:
        """Return by attribute since when, in seconds since the epoch, and why the daemon last withdrew its routes."""
        try:
            record = StateFile(f"{self._directory}/{_MEMORY}").read()
        except OSError:
            return {}
        found = {}
        if record is not None and _is_readable(record):
            for name, value in record.items():
                since, _, why = value.partition(" ")
                try:
                    found[name] = (float(since), why)
                except ValueError:
                    pass
            del found["schema"]
        return found

    def remember(self, shut: Mapping[str, tuple[float, str]]) -> None:
        """Replace what shut_gates returns; an empty dict removes the file. Raises OSError."""
        if not shut:
            remove_file(f"{self._directory}/{_MEMORY}")
            return
        lines = {attribute: f"{since:.3f} {' '.join(why.split())}" for attribute, (since, why) in shut.items()}
        StateFile(f"{self._directory}/{_MEMORY}").write({"schema": str(SCHEMA), **lines})

    def _path(self, resource: str) -> str:
        return f"{self._directory}/{_PREFIX}{resource}{_SUFFIX}"


class SharedLock:
    """A shared lock on a file, for a block of code; raises DeadlineError when an agent holds it for longer than SHARED_LOCK_S."""

    __slots__ = ("_fd", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> None:
        import fcntl

        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        end = time.monotonic() + SHARED_LOCK_S
        try:
            while True:
                try:
                    return fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise DeadlineError(f"timed out after {SHARED_LOCK_S:g} s waiting for the lock {self._path}") from None
                time.sleep(_POLL_S)
        except BaseException:
            os.close(self._fd)
            raise

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _is_readable(record: Mapping[str, str]) -> bool:
    schema = record.get("schema", "")
    return schema.isascii() and schema.isdigit() and int(schema) in READABLE

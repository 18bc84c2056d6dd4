"""Finds out who else can write the files that root's processes read or run: commands, configurations, secrets."""

from __future__ import annotations

import os
import stat

from ocfpy.ocf.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ocfpy.ocf.context import Log
    from ocfpy.ocf.deadline import Deadline
    from ocfpy.pool.spec import PoolSpec, ServiceSpec

ROOT = "root"


def require_trusted(
    services: Iterable[ServiceSpec], config: str, user: str, log: Log, deadline: Deadline, running: Running | None = None
) -> None:
    """Raise HostError if a command that runs as root, or the file that names it, can be written by others; warn of other files.

    `user` runs the commands of the file `config`, which may be empty. What `running` has in force already is only warned of:
    to refuse it would stop a pool that runs.
    """
    from ocfpy.checks.secretfile import secret_files

    commands = commands_of(services, user)
    files: dict[str, str] = {}
    for service in services:
        for check in (service.check, *service.checks.values()):
            files.update(dict.fromkeys(secret_files(check).values(), "the secret in"))
            files.update(dict.fromkeys(check.tls_files(), "the TLS file"))
    if config:
        as_root = any(one == ROOT for _, one in commands)
        _judge("config", config, (), log, deadline, as_root and not (running and running.has_same_config))
    for (path, one), what in sorted(commands.items()):
        is_new = not running or (path, one) not in running.commands
        _judge(what, path, (one,) if one else (), log, deadline, one == ROOT and is_new)
    for path, what in sorted(files.items()):
        _judge(what, path, (), log, deadline, False)


class Running:
    """What a pool has in force: its commands, each with its user, and whether its configuration file has the same content."""

    __slots__ = ("commands", "has_same_config")

    def __init__(self, spec: PoolSpec, config_digest: str) -> None:
        self.commands = set(commands_of(spec.services, spec.command_user))
        self.has_same_config = bool(config_digest) and spec.config_digest == config_digest


def commands_of(services: Iterable[ServiceSpec], user: str) -> dict[tuple[str, str], str]:
    """Return what runs as which user, and what a reason calls it; of an interpreter's arguments, those that are files."""
    commands: dict[tuple[str, str], str] = {}
    for service in services:
        if service.fallback_command:
            commands.update(dict.fromkeys(((path, user) for path in _programs(service.fallback_command)), "fallbackcommand"))
        for check in (service.check, *service.checks.values()):
            if check.type == "external":
                found = ((path, check["command_user"]) for path in _programs(check["command"]))
                commands.update(dict.fromkeys(found, "the command"))
    return commands


def _programs(command: str) -> list[str]:
    program, *arguments = command.split()
    return [program, *(word for word in arguments if word.startswith("/") and os.path.isfile(word))]


def _judge(what: str, path: str, users: Iterable[str], log: Log, deadline: Deadline, must_be_trusted: bool) -> None:
    deadline.step = f"{what} {path}"
    writer = writer_of(path, users)
    if not writer:
        return
    sentence = f"{what} {path}: {writer}; have root own it and no other user write it"
    if must_be_trusted:
        raise HostError(f"{sentence}, because commands of this pool run as root")
    log.warning(sentence)


def writer_of(path: str, users: Iterable[str] = ()) -> str:
    """Say which user besides root and `users` can replace the file; empty if none can, or it is not there."""
    # In a user namespace root's own files may have another owner, as / then has.
    trusted = {0, os.stat("/").st_uid, *_numbers(users)}
    for name in _on_the_way(path):
        try:
            found = os.stat(name)
        except OSError:
            return ""  # that it is missing is said where it is needed
        # In a sticky directory, as /tmp, only the owner of a file can rename or remove it.
        is_sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        if found.st_uid not in trusted:
            return f"{name} belongs to {_user(found.st_uid)}"
        if found.st_mode & stat.S_IWOTH and not is_sticky:
            return f"every user can write {name}"
        if found.st_mode & stat.S_IWGRP and found.st_gid and not is_sticky:
            return f"the group {_group(found.st_gid)} can write {name}"
    return ""


def _on_the_way(path: str) -> Iterator[str]:
    """The file and the directories above it, as it is named and where its links lead."""
    for name in dict.fromkeys((os.path.abspath(path), os.path.realpath(path))):
        while True:
            yield name
            if name == "/":
                break
            name = os.path.dirname(name)


def _numbers(users: Iterable[str]) -> Iterator[int]:
    import pwd

    for user in users:
        try:
            yield pwd.getpwnam(user).pw_uid
        except KeyError:
            pass  # find_user says so


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _group(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)

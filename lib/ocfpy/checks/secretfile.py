"""Passwords, shared secrets and other options that are in files."""

from __future__ import annotations

import errno

from ocfpy.checks.registry import FILE_MARK, FROM_FILES, SECRETS
from ocfpy.ocf.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.checks.settings import CheckSettings

FULL = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of open(2) that are about this node's resources, not the file."""
MAX_SECRET = 4096
"""Most characters of a secret that are read."""


def secret_files(settings: CheckSettings) -> dict[str, str]:
    """The options of a check whose values are in files, each with the path."""
    secrets = {name: settings[name] for name in SECRETS if settings[name].startswith("/")}
    return {**secrets, **{name: settings[name][len(FILE_MARK) :] for name in FROM_FILES if is_file(settings[name])}}


def is_file(text: str) -> bool:
    """Whether the value of one of FROM_FILES is the path of a file instead of the text to send."""
    return text.startswith(f"{FILE_MARK}/")


def read_secret(path: str) -> str:
    """Return the first line of a file. Raises HostError; OSError when this node lacks the resources to open any file."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline(MAX_SECRET).rstrip("\r\n")
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise HostError(f"the secret in {path} cannot be read: {why}") from None

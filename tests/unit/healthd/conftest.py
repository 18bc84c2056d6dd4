"""A directory for what an unprivileged process reads and writes: pytest's own are this user's alone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A temporary directory that every user may enter and write to."""
    path = Path(tempfile.mkdtemp(prefix="ocf-anycast-test-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)

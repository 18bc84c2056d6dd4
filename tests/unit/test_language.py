"""Plain English in messages, docstrings, comments, names and pages: words that hide who does what are not used."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VAGUE = re.compile(
    r"\b(?:(?i:somebody|someone|anybody|anyone|everybody|everyone|nobody|no one|whoever|whatever|whosoever)|"
    r"is none|in \w+'s place|the one of before|behind our back)\b"
)
SCANNED = ("lib/", "bin/", "agents/", "bench/", "cib-examples/", "docs/", "packaging/", "tests/", "Makefile", "README.md")
NOT_OURS = re.compile(r"\.(?:svg|png|pcap|json|pem)$|^tests/unit/test_language\.py$")
ALLOWED = re.compile(
    r"(?:user|users|as|else|to|or|,) `?nobody`?|\"nobody\"|nobody\.invalid|as_nobody|nobody@|cn=nobody|virtual=nobody|NOBODY|"
    r"there is none|is none, or has|load=\"whatever\"|cn: somebody|whatever you have heard|User nobody"
)
"""The user nobody, data of tests, and None in words."""


def texts(path: Path) -> list[tuple[int, str]]:
    """The lines of a file that people read: of a Python file its strings, comments and names of functions."""
    source = path.read_text()
    if path.suffix != ".py":
        return list(enumerate(source.splitlines(), 1))
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)):
            found += list(enumerate(token.string.splitlines(), token.start[0]))
        elif token.type == tokenize.NAME and token.string.startswith("test_"):
            found.append((token.start[0], token.string.replace("_", " ")))
    return found


def vague(path: Path) -> list[str]:
    if not VAGUE.search(path.read_text().replace("_", " ")):
        return []
    return [f"{line}: {text.strip()}" for line, text in texts(path) if VAGUE.search(ALLOWED.sub("", text))]


def pages() -> list[str]:
    found = [path for name in SCANNED for path in ((ROOT / name).rglob("*") if name.endswith("/") else [ROOT / name])]
    names = [str(path.relative_to(ROOT)) for path in found if path.is_file() and "__pycache__" not in path.parts]
    return [name for name in names if not NOT_OURS.search(name)]


@pytest.mark.parametrize("folder", SCANNED)
def test_no_vague_words(folder: str) -> None:
    found = {name: vague(ROOT / name) for name in pages() if name.startswith(folder)}
    assert found, f"no file in {folder}"
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "text",
    ['"""Tells somebody."""', "# whoever comes next", 'raise ValueError("the answer is none")', "def test_nobody_comes(): ..."],
)
def test_vague_words_are_found(text: str, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(f"{text}\n")
    assert len(vague(path)) == 1


def test_the_user_nobody_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("The checker runs as the user `ocf-anycast`, else as `nobody`.\n")
    assert vague(path) == []

"""What a certificate is for, and failures of TLS in words. TLS itself is tried against real servers in tests/checks."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from ocfpy.checks.options import TlsOptions
from ocfpy.checks.settings import CheckSettings
from ocfpy.checks.tls import context_for, failure, wrong_name
from ocfpy.healthd import preflight
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import HostError

from tests.unit.checks.test_checks import PATIENCE_S, says, settings, try_tcp
from tests.unit.healthd.samples import pool

NAMES = {
    "subject": ((("commonName", "cn.example.com"),),),
    "subjectAltName": (
        ("DNS", "www.example.com"),
        ("DNS", "*.apps.example.com"),
        ("IP Address", "192.0.2.1"),
        ("IP Address", "2001:DB8:0:0:0:0:0:1"),
        ("email", "post@example.com"),
    ),
}


@pytest.mark.parametrize(
    "name", ["www.example.com", "WWW.example.COM", "www.example.com.", "a.apps.example.com", "192.0.2.1", "2001:db8::1"]
)
def test_names_that_a_certificate_is_for(name: str) -> None:
    assert wrong_name(NAMES, name) == ""


@pytest.mark.parametrize(
    "name",
    ["example.com", "cn.example.com", "apps.example.com", ".apps.example.com", "a.b.apps.example.com", "192.0.2.2",
     "2001:db8::2", "xwww.example.com", "post@example.com", "*.apps.example.org"],
)  # fmt: skip
def test_names_that_it_is_not_for(name: str) -> None:
    found = "www.example.com, *.apps.example.com, 192.0.2.1, 2001:DB8:0:0:0:0:0:1"
    assert wrong_name(NAMES, name) == f"certificate is for {found}, not {name} (check_tls_name)"


def test_a_certificate_without_names() -> None:
    assert wrong_name({}, "a") == "certificate is for no host, not a (check_tls_name)"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "the server does not speak TLS"), (b"", "connection closed during the TLS handshake"),
     (b"\x15\x03\x01\x00\x02\x02\x28", "the server has no cipher or version of TLS in common with this node")],
)  # fmt: skip
def test_servers_without_tls(answer: bytes, reason: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        writer.close()

    assert try_tcp(speak, settings("https")).reason.startswith(reason)


def test_a_handshake_that_hangs() -> None:
    result = try_tcp(says(b"", after_request=False, close=False), settings("https", timeout=0.3))
    assert result.reason == "timed out after 0.3 s, in the TLS handshake"


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    for options, said in (({"ca": "/nonexistent"}, "/nonexistent: No such file"), ({"cert": str(nonsense)}, "nonsense.pem")):
        check = CheckSettings("https", options=options.items())
        with pytest.raises(HostError, match=said) as found:
            preflight.require_files(pool(check=check).services, Deadline(PATIENCE_S))
        assert try_tcp(says(b""), check).reason == found.value.reason
    preflight.require_files(pool(check=CheckSettings("smtp", ca="/nonexistent")).services, Deadline(PATIENCE_S))


def test_a_key_with_a_passphrase_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-passout", "pass:hush",
         "-subj", "/CN=probe", "-days", "2", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    check = CheckSettings("https", cert=str(certificate), key=str(key))
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from ocfpy.checks.options import TlsOptions\nfrom ocfpy.checks.settings import CheckSettings\n"
        "from ocfpy.checks.tls import context_for\n"
        "from ocfpy.ocf.errors import HostError\n"
        f"try: context_for(TlsOptions.of(CheckSettings('https', options={dict(check.options)!r}.items())))\n"
        "except HostError as error: print(error.reason)\n"
    )
    said = subprocess.run(
        ["setsid", sys.executable, "-c", program],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    assert f"{certificate} or {key} cannot be used for TLS: " in said.stdout
    assert "phrase" not in said.stderr, "it asked for the passphrase"


def test_what_openssl_says() -> None:
    error = ssl.SSLError(1, "[SSL: BAD_THING] bad thing (_ssl.c:1)")
    error.reason = "BAD_THING"
    assert failure(error) == "TLS: bad thing"
    error.reason = ""
    assert failure(error) == "TLS: bad thing"
    newer = ssl.SSLError(1, "[ssl] legacy sigalg disallowed or unsupported (_ssl.c:992)")
    newer.reason = ""  # Python does not know it
    assert failure(newer) == "the server speaks only TLS 1.1 or older"
    error.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert failure(error) == "the server wants a client certificate (check_cert)"


def test_no_key_exchange_is_offered_whose_size_the_server_chooses() -> None:
    """A DHE modulus of 10,000 bits cost 0.87 s a handshake, in one call that nothing interrupts."""
    usual = {one["name"] for one in ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).get_ciphers()}
    offered = context_for(TlsOptions.of(CheckSettings("https", tls_verify="false"))).get_ciphers()
    assert usual - {one["name"] for one in offered} == {name for name in usual if name.startswith("DHE-")}
    assert not any(one["kea"].startswith("kx-dhe") for one in offered)

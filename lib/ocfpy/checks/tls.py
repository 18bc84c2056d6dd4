"""TLS as the checks use it: what they offer and verify, and the words for failures."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any, Callable

from ocfpy.checks.secretfile import FULL
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.errors import HostError

if TYPE_CHECKING:
    from ocfpy.checks.options import TlsOptions

DHE = "kx-dhe"
"""Key exchanges whose modulus the server chooses: one of 10,000 bits keeps OpenSSL busy for 0.9 s, which nothing can interrupt.

Firefox and Chromium do not offer them either. In TLS 1.3 the groups are fixed, the costliest takes 0.16 s.
"""
MAX_NAMES = 4
"""Names of a certificate that a reason repeats."""

# The numbers of openssl-verify(1), for errors whose own text says less.
_CERTIFICATE = {
    9: "certificate is not valid yet",
    10: "certificate has expired",
    18: "certificate is self-signed",
    19: "certificate is signed by a CA that is not trusted (check_ca)",
    20: "certificate is signed by a CA that is not known (check_ca)",
    21: "certificate is signed by a CA that is not known (check_ca)",
}
_TLS = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS",
    "RECORD_LAYER_FAILURE": "the server does not speak TLS",
    "PACKET_LENGTH_TOO_LONG": "the server does not speak TLS",
    "HTTP_REQUEST": "the server does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "the server speaks only TLS 1.1 or older",
    "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED": "the server speaks only TLS 1.1 or older",
    "VERSION_TOO_LOW": "the server speaks only TLS 1.1 or older",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server speaks only another version of TLS",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server has no cipher or version of TLS in common with this node",
    "TLSV1_UNRECOGNIZED_NAME": "the server has no certificate for that name (check_tls_name)",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a client certificate (check_cert)",
    "TLSV1_ALERT_UNKNOWN_CA": "the server does not know the CA of our certificate (check_cert)",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired (check_cert)",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the server does not accept our certificate (check_cert)",
}

_contexts: dict[tuple[bool, str, str, str], tuple[tuple[int, ...], ssl.SSLContext]] = {}


def context_for(options: TlsOptions, place: Callable[[str], str] = str) -> ssl.SSLContext:
    """What to offer and to verify, made once for all checks that do it alike, and again when a file has changed.

    `place` returns the path of a file's copy, if not at its own path. Raises HostError when a file cannot be used, OSError when
    this node lacks the resources to open any file.
    """
    files = options.files
    key = (options.tls_verify, *files)
    try:
        places = [place(path) if path else "" for path in files]
        stamp = tuple(os.stat(path).st_mtime_ns for path in places if path)
        known = _contexts.get(key)
        if known is None or known[0] != stamp:
            known = _contexts[key] = stamp, _make_context(options.tls_verify, *places)
        return known[1]
    except ssl.SSLError as error:
        reason = error.reason or str(error)
        raise HostError(f"{' or '.join(filter(None, files))} cannot be used for TLS: {reason}") from None
    except OSError as error:
        if error.errno in FULL:
            raise
        raise HostError(f"{error.filename or ', '.join(filter(None, files))}: {error.strerror}") from None


def _make_context(verify: bool, ca: str, cert: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # `wrong_name` verifies the name, because it can report the certificate's names.
    context.check_hostname = False
    names = [one["name"] for one in context.get_ciphers() if one["protocol"] != "TLSv1.3" and not one["kea"].startswith(DHE)]
    if names:  # a node may be set up for TLS 1.3 only
        context.set_ciphers(":".join(names))
    if not verify:
        context.verify_mode = ssl.CERT_NONE
    elif ca:
        context.load_verify_locations(ca)
    else:
        context.load_default_certs()
    if cert:
        # An encrypted key must not make the daemon ask its terminal.
        context.load_cert_chain(cert, key or None, password=lambda: b"")
    return context


def failure(error: ssl.SSLError) -> str:
    """Return why TLS failed, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code) or f"certificate is not valid: {error.verify_message}"
    # A reason that is newer than Python's list is only in the text: "[ssl] unexpected thing (_ssl.c:992)".
    reason = error.reason or str(error).rpartition("] ")[2].partition(" (")[0].upper().replace(" ", "_")
    return _TLS.get(reason) or f"TLS: {reason.lower().replace('_', ' ')}"


def wrong_name(certificate: dict[str, Any], name: str) -> str:
    """Return why a verified certificate is not that of `name` (a host name or an address); empty if it is.

    RFC 6125, 6.4: a wildcard stands for the whole first label; the common name does not count.
    """
    names: list[tuple[str, str]] = list(certificate.get("subjectAltName", ()))
    try:
        address = parse_address(name)
    except ValueError:
        found = any(kind == "DNS" and _matches(pattern, name) for kind, pattern in names)
    else:
        found = any(kind == "IP Address" and parse_address(text.strip()) == address for kind, text in names)
    if found:
        return ""
    others = [text.strip() for kind, text in names if kind in ("DNS", "IP Address")]
    more = f" and {len(others) - MAX_NAMES} more" if len(others) > MAX_NAMES else ""
    return f"certificate is for {', '.join(others[:MAX_NAMES]) or 'no host'}{more}, not {name} (check_tls_name)"


def _matches(pattern: str, name: str) -> bool:
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern.startswith("*."):
        label, dot, parent = name.partition(".")
        return bool(label and dot) and parent == pattern[2:]
    return pattern == name

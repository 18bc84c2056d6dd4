"""Throw-away certificates: an authority, a server's certificate by it and one that has expired, and a client's."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOST = "server.example.com"
"""The name in the server's certificate."""
ADDRESSES = "10.77.0.1", "fd77::1"
"""The addresses in the certificate numbers.pem: those of nginx."""
DAY = timedelta(days=1)


class Pki:
    """PEM files: ca.pem; server.pem, numbers.pem, expired.pem, client.pem and the key of each, such as server.key."""

    def __init__(self, directory: Path, names: Sequence[str] = (HOST,)) -> None:
        """`names` are those in the server's certificate."""
        directory.mkdir()
        self.directory = directory
        self.ca = directory / "ca.pem"
        self.certificate, self.key = directory / "server.pem", directory / "server.key"
        now = datetime.now(timezone.utc)
        self._authority_key = ec.generate_private_key(ec.SECP256R1())
        self._authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority")])
        authority = self._builder(self._authority, self._authority_key, now - DAY, now + 30 * DAY)
        authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self._write(self.ca, authority)
        server = [x509.DNSName(name) for name in names]
        numbers = [x509.IPAddress(ipaddress.ip_address(address)) for address in ADDRESSES]
        self._issue("server", server, now - DAY, now + 30 * DAY)
        self._issue("numbers", numbers, now - DAY, now + 30 * DAY)
        self._issue("expired", server, now - 3 * DAY, now - DAY)
        self._issue("client", [x509.DNSName("client.example.com")], now - DAY, now + 30 * DAY)

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, begin: datetime, end: datetime
    ) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            self._authority, name, key.public_key(), x509.random_serial_number(), begin, end
        )

    def _write(self, path: Path, certificate: x509.CertificateBuilder) -> None:
        signed = certificate.sign(self._authority_key, hashes.SHA256())
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def _issue(self, kind: str, names: Sequence[x509.GeneralName], begin: datetime, end: datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, kind)])
        certificate = self._builder(name, key, begin, end)
        certificate = certificate.add_extension(x509.SubjectAlternativeName(names), critical=False)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        self._write(self.directory / f"{kind}.pem", certificate.add_extension(x509.ExtendedKeyUsage(usages), critical=False))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.directory / f"{kind}.key").write_bytes(pem)

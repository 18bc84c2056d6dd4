"""SCRAM-SHA-256, the client's side (RFC 5802, RFC 7677): PostgreSQL's login, which does not reveal the password."""

from __future__ import annotations

import hashlib
import hmac
import os
import unicodedata
from base64 import b64decode, b64encode

from ocfpy.checks.words import said

Keys = dict[tuple[str, bytes, int], bytes]
"""Keys computed from passwords, by password, salt and iterations."""
MECHANISM = "SCRAM-SHA-256"
MAX_ITERATIONS = 100_000
"""Most iterations, a tenth of a second of work while all other checks wait; a server's default is 4096."""
MAX_DIGITS = 9
"""Most digits of the number of iterations; Python parses a number of 64 KiB digits in a tenth of a second."""
_NO_CHANNEL_BINDING = "n,,"


class Scram:
    """One login. `keys` remembers the keys computed from a password, for as long as the server keeps its salt."""

    def __init__(self, password: str, keys: Keys, nonce: str = "") -> None:
        self._password = unicodedata.normalize("NFKC", password)
        self._keys = keys
        self._nonce = nonce or b64encode(os.urandom(18)).decode()
        self._signature = b""

    def first(self) -> bytes:
        """Return the first message."""
        return f"{_NO_CHANNEL_BINDING}{self._bare()}".encode()

    def _bare(self) -> str:
        return f"n=,r={self._nonce}"  # PostgreSQL takes the user from its own startup message

    def final(self, challenge: bytes) -> bytes:
        """Return the answer to the server's first message. Raises ValueError."""
        fields = _fields(challenge)
        nonce, salt, digits = fields.get("r", ""), b64decode(fields.get("s", ""), validate=True), fields.get("i", "")
        if len(digits) > MAX_DIGITS:
            raise ValueError(f"the server requires {said(digits)} iterations, the maximum is {MAX_ITERATIONS}")
        iterations = int(digits)
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise ValueError("the server's nonce does not continue ours")
        if not 1 <= iterations <= MAX_ITERATIONS:
            raise ValueError(f"the server requires {iterations} iterations, the maximum is {MAX_ITERATIONS}")
        salted = self._salted(salt, iterations)
        without_proof = f"c={b64encode(_NO_CHANNEL_BINDING.encode()).decode()},r={nonce}"
        message = f"{self._bare()},{challenge.decode()},{without_proof}".encode()
        client_key = _hmac(salted, b"Client Key")
        proof = bytes(a ^ b for a, b in zip(client_key, _hmac(hashlib.sha256(client_key).digest(), message)))
        self._signature = _hmac(_hmac(salted, b"Server Key"), message)
        return f"{without_proof},p={b64encode(proof).decode()}".encode()

    def _salted(self, salt: bytes, iterations: int) -> bytes:
        key = self._password, salt, iterations
        if key not in self._keys:
            self._keys.clear()
            self._keys[key] = hashlib.pbkdf2_hmac("sha256", self._password.encode(), salt, iterations)
        return self._keys[key]

    def verify(self, outcome: bytes) -> None:
        """Raise ValueError unless the server's last message proves that it knows the password, too."""
        signature = b64decode(_fields(outcome).get("v", ""), validate=True)
        if not self._signature or not hmac.compare_digest(signature, self._signature):
            raise ValueError("the server does not know the password itself")


def _fields(message: bytes) -> dict[str, str]:
    pairs = [part.partition("=") for part in message.decode("ascii").split(",")]
    return {name: value for name, _, value in pairs}


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()

"""A generic-netlink socket that takes many requests in one send."""

from __future__ import annotations

import os

# The C module behind socket, which itself pulls in enum and selectors.
from _socket import AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW, socket
from _struct import Struct  # the module struct is a file that has nothing but this

from ocfpy.net import netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NETLINK_GENERIC = 16
GENL_ID_CTRL = 16
CTRL_CMD_GETFAMILY = 3
CTRL_ATTR_FAMILY_ID = 1
CTRL_ATTR_FAMILY_NAME = 2

SOL_NETLINK = 270
NETLINK_CAP_ACK = 10

_GENL = Struct("=BBH")  # command, version, reserved
_U16 = Struct("=H")

BATCH = 64
"""Requests in one send: even if each of them fails, the answers fit the default receive buffer (212992 bytes)."""

ANSWER_S = 10.0
"""How long to wait for the kernel; it answers at once, except while it loads a scheduler's module."""


class GenericNetlink:
    """Requests to one generic-netlink family.

    Raises FileNotFoundError when the kernel has no such family, even after trying to load it.
    """

    def __init__(self, family_name: str) -> None:
        self._sequence = 0
        self._socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC)
        try:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
            self._socket.settimeout(ANSWER_S)
            self._socket.bind((0, 0))
            self._family = self._family_id(family_name)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def dump(self, request: bytes) -> Iterator[bytes]:
        """Return every answer of the kernel to a request; OSError if it refuses."""
        sequence = self._send(self._family, [(request, netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP)])
        for kind, _, body in self._answers(sequence, sequence):
            if kind in (netlink.NLMSG_ERROR, netlink.NLMSG_DONE):
                _raise_errno(body)
                return
            yield body

    def get(self, request: bytes) -> bytes:
        """Return the one answer to a request; OSError if the kernel refuses."""
        return self._answer(self._family, request)

    def request(self, requests: Sequence[bytes]) -> dict[int, int]:
        """Make the requests, each even if others fail; return the errno of the failed ones by position."""
        failed: dict[int, int] = {}
        for start in range(0, len(requests), BATCH):
            batch = requests[start : start + BATCH]
            # Only the last asks for an answer: the kernel works in order, and always answers on failure.
            flags = [netlink.NLM_F_REQUEST] * (len(batch) - 1) + [netlink.NLM_F_REQUEST | netlink.NLM_F_ACK]
            first = self._send(self._family, list(zip(batch, flags)))
            last = first + len(batch) - 1
            for _, sequence, body in self._answers(first, last):
                errno = netlink.errno_of(body)
                if errno:
                    failed[start + sequence - first] = errno
                if sequence == last:
                    break
        return failed

    def _family_id(self, name: str) -> int:
        request = _GENL.pack(CTRL_CMD_GETFAMILY, 1, 0)
        request += netlink.attribute(CTRL_ATTR_FAMILY_NAME, name.encode() + b"\0")
        body = self._answer(GENL_ID_CTRL, request)
        return int(_U16.unpack(netlink.attributes(body[_GENL.size :])[CTRL_ATTR_FAMILY_ID])[0])

    def _answer(self, family: int, request: bytes) -> bytes:
        sequence = self._send(family, [(request, netlink.NLM_F_REQUEST)])
        kind, _, body = next(self._answers(sequence, sequence))
        if kind == netlink.NLMSG_ERROR:
            _raise_errno(body)
        return body

    def _send(self, family: int, requests: Sequence[tuple[bytes, int]]) -> int:
        """Send the requests with their flags at once; return the sequence number of the first."""
        first = self._sequence + 1
        self._sequence += len(requests)
        texts = [netlink.message(family, flags, first + n, body) for n, (body, flags) in enumerate(requests)]
        self._socket.sendto(b"".join(texts), (0, 0))
        return first

    def _answers(self, first: int, last: int) -> Iterator[tuple[int, int, bytes]]:
        """Type, sequence number and body of each answer to the requests first..last."""
        while True:
            for kind, sequence, body in netlink.messages(self._socket.recv(netlink.RECEIVE_BYTES)):
                # An answer to an earlier request, whose reader gave up, is dropped.
                if first <= sequence <= last:
                    yield kind, sequence, body


def _raise_errno(body: bytes) -> None:
    errno = netlink.errno_of(body)
    if errno:
        raise OSError(errno, os.strerror(errno))

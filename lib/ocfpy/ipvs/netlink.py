"""A generic-netlink socket that takes many requests in one send.

pyroute2 declares and encodes the messages. Its sockets are not used: they send one request at a time and,
from 0.9 on, cannot be called from a program that runs an event loop of its own.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from pyroute2.netlink import ctrlmsg, genlmsg

NETLINK_GENERIC = 16
GENL_ID_CTRL = 16
CTRL_CMD_GETFAMILY = 3

NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_DUMP = 0x300

SOL_NETLINK = 270
NETLINK_CAP_ACK = 10

_HEADER = struct.Struct("=IHHII")
_ERROR = struct.Struct("=i")

BATCH = 64
"""Requests a send: even if each of them fails, the answers fit the default receive buffer (212992 bytes)."""

RECEIVE_BYTES = 65536
"""The kernel puts at most 32 KiB of a dump into one message."""

ANSWER_S = 10.0
"""How long to wait for the kernel; it answers at once, except while it loads a scheduler's module."""


class GenericNetlink:
    """Requests to one generic-netlink family, whose answers are decoded as `message_class`.

    Raises FileNotFoundError when the kernel has no such family, even after trying to load it.
    """

    def __init__(self, family_name: str, message_class: type[genlmsg]) -> None:
        self._message_class = message_class
        self._sequence = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        try:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
            self._socket.settimeout(ANSWER_S)
            self._socket.bind((0, 0))
            self._family = self._family_id(family_name)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def dump(self, request: genlmsg) -> Iterator[genlmsg]:
        """Everything the kernel has to say to a request; OSError if it refuses."""
        sequence = self._send([(request, NLM_F_REQUEST | NLM_F_DUMP)], self._family)
        for kind, _, body in self._answers(sequence, sequence):
            if kind in (NLMSG_ERROR, NLMSG_DONE):
                _raise_errno(body)
                return
            yield _decoded(self._message_class, body)

    def request(self, requests: Sequence[genlmsg]) -> dict[int, int]:
        """Carry out the requests, each even if others fail; the errno of those that failed by position."""
        failed: dict[int, int] = {}
        for start in range(0, len(requests), BATCH):
            batch = requests[start : start + BATCH]
            # Only the last asks for an answer: the kernel works in order, and always answers on failure.
            flags = [NLM_F_REQUEST] * (len(batch) - 1) + [NLM_F_REQUEST | NLM_F_ACK]
            first = self._send(list(zip(batch, flags)), self._family)
            last = first + len(batch) - 1
            for _, sequence, body in self._answers(first, last):
                errno = -_ERROR.unpack_from(body, _HEADER.size)[0]
                if errno:
                    failed[start + sequence - first] = errno
                if sequence == last:
                    break
        return failed

    def _family_id(self, name: str) -> int:
        request = ctrlmsg()
        request["cmd"] = CTRL_CMD_GETFAMILY
        request["version"] = 1
        request["attrs"].append(("CTRL_ATTR_FAMILY_NAME", name))
        sequence = self._send([(request, NLM_F_REQUEST)], GENL_ID_CTRL)
        kind, _, body = next(self._answers(sequence, sequence))
        if kind == NLMSG_ERROR:
            _raise_errno(body)
        return int(_decoded(ctrlmsg, body).get_attr("CTRL_ATTR_FAMILY_ID"))

    def _send(self, requests: Sequence[tuple[genlmsg, int]], family: int) -> int:
        """Send the requests with their flags in one go; the sequence number of the first."""
        first = self._sequence + 1
        data = bytearray()
        for request, flags in requests:
            self._sequence += 1
            request["header"]["type"] = family
            request["header"]["flags"] = flags
            request["header"]["sequence_number"] = self._sequence
            request.encode()
            data += request.data
        self._socket.sendto(data, (0, 0))
        return first

    def _answers(self, first: int, last: int) -> Iterator[tuple[int, int, bytes]]:
        """Type, sequence number and whole text of each answer to the requests first..last."""
        while True:
            data = self._socket.recv(RECEIVE_BYTES)
            offset = 0
            while offset + _HEADER.size <= len(data):
                length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
                # An answer to an earlier request, whose reader gave up, is of no use to this one.
                if first <= sequence <= last:
                    yield kind, sequence, data[offset : offset + length]
                offset += (length + 3) & ~3


def _decoded(message_class: type[genlmsg], body: bytes) -> Any:
    answer = message_class(body)
    answer.decode()
    return answer


def _raise_errno(body: bytes) -> None:
    errno = -_ERROR.unpack_from(body, _HEADER.size)[0]
    if errno:
        raise OSError(errno, os.strerror(errno))

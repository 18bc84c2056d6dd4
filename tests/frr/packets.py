"""A thousand packets a second, and what answers them.

packets.py echo ADDRESS NAME        answers every datagram to ADDRESS with its number and NAME, also while ADDRESS is not there
packets.py send ADDRESS             sends until its standard input has something; prints "answered" at the first answer, and then
                                    prints a JSON object

Its keys: sent; lost, the times at which unanswered packets were sent; by, the number of answers by NAME; last,
who answered the last packet; stall, the longest time in which it did not get to send. Seconds of the monotonic clock.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time

PORT = 9000
PERIOD_S = 0.001
PATIENCE_S = 1.0
# linux/in.h, asm-generic/socket.h
IP_FREEBIND = 15
SO_RCVBUFFORCE = 33
NUMBER = struct.Struct("!I")


def udp(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    # A stall of the machine is not to look like a loss on the way.
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    return sock


def echo(address: str, name: str) -> None:
    sock = udp(address)
    sock.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
    sock.bind((address, PORT))
    print("ready", flush=True)
    while True:
        try:
            data, client = sock.recvfrom(64)
            sock.sendto(data + name.encode(), client)
        except OSError:  # no way back to the client at the moment: its packet is lost, and counted there
            continue


def send(address: str) -> None:
    sock = udp(address)
    sock.setblocking(False)
    target = (address, PORT)
    sent: list[float] = []
    answers: dict[int, str] = {}
    errors = (ConnectionError, OSError)

    def receive() -> None:
        while True:
            try:
                data = sock.recv(64)
            except BlockingIOError:
                return
            except errors:  # an ICMP error for one that was sent before: that one is lost, and counted as such
                continue
            if not answers:
                print("answered", flush=True)
            answers[NUMBER.unpack_from(data)[0]] = data[NUMBER.size :].decode()

    stall = 0.0
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        now = time.monotonic()
        if now < due:
            select.select([sock, sys.stdin], [], [], due - now)
            receive()
            continue
        stall = max(stall, now - due)
        try:
            sock.sendto(NUMBER.pack(len(sent)), target)
        except errors:
            pass
        sent.append(now)
        due = max(due + PERIOD_S, now - 10 * PERIOD_S)  # what a stall has cost is made up for only in part
    end = time.monotonic() + PATIENCE_S
    while len(answers) < len(sent) and time.monotonic() < end:
        select.select([sock], [], [], 0.01)
        receive()
    lost = [at for number, at in enumerate(sent) if number not in answers]
    names = list(answers.values())
    by = {name: names.count(name) for name in sorted(set(names))}
    last = answers[max(answers)] if answers else ""
    print(json.dumps({"sent": len(sent), "lost": lost, "by": by, "last": last, "stall": stall}))


if __name__ == "__main__":
    echo(*sys.argv[2:]) if sys.argv[1] == "echo" else send(*sys.argv[2:])

"""What a server on a host of the scripts runs: server.py NAME.

It says its name to each line over TCP, and spells the beginning of it in the address that it answers every DNS question with.
"""

from __future__ import annotations

import socket
import sys
import threading

TCP_PORT, UDP_PORT = 80, 53


def serve(name: str) -> None:
    """Until the process ends."""

    def talk(connection: socket.socket) -> None:
        with connection:
            try:
                while connection.recv(4096):
                    connection.sendall(f"{name}\n".encode())
            except OSError:
                pass

    def listen() -> None:
        with socket.create_server(("::", TCP_PORT), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128) as server:
            while True:
                threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    for family, any_address in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
        threading.Thread(target=answer_dns, args=(family, any_address, name), daemon=True).start()
    threading.Event().wait()


def answer_dns(family: socket.AddressFamily, any_address: str, name: str) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO, linux/in.h
        sock.bind((any_address, UDP_PORT))
        while True:
            query, ancillary, _, client = sock.recvmsg(512, 256)
            record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + name.encode()[:4].ljust(4)
            question = query[12 : query.index(b"\0", 12) + 5]  # what follows it is EDNS
            reply = query[:2] + b"\x84\0\0\1\0\1\0\0\0\0" + question + record
            # From the address that was asked; the interface is left to the route back.
            level, kind, info = ancillary[0]
            asked = info[:16] + bytes(4) if family == socket.AF_INET6 else bytes(4) + info[8:12] + bytes(4)
            sock.sendmsg([reply], [(level, kind, asked)], 0, client)


if __name__ == "__main__":
    serve(sys.argv[1])

"""FTP, against a server on the loopback."""

from __future__ import annotations

import asyncio

import pytest
from ocfpy.checks import make_check
from ocfpy.checks.base import Result
from ocfpy.checks.settings import CheckSettings
from ocfpy.ocf.addresses import parse_address


class Server:
    """Knows one user and one file; notes what it is told."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.said: list[str] = []
        self.transfers: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await asyncio.start_server(lambda _, taken: self.transfers.put_nowait(taken), self.host)
        port = data.sockets[0].getsockname()[1]
        replies = {
            "USER": "331 password?", "PASS": "230-welcome\r\n to this\r\n230 server", "TYPE": "200 ok",
            "PASV": f"227 Passive (198,51,100,1,{port >> 8},{port & 255})", "EPSV": f"229 Passive (|||{port}|)",
            "QUIT": "221 bye",
        }  # fmt: skip
        writer.write(b"220-hello\r\n220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            self.said.append(line)
            verb, _, rest = line.partition(" ")
            if line == "PASS wrong":
                writer.write(b"530 no\r\n")
            elif verb == "RETR" and rest == "/welcome.msg":
                writer.write(b"150 here it comes\r\n")
                transfer = await self.transfers.get()
                transfer.write(b"a test\r\n")
                transfer.close()
                writer.write(b"226 done\r\n")
            else:
                writer.write(f"{replies.get(verb, '550 no')}\r\n".encode())
            await writer.drain()
        data.close()
        writer.close()


def run(host: str = "127.0.0.1", **options: str) -> tuple[Result, list[str]]:
    async def story() -> tuple[Result, list[str]]:
        server = Server(host)
        listening = await asyncio.start_server(server.talk, host)
        port = listening.sockets[0].getsockname()[1]
        result = await make_check(parse_address(host), port, CheckSettings("ftp", timeout=5.0, **options)).run()  # type: ignore[arg-type]
        listening.close()
        return result, server.said

    return asyncio.run(story())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_file_is_fetched_from_the_address_that_is_checked(host: str) -> None:
    result, said = run(host, path="/welcome.msg", expect="re:test", user="me", secret="good")
    assert (result.ok, result.reason) == (True, "")
    assert said[:3] == ["USER me", "PASS good", "TYPE I"]


def test_without_a_path_a_login_is_enough() -> None:
    result, said = run()
    assert result.ok
    assert said[:2] == ["USER anonymous", "PASS anonymous"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"user": "me", "secret": "wrong"}, "login as me: 530 no"),
        ({"path": "/other"}, "RETR /other: 550 no"),
        ({"path": "/welcome.msg", "expect": "nothing"}, "no 'nothing' in /welcome.msg"),
    ],
)
def test_what_is_wrong_is_said(options: dict[str, str], reason: str) -> None:
    assert run(**options)[0].reason == reason

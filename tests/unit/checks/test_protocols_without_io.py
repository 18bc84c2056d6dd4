"""The protocols fed without a socket: in pieces of any size, with anything in them, and with too much of it."""

from __future__ import annotations

import os
import time
import tracemalloc
from typing import Any, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ocfpy.checks.errors import ProtocolError
from ocfpy.checks.protocols import ftp, imap, ldap, mysql, pop3, postgresql, radius, sip, smtp
from ocfpy.checks.protocols.connection import Connection, Incoming
from ocfpy.checks.protocols.ldap_search import parse_search
from ocfpy.checks.protocols.scram import Scram

from tests.unit.checks.test_hostile import FLOODS, MAX_KEPT, PIECES

FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
ANSWERS = st.lists(st.sampled_from(PIECES) | st.binary(min_size=1, max_size=60), max_size=12).map(b"".join)
CUTS = st.lists(st.integers(0, 400), max_size=8)


class Play:
    """A client that goes through a whole conversation; `react` makes what it says after an event."""

    def __init__(self, connection: Connection[Any], first: bytes, react: Callable[[Any], object]) -> None:
        self.connection = connection
        self.react = react
        self.seen = [repr(first)]

    def feed(self, data: bytes) -> None:
        """Note each event that the bytes come to, and what is made of it. Raises ProtocolError."""
        self.connection.receive_data(data)
        while (event := self.connection.next_event()) is not None:
            self.seen += [repr(event), repr(self.react(event))]


def ldap_play() -> Play:
    connection = ldap.LdapConnection()
    requests = iter([lambda: connection.search(parse_search(""), ["cn"], 1), connection.unbind])

    def react(event: ldap.Event) -> object:
        if isinstance(event, ldap.Entry):
            return list(event.lines())
        return next(requests, bytes)() if isinstance(event, ldap.Result) else None

    return Play(connection, connection.bind("cn=probe", "secret"), react)


def mysql_play(over_tls: bool = False) -> Play:
    connection = mysql.MysqlConnection("probe", "secret", "", over_tls)

    def react(event: mysql.Event) -> object:
        if isinstance(event, mysql.Greeting):
            return connection.log_in()
        if isinstance(event, mysql.Row):
            return event.text()
        return connection.query(b"SELECT 1") if isinstance(event, (mysql.LoggedIn, mysql.Done)) else None

    return Play(connection, b"", react)


def postgresql_play(password: str | None = "secret", over_tls: bool = False) -> Play:
    connection = postgresql.PostgresqlConnection("probe", password, over_tls, {})

    def react(event: postgresql.Event) -> object:
        if isinstance(event, postgresql.Row):
            return event.text()
        return connection.query(b"SELECT 1") if isinstance(event, postgresql.Ready) else None

    return Play(connection, connection.start("postgres"), react)


def sip_play() -> Play:
    return Play(sip.SipConnection(bytes(8).hex()), sip.options_request("sip:a", "TCP", "a:1", bytes(8).hex()), lambda _: None)


PLAYS: dict[str, Callable[[], Play]] = {
    "ldap": ldap_play,
    "mysql": mysql_play,
    "mysql over TLS": lambda: mysql_play(over_tls=True),
    "postgresql": postgresql_play,
    "postgresql over TLS": lambda: postgresql_play(over_tls=True),
    "postgresql without a password": lambda: postgresql_play(None),
    "sip": sip_play,
}


@pytest.fixture(autouse=True)
def no_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client invents is known to the pieces."""
    monkeypatch.setattr(os, "urandom", bytes)


def played(make: Callable[[], Play], chunks: list[bytes]) -> list[str]:
    """All that a client sees and says, and how it ends; anything but the protocol's own error comes out."""
    play = make()
    try:
        for chunk in chunks:
            play.feed(chunk)
    except ProtocolError as error:
        return [*play.seen, f"error: {error}"]
    return [*play.seen, f"in a message: {play.connection.in_message}"]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = [*sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in zip([0, *ends], ends)]


@pytest.mark.parametrize("protocol", PLAYS)
@FUZZ
@given(data=ANSWERS, places=CUTS)
def test_pieces_make_no_difference(protocol: str, data: bytes, places: list[int]) -> None:
    whole = played(PLAYS[protocol], [data])
    assert played(PLAYS[protocol], cut(data, places)) == whole
    assert played(PLAYS[protocol], [data[at : at + 1] for at in range(len(data))]) == whole or not data


CONVERSATIONS = {
    "ldap": (b"0\x0c\x02\x01\x02a\x07\n\x01\0\x04\0\x04\0" + b"0\x09\x02\x01\x03d\x04\x04\0000\0"
             + b"0\x0c\x02\x01\x03e\x07\n\x01\0\x04\0\x04\0", ["Result", "Entry", "Result"]),
    "mysql": (b"J\0\0\0\n5\0\x01\0\0\0saltsalt\0\0\0" + bytes(56) + b"\x07\0\0\x02\0\0\0\x02\0\0\0" + b"\x01\0\0\x01\x01"
              + b"\x04\0\0\x02\x03def" + b"\x05\0\0\x03\xfe\0\0\x02\0" + b"\x02\0\0\x04\x01x" + b"\x05\0\0\x05\xfe\0\0\x02\0",
              ["Greeting", "LoggedIn", "Row", "Done"]),
    "postgresql": (b"R\0\0\0\x0c\0\0\0\x05salt" + b"R\0\0\0\x08\0\0\0\0" + b"Z\0\0\0\x05I" + b"D\0\0\0\x0b\0\x01\0\0\0\x01x"
                   + b"Z\0\0\0\x05I", ["Send", "Ready", "Row", "Ready"]),
    "postgresql without a password": (b"R\0\0\0\x0c\0\0\0\x05salt", ["Asked"]),
    "sip": (b"\r\nSIP/2.0 100 Trying\r\n\r\nSIP/2.0 200 OK\r\nCall-ID: 0000000000000000\r\n\r\n", ["Answer"]),
}  # fmt: skip


@pytest.mark.parametrize("protocol", CONVERSATIONS)
def test_a_conversation_is_the_same_wherever_it_is_cut(protocol: str) -> None:
    data, names = CONVERSATIONS[protocol]
    whole = played(PLAYS[protocol], [data])
    assert [text.partition("(")[0] for text in whole[1:-1:2]] == names
    assert whole[-1] == "in a message: False"
    for at in range(1, len(data)):
        assert played(PLAYS[protocol], [data[:at], data[at:]]) == whole


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("protocol", PLAYS)
def test_an_endless_answer_is_not_kept(protocol: str, flood: str) -> None:
    beginning, forever = FLOODS[flood]
    play = PLAYS[protocol]()
    tracemalloc.start()
    try:
        play.feed(beginning)
        for _ in range(64):
            play.feed(forever * (65536 // len(forever)))
            play.seen.clear()
    except ProtocolError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MAX_KEPT


def cost(make: Callable[[], Play], beginning: bytes, size: int) -> float:
    """Processor time in seconds for so many bytes more, one at a time; the best of three."""

    def once() -> float:
        play = make()
        play.feed(beginning)
        begun = time.thread_time()
        for _ in range(size):
            play.feed(b"0")
        assert play.connection.in_message
        return time.thread_time() - begun

    return min(once() for _ in range(3))


@pytest.mark.parametrize(
    ("protocol", "beginning"),
    [("ldap", b"0\x83\x0f\xff\xff"), ("mysql", b"\xff\xff\0\0"), ("postgresql", b"R\0\0\xff\xff"), ("sip", b"")],
)
def test_eight_times_as_many_bytes_do_not_cost_64_times_as_much(protocol: str, beginning: bytes) -> None:
    assert cost(PLAYS[protocol], beginning, 40_000) < 24 * cost(PLAYS[protocol], beginning, 5_000)


@FUZZ
@given(st.lists(st.binary(max_size=60) | st.binary(max_size=40).map(b"\2\0\0\x14".__add__), max_size=5))
def test_radius_datagrams_are_read_or_refused(datagrams: list[bytes]) -> None:
    exchange = radius.RadiusExchange(b"shared")
    assert exchange.request("probe", "secret")[:2] == b"\1\0"
    outcomes = {outcome_of(exchange.receive_datagram, datagram) for datagram in datagrams}
    assert {text for text in outcomes if not text.startswith("not a RADIUS answer: ")} <= {"None", "Forged()"}


@FUZZ
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=60), max_size=6).map(b"".join))
def test_sip_datagrams_are_read_or_refused(datagram: bytes) -> None:
    text = outcome_of(sip.SipConnection(bytes(8).hex()).receive_datagram, datagram)
    assert text.startswith(("not a SIP answer: ", "Answer(status=")) or text == "None"


def outcome_of(receive: Callable[[bytes], object], datagram: bytes) -> str:
    try:
        return repr(receive(datagram))
    except ProtocolError as error:
        return str(error)


def test_a_server_that_goes_on_in_the_clear_is_not_spoken_to_over_tls() -> None:
    connection = postgresql.PostgresqlConnection("probe", None, True, {})
    connection.request_tls()
    connection.receive_data(b"SR")
    assert connection.next_event() == postgresql.TlsAnswer(True)
    with pytest.raises(ProtocolError, match="sent more plain text before TLS"):
        connection.switch_to_tls()


def test_an_ldap_result_code_of_a_mebibyte_is_refused_at_once() -> None:
    """As a decimal number it would keep the interpreter for minutes, or be too long for it."""
    code = b"\n\x83\x0f\x00\x00" + b"\xff" * 0x0F0000
    answer = b"\x02\x01\x02a\x83" + (len(code) + 4).to_bytes(3, "big") + code + b"\4\0\4\0"
    message = b"0\x83" + len(answer).to_bytes(3, "big") + answer
    assert played(ldap_play, [message])[-1] == "error: not an LDAP answer: a result code of 983040 bytes"


def test_scram_does_not_read_a_number_of_64000_digits() -> None:
    with pytest.raises(ValueError, match=r"^the server requires 9999.*\.\.\. iterations, the maximum is 100000"):
        Scram("secret", {}, nonce="abc").final(b"r=abcdef,s=,i=" + b"9" * 64_000)


# The protocols of lines

LINES = st.sampled_from([piece for piece in PIECES if piece.endswith(b"\n")]) | st.binary(max_size=60)


@FUZZ
@given(data=st.lists(LINES, max_size=8).map(b"".join), places=CUTS)
def test_lines_are_the_same_wherever_they_are_cut(data: bytes, places: list[int]) -> None:
    *whole, rest = data.split(b"\n")
    incoming, lines = Incoming(), []
    for piece in cut(data, places):
        incoming.feed(piece)
        while (line := incoming.line(1000)) is not None:
            lines.append(line)
    assert lines == [line.rstrip(b"\r") for line in whole]
    assert len(incoming) == len(rest)


@pytest.mark.parametrize("size", [1, 7, 64, 101])
def test_a_line_that_is_too_long_is_refused_however_it_comes(size: int) -> None:
    for length, fine in ((100, True), (101, False)):
        incoming, data, lines = Incoming(), b"x" * length + b"\n", []
        try:
            for at in range(0, len(data), size):
                incoming.feed(data[at : at + size])
                lines.append(incoming.line(100))
        except ProtocolError as error:
            lines.append(str(error).encode())
        assert lines[-1] == (b"x" * 100 if fine else b"no line ends within 100 bytes")


@FUZZ
@given(LINES)
def test_any_line_of_a_mail_server_is_read_or_refused(line: bytes) -> None:
    assert outcome_of(smtp.parse_reply_line, line).startswith(("ReplyLine(code=", "not an SMTP answer: "))
    assert outcome_of(pop3.is_positive, line).startswith(("True", "False", "not a POP3 answer: "))
    response = imap.parse_response(line)
    assert b" ".join(response).rstrip(b" ") == line.rstrip(b" ")
    assert all(word == word.upper() for word in imap.capabilities_in([line]))
    assert 0 <= ftp.passive_port(line) <= 999 * 257
    assert 0 <= ftp.extended_passive_port(line) <= 99_999


def test_what_mail_and_file_servers_say() -> None:
    assert smtp.parse_reply_line(b"250-SIZE 1") == smtp.ReplyLine(250, "SIZE 1", False)
    assert smtp.parse_reply_line(b"250") == smtp.ReplyLine(250, "", True)
    assert smtp.offers_in(["hello", "auth=plain login", "", "STARTTLS"]) == {"AUTH": ["PLAIN", "LOGIN"], "STARTTLS": []}
    assert (smtp.hello("192.0.2.1"), smtp.hello("::1")) == ("EHLO [192.0.2.1]", "EHLO [IPv6:::1]")
    assert imap.capabilities_in([b"* CAPABILITY imap4rev1", b"* 1 EXISTS", b"* CAPABILITY IDLE"]) == {"IMAP4REV1", "IDLE"}
    assert ftp.passive_port(b"227 Passive (198,51,100,1,4,1)") == 1025
    assert ftp.extended_passive_port(b"229 Passive (|||1025|)") == 1025
    assert [ftp.is_last(line) for line in (b"220-a", b"220 a", b"220", b" 220 a")] == [False, True, True, False]

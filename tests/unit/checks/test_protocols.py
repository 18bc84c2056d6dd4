"""The protocols of the checks, message by message: against the RFCs' own examples, and against a library as an oracle."""

from __future__ import annotations

import hashlib
import hmac
import struct
from base64 import b64encode
from typing import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ocfpy.checks import ntp
from ocfpy.checks.base import CheckFailed
from ocfpy.checks.protocols import mysql, radius, sip
from ocfpy.checks.protocols.scram import Scram
from ocfpy.checks.radius import judge
from ocfpy.checks.words import MAX_SHOWN, said
from pymysql._auth import scramble_caching_sha2, scramble_native_password

from tests.unit.checks.canned import FINE, check_of, outcome, tell

FUZZ = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


# NTP

def packet(
    leap: int = 0,
    stratum: int = 2,
    delay: float = 0.01,
    dispersion: float = 0.01,
    mode: int = 4,
    reference: bytes = b"\x0a\0\0\1",
) -> bytes:
    head = struct.pack("!BBbbiI", leap << 6 | 4 << 3 | mode, stratum, 6, -20, round(delay * 65536), round(dispersion * 65536))
    return head + reference + bytes(24) + b"\1" * 8


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (packet(), ""),
        (packet(leap=1, stratum=3), ""),
        (packet(stratum=4), "stratum 4, more than 3 (check_max_stratum)"),
        (packet(leap=3), "the server's clock is not synchronized"),
        (packet(stratum=0, reference=bytes(4)), "the server's clock is not synchronized"),
        (packet(stratum=16), "the server's clock is not synchronized"),
        (packet(stratum=0, reference=b"RATE", leap=3), "kiss of death: RATE, requests come too often"),
        (packet(stratum=0, reference=b"XKIS"), "kiss of death: XKIS"),
        (packet(delay=1, dispersion=1), "root distance 1.5 s, more than 1 s (check_max_distance)"),
        (packet(mode=3), "not an NTP answer: mode 3"),
        (packet()[:40] + bytes(8), "the answer contains no time"),
    ],
)
def test_ntp(answer: bytes, reason: str) -> None:
    assert outcome(ntp.judge, answer, 3, 1.0) == (reason or FINE)


# RADIUS

# RFC 2865, 7.1.
SHARED, AUTHENTICATOR = b"xyzzy5461", bytes.fromhex("0f403f9473978057bd83d5cb98f4227a")
ACCEPT = bytes.fromhex("0200002686fe220e7624ba2a1005f6bf9b55e0b20606000000010f06000000000e06c0a80103")


def test_radius_as_in_the_rfc() -> None:
    assert radius.hide(b"arctangent", SHARED, AUTHENTICATOR).hex() == "0dbe708d93d413ce3196e43f782a0aee"
    assert radius.is_genuine(ACCEPT, AUTHENTICATOR, SHARED)
    assert not radius.is_genuine(ACCEPT, AUTHENTICATOR, b"other")
    judge(radius.answer_of(ACCEPT), "nemo")


def answered(code: int, attributes: bytes, signed: bool) -> bytes:
    body = (b"\x50\x12" + bytes(16) if signed else b"") + attributes
    head = struct.pack("!BBH", code, 7, 20 + len(body))
    if signed:
        body = b"\x50\x12" + hmac.new(SHARED, head + AUTHENTICATOR + body, hashlib.md5).digest() + attributes
    return head + hashlib.md5(head + AUTHENTICATOR + body + SHARED).digest() + body


@FUZZ
@given(st.sampled_from([2, 3, 11]), st.binary(max_size=20), st.booleans(), st.data())
def test_radius_answers_that_were_tampered_with(code: int, text: bytes, signed: bool, data: st.DataObject) -> None:
    answer = answered(code, bytes((18, len(text) + 2)) + text, signed)
    assert radius.is_genuine(answer, AUTHENTICATOR, SHARED)
    place = data.draw(st.integers(0, len(answer) - 1))
    other = bytearray(answer)
    other[place] ^= data.draw(st.integers(1, 255))
    assert not radius.is_genuine(bytes(other), AUTHENTICATOR, SHARED)


def test_radius_refusals() -> None:
    with pytest.raises(CheckFailed, match="user nemo is rejected: go away"):
        judge(radius.answer_of(answered(3, b"\x12\x09go away", True)), "nemo")
    with pytest.raises(CheckFailed, match="user nemo is challenged for more than a password"):
        judge(radius.answer_of(answered(11, b"", True)), "nemo")
    with pytest.raises(CheckFailed, match="more than 128 bytes"):
        radius.hide(bytes(129), SHARED, AUTHENTICATOR)


# PostgreSQL

def challenge(nonce: str = "abcdef", iterations: str = "4096") -> bytes:
    return f"r={nonce},s={b64encode(b'salt').decode()},i={iterations}".encode()


@pytest.mark.parametrize(
    ("said_first", "wrong"),
    [
        (challenge("other"), "does not continue ours"),
        (challenge("abc"), "does not continue ours"),
        (challenge(iterations="9999999"), "9999999 iterations"),
        (challenge(iterations="0"), "0 iterations"),
        (challenge(iterations="x"), "'x'"),
        (b"\xff", "0xff"),
        (b"", "''"),
    ],
)
def test_scram_with_a_server_that_lies(said_first: bytes, wrong: str) -> None:
    assert wrong in outcome(Scram("secret", {}, nonce="abc").final, said_first)


def test_scram_wants_the_server_to_prove_itself() -> None:
    scram = Scram("secret", {}, nonce="abc")
    scram.final(challenge())
    for last in (b"v=" + b64encode(bytes(32)), b"e=no", b"v="):
        with pytest.raises(ValueError, match="does not know the password itself"):
            scram.verify(last)


def test_scram_works_a_password_out_once() -> None:
    keys: dict[tuple[str, bytes, int], bytes] = {}
    Scram("secret", keys, nonce="abc").final(challenge())
    (made,) = keys.values()
    keys[next(iter(keys))] = b"remembered"
    assert Scram("secret", keys, nonce="abc").final(challenge())
    assert list(keys.values()) == [b"remembered"]
    Scram("changed", keys, nonce="abc").final(challenge())
    assert len(keys) == 1
    assert made not in keys.values()


def message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!I", 4 + len(content)) + content


LOGGED_IN = message(b"R", bytes(4)) + message(b"S", b"a\0b\0") + message(b"Z", b"I")


def test_postgresql_with_md5() -> None:
    result, sent = tell(
        check_of("postgresql", user="probe", secret="secret"),
        [message(b"R", struct.pack("!I", 5) + b"salt") + LOGGED_IN, message(b"C", b"SELECT 1\0") + message(b"Z", b"I")],
    )
    assert result.ok, result.reason
    inner = hashlib.md5(b"secretprobe").hexdigest().encode()
    assert b"md5" + hashlib.md5(inner + b"salt").hexdigest().encode() in sent[1]


CLEARTEXT = message(b"R", struct.pack("!I", 3))


def test_postgresql_is_not_told_a_password_in_the_clear() -> None:
    result, sent = tell(check_of("postgresql", user="probe", secret="s3cret"), [CLEARTEXT + LOGGED_IN])
    assert result.reason == "the password is not sent without TLS: the server wants it in the clear (check_starttls)"
    assert not any(b"s3cret" in data for data in sent)
    answers = [CLEARTEXT + LOGGED_IN, message(b"C", b"SELECT 1\0") + message(b"Z", b"I")]
    assert tell(check_of("postgresql", user="probe"), answers)[0].ok, "where there is no password, there is nothing to tell"


def test_postgresql_is_told_a_password_over_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_handshake(stream: object) -> None:
        pass

    check = check_of("postgresql", user="probe", secret="s3cret", starttls="true", tls_verify="false")
    monkeypatch.setattr(check, "start_tls", no_handshake)
    answers = [b"S", CLEARTEXT + LOGGED_IN, message(b"C", b"SELECT 1\0") + message(b"Z", b"I")]
    result, sent = tell(check, answers)
    assert result.ok, result.reason
    assert message(b"p", b"s3cret\0") in sent


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (b"57P03", b"the database system is starting up", "the database system is starting up"),
        (b"53300", b"sorry, too many clients already", "sorry, too many clients already"),
        (b"28000", b"no pg_hba.conf entry", ""),
    ],
)
def test_postgresql_without_a_user_is_open_or_not(code: bytes, text: bytes, reason: str) -> None:
    error = message(b"E", b"SFATAL\0C" + code + b"\0M" + text + b"\0\0")
    assert tell(check_of("postgresql"), [error])[0].reason == reason


# MySQL

@FUZZ
@given(st.text(st.characters(blacklist_categories=("Cs",)), min_size=1), st.binary(min_size=20, max_size=20))
def test_mysql_passwords_are_proved_as_pymysql_does_it(password: str, salt: bytes) -> None:
    assert mysql.answer_to("mysql_native_password", password, salt) == scramble_native_password(password.encode(), salt)
    assert mysql.answer_to("caching_sha2_password", password, salt) == scramble_caching_sha2(password.encode(), salt)


def packet_of(number: int, content: bytes) -> bytes:
    return len(content).to_bytes(3, "little") + bytes((number,)) + content


def greeting(plugin: bytes = b"caching_sha2_password", capabilities: int = 0xFFFFFFFF) -> bytes:
    low, high = struct.unpack("<HH", capabilities.to_bytes(4, "little"))
    salt = b"12345678abcdefghijkl"
    head = b"\x0a8.0.36\0" + bytes(4) + salt[:8] + b"\0" + struct.pack("<HBHHB", low, 45, 2, high, 21) + bytes(10)
    return packet_of(0, head + salt[8:] + b"\0" + plugin + b"\0")


END = b"\xfe\0\0\2\0"
ROWS = b"".join(packet_of(number, content) for number, content in enumerate((b"\1", b"\3def", END, b"\0021x\xfb", END), 1))


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([packet_of(2, b"\0\0\0")], ""),
        ([packet_of(2, b"\1\3"), packet_of(3, b"\0\0\0")], ""),
        (
            [packet_of(2, b"\1\4")],
            "the password is not sent without TLS: it is wrong, or new to the server, which wants all of it (check_starttls)",
        ),
        (
            [packet_of(2, b"\xfesha256_password\0abcdefgh12345678ijkl\0")],
            "the password is not sent without TLS: the server wants all of it (check_starttls)",
        ),
        ([packet_of(2, b"\xfemysql_native_password\0abcdefgh12345678ijkl\0"), packet_of(4, b"\0\0\0")], ""),
        (
            [packet_of(2, b"\xfemysql_clear_password\0")],
            "the server requires the authentication plugin mysql_clear_password, which is not supported",
        ),
        ([packet_of(2, b"\xff\x15\4#28000Access denied")], "login as probe: error 1045: Access denied"),
        ([packet_of(2, b"\1\7")], "not a MySQL answer: an unknown answer to the login"),
    ],
)
def test_mysql_logins(answers: list[bytes], reason: str) -> None:
    check = check_of("mysql", user="probe", secret="secret", expect="re:^1x[|]$")
    result, sent = tell(check, [greeting(), *answers, ROWS])
    assert result.reason == reason
    assert not any(b"secret" in data for data in sent)


# What MySQL 9.7.4 said, and was told, of a user whose password "secret" it had seen before.
GREETED = bytes.fromhex(
    "4b0000000a392e372e342d32001300000031117b0a35333f7000ffffff0200ffdf1500000000000000000000"
    "614207187f435130122b667a00" + b"caching_sha2_password".hex() + "00"
)
PROVED = bytes.fromhex("c981788b76d3e26652966f1949f30f0a61a808fac51f964423f85a23c9a61255")
KNOWN = bytes.fromhex("0200000201030700000300000002000000")
ANSWERED = bytes.fromhex(
    "01000001021c000002036465660000000634"
    "30202b2032000c3f00040000000881000000001a00000303646566000000044e554c4c000c3f0000000000068000000000"
    "05000004fe0000020004000005023432fb05000006fe00000200"
)


def test_mysql_as_it_is() -> None:
    check = check_of("mysql", user="probe", secret="secret", request="SELECT 40 + 2, NULL", expect="re:^42[|]$")
    result, sent = tell(check, [GREETED, KNOWN, ANSWERED])
    assert result.reason == ""
    assert PROVED in sent[0]
    assert sent[1:] == [b"\x14\0\0\0\3SELECT 40 + 2, NULL", b"\1\0\0\0\1"]


def test_mysql_with_too_many_connections_says_so_at_the_login() -> None:
    """It has one more, for its administrator, and tells who it is for when it knows who has come."""
    full = b"\x1d\0\0\2\xff\x10\4#08004Too many connections"
    assert tell(check_of("mysql", user="probe"), [GREETED, full])[0].reason == "login as probe: error 1040: Too many connections"


def test_mysql_is_told_of_no_password_in_the_clear_where_there_is_none() -> None:
    answers = [greeting(), packet_of(2, b"\xfesha256_password\0abcdefgh12345678ijkl\0"), packet_of(4, b"\0\0\0"), ROWS]
    result, sent = tell(check_of("mysql", user="probe"), answers)
    assert result.reason == ""
    assert sent[1] == b"\1\0\0\3\0"


def test_mysql_that_does_not_offer_tls_is_told_nothing() -> None:
    result, sent = tell(check_of("mysql", user="probe", secret="secret", starttls="true"), [greeting(capabilities=0xFFFFF7FF)])
    assert result.reason == "the server does not offer TLS"
    assert sent == []


@FUZZ
@given(st.binary(max_size=200))
def test_mysql_packets_are_read_or_refused(data: bytes) -> None:
    parsers: tuple[Callable[[bytes], object], ...] = (mysql.parse_greeting, mysql.row, mysql.error_of)
    for parse in parsers:
        assert outcome(parse, data)


# SIP

@FUZZ
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_sip_answers_are_read_or_refused(lines: list[bytes]) -> None:
    assert sip.parse([b"SIP/2.0 200 OK", *lines]).status == 200
    assert outcome(sip.parse, lines)


def test_sip_passes_over_what_is_provisional_or_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.urandom", bytes)
    ours = b"i: 0000000000000000\r\n\r\n"
    answers = [b"SIP/2.0 100 Trying\r\n" + ours, b"SIP/2.0 500 No\r\nCall-ID: other\r\n\r\n", b"SIP/2.0 200 OK\r\n" + ours]
    for transport, chunks in (("udp", list(answers)), ("tcp", [b"".join(answers)])):
        result, sent = tell(check_of("sip", transport=transport), chunks)
        assert result.ok, result.reason
        assert sent[0].startswith(b"OPTIONS sip:192.0.2.1:9 SIP/2.0\r\nVia: SIP/2.0/" + transport.upper().encode())


# Mail

@pytest.mark.parametrize(
    ("kind", "options", "answers", "reason"),
    [
        ("smtp", {"starttls": "true"}, [b"220 x\r\n250-x\r\n250 SIZE 1\r\n"], "the server does not offer STARTTLS"),
        ("smtp", {}, [b"554 5.7.1 no\r\n"], "greeting: 554 5.7.1 no"),
        ("smtp", {}, [b"SSH-2.0-x\r\n"], "not an SMTP answer: SSH-2.0-x"),
        ("smtp", {"user": "u", "secret": "p"}, [b"220 x\r\n250 x\r\n"], "the server offers no AUTH PLAIN or LOGIN without TLS"),
        (
            "smtp",
            {"user": "u", "secret": "p"},
            [b"220 x\r\n250-x\r\n250 AUTH=LOGIN\r\n", b"334 \r\n", b"334 \r\n", b"235 \r\n", b"221 \r\n"],
            "",
        ),
        (
            "imap",
            {"starttls": "true"},
            [b"* OK\r\n", b"* CAPABILITY IMAP4rev1\r\na1 OK\r\n"],
            "the server does not offer STARTTLS",
        ),
        ("imap", {}, [b"* BYE down for maintenance\r\n"], "greeting: * BYE down for maintenance"),
        (
            "imap",
            {"user": "u", "secret": "p"},
            [b"* OK\r\n", b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\na1 OK\r\n"],
            "the server accepts no login without TLS",
        ),
        ("imap", {}, [b"* OK\r\n", b"a1 OK\r\n"], "the server offers neither IMAP4rev1 nor IMAP4rev2"),
        ("pop3", {"starttls": "true"}, [b"+OK\r\n", b"-ERR what\r\n"], "the server does not offer STLS"),
        ("pop3", {}, [b"+OK\r\n", b"-ERR what\r\n", b"+OK\r\n"], ""),
        ("pop3", {}, [b"-ERR [SYS/TEMP] no\r\n"], "greeting: -ERR [SYS/TEMP] no"),
    ],
)
def test_mail(kind: str, options: dict[str, str], answers: list[bytes], reason: str) -> None:
    assert tell(check_of(kind, **options), answers)[0].reason == reason


def test_imap_quotes_a_login() -> None:
    answers = [b"* OK\r\n", b"* CAPABILITY IMAP4rev1\r\na1 OK\r\n", b"a3 OK\r\n", b"* BYE\r\na4 OK\r\n"]
    result, sent = tell(check_of("imap", user="u", secret='a"b\\c'), answers)
    assert result.ok, result.reason
    assert sent[1] == b'a3 LOGIN "u" "a\\"b\\\\c"\r\n'


@FUZZ
@given(st.binary() | st.text())
def test_what_a_server_says_fits_into_a_line(data: bytes | str) -> None:
    assert len(said(data)) <= MAX_SHOWN
    assert said(data).isprintable()

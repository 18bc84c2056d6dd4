"""The messages of LDAP, against a library as an oracle."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ldap3.operation.search import compile_filter
from ldap3.operation.search import parse_filter as oracle_parse
from ocfpy.checks.protocols import ber, ldap_search
from pyasn1.codec.ber import encoder

from tests.unit.checks.canned import check_of, outcome, tell

FUZZ = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))

NAMES = st.sampled_from(["cn", "uid", "objectClass", "sn", "memberOf", "description"])
VALUES = st.text(st.characters(blacklist_characters="()*\\\0=:<>~!&|", blacklist_categories=("C", "Z")), min_size=1)
PARTS = st.lists(VALUES, min_size=2, max_size=4).map("*".join)
CONDITIONS = st.one_of(
    st.builds("({}={})".format, NAMES, VALUES | PARTS | st.just("*")),
    st.builds("({}{}={})".format, NAMES, st.sampled_from("<>~"), VALUES),
    st.builds("({}:{}={})".format, NAMES, st.sampled_from(["", "1.2.3:"]), VALUES),
)
FILTERS = st.recursive(
    CONDITIONS,
    lambda inner: st.builds("({}{})".format, st.sampled_from("&|"), st.lists(inner, min_size=1, max_size=3).map("".join))
    | st.builds("(!{})".format, inner),
    max_leaves=6,
)


@FUZZ
@given(FILTERS)
def test_a_filter_is_encoded_as_ldap3_does_it(text: str) -> None:
    tree = oracle_parse(text, None, False, False, None, False)
    assert ldap_search.parse_filter(text) == encoder.encode(compile_filter(tree.elements[0]))


def test_a_filter_about_the_parts_of_a_dn() -> None:
    """Apart, because pyasn1 writes true as 01, and LDAP has it as ff (RFC 4511, 5.1)."""
    assert ldap_search.parse_filter("(cn:dn:1.2:=a)") == b"\xa9\x0f\x81\x031.2\x82\x02cn\x83\x01a\x84\x01\xff"


@FUZZ
@given(st.text("()&|!=*<>~:\\ab1"))
def test_any_filter_is_one_or_is_refused(text: str) -> None:
    assert outcome(ldap_search.parse_filter, text)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("a?b?c?d?e", "dn?attributes?scope?filter"),
        ("dc=x??everywhere", "the scope, one of base, one, sub"),
        ("dc=%zz", "two hexadecimal digits"),
        ("???(cn=x", "a ) is missing"),
        ("???(cn)", "not attribute=value"),
        ("???(!(a=b)(c=d))", "! takes exactly one condition"),
        ("???(a=b))", "remove the last 1 characters"),
        ("???(a b=c)", "not the name of an attribute"),
        ("???" + "(!" * 40 + "(a=b)" + ")" * 40, "more than 32"),
        ("???(a=%5cqq)", "two hexadecimal digits"),
    ],
)
def test_searches_that_are_refused(text: str, wrong: str) -> None:
    assert wrong in outcome(ldap_search.parse_search, text)


def test_a_search() -> None:
    search = ldap_search.parse_search("ou=a%3fb,dc=example?cn,mail?sub?(cn=%5c2a)")
    assert (search.base, search.attributes, search.scope) == ("ou=a?b,dc=example", ("cn", "mail"), 2)
    assert search.filter == ldap_search.parse_filter(r"(cn=\2a)") == ber.encode(0xA3, b"\x04\x02cn\x04\x01*")
    assert ldap_search.parse_search("").filter == ldap_search.parse_filter("(objectClass=*)")


@FUZZ
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=5))
def test_what_is_encoded_is_decoded(elements: list[tuple[int, bytes]]) -> None:
    assert list(ber.elements(b"".join(ber.encode(tag, content) for tag, content in elements))) == elements


@FUZZ
@given(st.integers(0, 2**40))
def test_numbers_are_not_taken_for_negative_ones(number: int) -> None:
    ((_, content),) = ber.elements(ber.integer(number))
    assert int.from_bytes(content, "big", signed=True) == number


def test_a_bind_without_a_password_is_not_made() -> None:
    result, sent = tell(check_of("ldap", user="cn=probe", secret=""), [])
    assert result.reason == "check_secret is empty: a bind without a password would be anonymous"
    assert sent == []


@pytest.mark.parametrize(
    ("code", "reason"), [(0, ""), (4, ""), (3, "search: "), (11, "search: ")]
)
def test_a_search_with_more_entries_than_were_asked_for_is_good(code: int, reason: str) -> None:
    """The check asks for few entries: a server that has more says 4, size limit exceeded, after it has sent those."""

    def answer(number: int, operation: bytes) -> bytes:
        return ber.encode(ber.SEQUENCE, ber.integer(number), operation)

    bound = answer(2, ber.encode(0x61, ber.integer(0, 0x0A), b"\x04\0", b"\x04\0"))
    entry = answer(3, ber.encode(0x64, b"\x04\x02cn", ber.encode(ber.SEQUENCE)))
    done = answer(3, ber.encode(0x65, ber.integer(code, 0x0A), b"\x04\0", b"\x04\0"))
    result, _ = tell(check_of("ldap", request="dc=example"), [bound, entry, done])
    assert result.reason.startswith(reason)
    assert bool(result.reason) == bool(reason)


def test_a_notice_of_disconnection_is_said() -> None:
    notice = ber.encode(ber.SEQUENCE, ber.integer(0), ber.encode(0x78, ber.integer(52, 0x0A), b"\x04\0", b"\x04\x04soon"))
    assert tell(check_of("ldap"), [notice])[0].reason == "connection: the server is unavailable (52): soon"

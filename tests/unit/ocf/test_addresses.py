"""Addresses and prefixes, against the standard library's ipaddress as the judge."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocfpy.ocf.addresses import parse_address, parse_prefix

interfaces = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)), st.tuples(st.ip_addresses(v=6), st.integers(0, 128))
).map(lambda pair: ipaddress.ip_interface(f"{pair[0]}/{pair[1]}"))


@given(interfaces)
def test_address_means_what_ipaddress_says(
    interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface,
) -> None:
    address = parse_address(interface.with_prefixlen)
    assert (address.family, address.packed) == (interface.version, interface.packed)
    assert address.prefixlen == interface.network.prefixlen
    assert parse_address(str(address)).packed == interface.packed
    assert parse_address(address.cidr) == address
    assert hash(parse_address(address.cidr)) == hash(address)


@given(interfaces, interfaces)
def test_contains_is_subnet_of(a: ipaddress.IPv4Interface, b: ipaddress.IPv4Interface) -> None:
    prefix = parse_prefix(str(a.network))
    expected = a.version == b.version and b.network.subnet_of(a.network)
    assert prefix.contains(parse_prefix(str(b.network))) == expected
    assert prefix.contains(parse_address(str(b.ip))) == (a.version == b.version and b.ip in a.network)


@given(interfaces)
def test_host_bits_are_refused_with_the_prefix_that_was_meant(a: ipaddress.IPv4Interface) -> None:
    if a.ip == a.network.network_address:
        assert parse_prefix(str(a)) == parse_prefix(str(a.network))
    else:
        with pytest.raises(ValueError, match="host bits") as caught:
            parse_prefix(str(a))
        assert parse_prefix(str(caught.value).rpartition(" ")[2].rstrip("?")) == parse_prefix(str(a.network))


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    for parse in (parse_address, parse_prefix):
        complaint = ""
        try:
            parse(text)
        except ValueError as error:
            complaint = str(error)
        assert complaint.isprintable()


@pytest.mark.parametrize(
    "text",
    ["", "192.0.2", "192.0.2.1/", "192.0.2.1/33", "192.0.2.1/+1", "192.0.2.01",
     "::/129", "fe80::1%eth0", " ::1",
     "192.0.2.1/32/32", "x.y", "1", "::/³", "1\0"],
)  # fmt: skip
def test_what_is_not_an_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an IP|prefix length"):
        parse_address(text)


def test_spelling_is_canonical() -> None:
    assert str(parse_address("2001:DB8:0:0::53")) == "2001:db8::53"
    assert parse_address("192.0.2.53").cidr == "192.0.2.53/32"
    assert str(parse_prefix("2001:db8::/32")) == "2001:db8::/32"
    assert sorted([parse_address("::1"), parse_address("10.0.0.2"), parse_address("10.0.0.1")]) == [
        parse_address("10.0.0.1"), parse_address("10.0.0.2"), parse_address("::1"),
    ]  # fmt: skip


def test_an_address_is_not_the_prefix_of_the_same_bits() -> None:
    assert parse_address("192.0.2.1") != parse_prefix("192.0.2.1")

"""Endpoints: an address, perhaps a port, perhaps options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocfpy.ocf.endpoints import EndpointListParam, parse_endpoint


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:53", "192.0.2.1:53"),
        ("2001:DB8::1", "[2001:db8::1]"),
        ("[2001:db8:0::1]:53", "[2001:db8::1]:53"),
        ("192.0.2.1:53,weight=2,forward=nat", "192.0.2.1:53,weight=2,forward=nat"),
    ],
)
def test_good(text: str, canonical: str) -> None:
    endpoint = parse_endpoint(text)
    assert str(endpoint) == canonical
    assert parse_endpoint(canonical) == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "", "www.example.com:80", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:", "192.0.2.1:\uff15", "[192.0.2.1",
        "[2001:db8::1]53", "[2001:db8::1]:", "192.0.2.1/32:53", "192.0.2.1:53,weight", "192.0.2.1:53,=2",
        "192.0.2.1:53,a=1,a=2", "192.0.2.1:53,",
    ],
)  # fmt: skip
def test_bad(text: str) -> None:
    with pytest.raises(ValueError, match=r".{5}"):
        parse_endpoint(text)


@given(st.text())
def test_any_text_is_an_endpoint_or_a_value_error(text: str) -> None:
    try:
        endpoint = parse_endpoint(text)
    except ValueError:
        return
    assert parse_endpoint(str(endpoint)) == endpoint


def test_list() -> None:
    parameter = EndpointListParam("servers", "The servers.", options=("weight",), default="192.0.2.1:80")
    assert parameter.default == (parse_endpoint("192.0.2.1:80"),)
    assert [e.options for e in parameter.read("192.0.2.1:80,weight=3 [2001:db8::1]:80")] == [{"weight": "3"}, {}]
    with pytest.raises(ValueError, match="there is no option 'color'"):
        parameter.read("192.0.2.1:80,color=red")

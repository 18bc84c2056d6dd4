"""What the parser takes and refuses, next to what ldirectord's read_config does with the same lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ocfpy.ldirectord.directives import GLOBAL, IN_VIRTUAL, NOTED, REFUSED
from ocfpy.ldirectord.model import Config, Fallback, Real, Virtual
from ocfpy.ldirectord.parser import parse

HEAD = "virtual=192.0.2.1:80\n"


def good(text: str) -> Config:
    parsed = parse(text)
    assert parsed.faults == []
    return parsed.config


def section(*lines: str, head: str = HEAD) -> Virtual:
    (virtual,) = good(head + "".join(f"    {line}\n" for line in lines)).virtuals
    return virtual


def faults(text: str) -> list[str]:
    return list(map(str, parse(text).faults))


def fault_of(*lines: str, head: str = HEAD) -> str:
    (fault,) = faults(head + "".join(f"    {line}\n" for line in lines))
    return fault


def test_a_whole_file() -> None:
    config = good(
        """# Global Directives
checktimeout=3
checkinterval = 1 # a second
autoreload=yes
quiescent=no

virtual=192.168.6.240:80
\treal=192.168.6.2:80 gate
# a comment does not end a section
\treal=192.168.6.3->192.168.6.5:http masq 7 ".testpage", "test page" l:5 u:10  # nor does this one
        fallback=127.0.0.1:80 gate
    request="index.html"
    receive="Test Page"
virtual6=[2001:db8::1]:domain
    real6=[2001:db8:1::1] ipip
virtual = 7
    real=10.0.0.1 gate
"""
    )
    assert (config.checktimeout, config.checkinterval, config.autoreload, config.quiescent) == (3, 1, True, False)
    web, dns, mark = config.virtuals
    assert web.reals == [
        Real(8, "192.168.6.2", port="80"),
        Real(10, "192.168.6.3", "192.168.6.5", "http", "masq", 7, "/.testpage", "test page", 5, 10),
    ]
    assert web.fallback == Fallback(11, "127.0.0.1", "80", "gate")
    assert (web.request, web.receive, web.scheduler, web.checktype) == ("/index.html", "Test Page", "wrr", "negotiate")
    assert (dns.family, dns.host, dns.port, dns.protocol) == (6, "[2001:db8::1]", "domain", "udp")
    assert dns.reals == [Real(15, "[2001:db8:1::1]", forward="ipip")]
    assert (mark.fwmark, mark.protocol, mark.service, mark.reals[0].port) == (7, "fwm", "none", "0")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"{HEAD}    scheduler=rr\n\n    scheduler=lc\n", [4]),  # an empty line ends a section
        (f"{HEAD}   scheduler=rr\n", [2]),  # three blanks are no indentation
        (f"{HEAD}scheduler=rr\n", [2]),
        ("    checkinterval=3\n", [1]),
        (f"{HEAD}    autoreload=yes\n", [2]),
        (f"{HEAD}    virtual=192.0.2.2:80\n", [2]),
        ("nonsense\n", [1]),
        ("timeout=3\nconnecttimeout=3\n", [1, 2]),
        (f'{HEAD}    request="a#b"\n', [2]),  # a # inside quotes begins a comment
        ("quiescent=no # comment\n", [1]),  # outside a section it does not
        ("checkinterval=500ms\nchecktimeout=3s\nfailurecount=0\ncheckinterval=abc5\n", [1, 2, 3, 4]),
        ("comment=\0\n", [1]),
        ("autoreload=y\ufffds\n", [1]),
        ("virtual=192.0.2.1\nvirtual=0\nvirtual=99999999999\nvirtual=[::1]:80\n", [1, 2, 3, 4]),
    ],
)
def test_every_fault_has_its_line(text: str, lines: list[int]) -> None:
    assert [fault.line for fault in parse(text).faults] == lines


def test_an_address_without_a_port_is_not_taken_for_a_mark() -> None:
    """ldirectord reads virtual=192.0.2.1 as the firewall mark 192."""
    assert "neither address:port nor a firewall mark" in faults("virtual=192.0.2.1\n")[0]


def test_line_ends_of_other_systems_and_blanks_at_the_end() -> None:
    config = good("autoreload=yes \r\nvirtual=192.0.2.1:80\r\n\treal=10.0.0.1:80 gate\r\n")
    assert config.autoreload
    assert config.virtuals[0].reals == [Real(3, "10.0.0.1", port="80")]


def test_comments_are_not_looked_at() -> None:
    """Latin-1 reads as U+FFFD."""
    config = good(
        "# Gr\ufffd\ufffde \x07\n"
        "checkinterval=3 # Sek\u00fcnd\ufffdchen\u3000\x1b[0m\n"
        "virtual=192.0.2.1:80 # gr\ufffd\ufffder\n"
        "    # \ufffd\x00\n"
        "\u00a0   # a comment behind a no-break space\n"
        "    real=10.0.0.1:80 gate # M\u00fcller\u2028s server \ufffd\n"
        "\treal=10.0.0.2:80 gate\n"
    )
    assert config.checkinterval == 3
    assert [real.first for real in config.virtuals[0].reals] == ["10.0.0.1", "10.0.0.2"]


def test_comment_that_is_a_value_is_quoted_without_its_unprintable_characters() -> None:
    assert faults("quiescent=no # \ufffd\x1b[2J\n") == ["line 1: quiescent: must be yes or no, not 'no # \ufffd?[2J'"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"{HEAD}    real=10.0.0.1:80\u00a0gate\n",
            "line 2: a non-ASCII blank, U+00A0 (no-break space): replace it by an ordinary one",
        ),
        (f"{HEAD}    real=10.0.0.1:80\u3000gate # \u3000\n", "line 2: a non-ASCII blank, U+3000 (ideographic space)"),
        (f"{HEAD}\u3000\u3000real=10.0.0.1:80 gate\n    real=10.0.0.2:80 gate\n", "line 2: a non-ASCII blank, U+3000"),
        (f"{HEAD}\u00a0\n    real=10.0.0.2:80 gate\n", "line 2: a non-ASCII blank, U+00A0"),
        ("virtual=192.0.2.1:80\u2009\n    real=10.0.0.2:80 gate\n", "line 1: a non-ASCII blank, U+2009 (thin space)"),
        ("\ufeffquiescent=no\n", "line 1: an invisible character, U+FEFF (zero width no-break space): remove it"),
        ("quiescent=\u200bno\n", "line 1: an invisible character, U+200B (zero width space): remove it"),
        ("quiescent=no\0\n", "line 1: an invisible character, U+0000 (control character): remove it"),
        ("quiescent=\ufffdno\n", "line 1: a byte that is not UTF-8: only comments may have another encoding"),
    ],
)
def test_other_blanks_are_named_once_with_their_line(text: str, said: str) -> None:
    (fault,) = faults(text)
    assert fault.startswith(said)


def test_a_file_with_mail_moves_over_as_it_is() -> None:
    parsed = parse(
        'emailalert="admin@x.y.z"\nemailalertfreq=3600\nemailalertstatus=all\n'
        f"{HEAD}    emailalert=root\n    real=10.0.0.1:80 gate\n"
    )
    assert parsed.faults == []
    assert [note.line for note in parsed.warnings] == [1, 2, 3, 5]
    assert all("a Pacemaker alert (such as alert_smtp.sh)" in note.text for note in parsed.warnings)


def test_the_last_one_counts() -> None:
    assert section("scheduler=rr", "scheduler=lc").scheduler == "lc"
    assert section("scheduler=rr", "scheduler=lc").lines["scheduler"] == 3


def test_a_bad_section_is_read_to_its_end() -> None:
    assert [fault.line for fault in parse("virtual=x\n    scheduler=RR\n    real=nothing\n").faults] == [1, 2, 3]


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("checktype=connect", "checktype", "connect"),
        ("checktype=5", "connects", 5),
        ("checktype=checktimeout5", "checktype", "combined"),
        ("checktype=external-perl", "checktype", "external-perl"),
        ("service=http_proxy", "service", "http_proxy"),
        ('checkcommand="/bin/check"', "checkcommand", "/bin/check"),
        ("checkcommand=/bin/check", "checkcommand", "/bin/check"),
        ("checkport=8080", "checkport", 8080),
        ('request="a b"', "request", "/a b"),
        ('receive="^ok$"', "receive", "^ok$"),
        ("httpmethod=head", "httpmethod", "HEAD"),
        ("virtualhost=www.example.com", "virtualhost", "www.example.com"),
        ('virtualhost="www.example.com"', "virtualhost", "www.example.com"),
        ('login="me"', "login", "me"),
        ('passwd="a"b"', "passwd", 'a"b'),
        ('database="d"', "database", "d"),
        ('secret="s"', "secret", "s"),
        ("schedflags=sh-port,sh-fallback", "schedflags", "sh-port,sh-fallback"),
        ("persistent=600", "persistent", 600),
        ("netmask=255.255.255.0", "netmask", "255.255.255.0"),
        ("protocol=udp", "protocol", "udp"),
        ("ops=yes", "ops", True),
        ("quiescent=yes", "quiescent", True),
        ("fallbackcommand=/bin/fall back", "fallbackcommand", "/bin/fall back"),
        ("fallback=sorry:http masq", "fallback", Fallback(2, "sorry", "http", "masq")),
        ("fallback=127.0.0.1", "fallback", Fallback(2, "127.0.0.1")),
        ("checktimeout=7", "checktimeout", 7),
        ("negotiatetimeout=7", "negotiatetimeout", 7),
        ("checkcount=7", "checkcount", 7),
        ("failurecount=7", "failurecount", 7),
        ("checkinterval=7", "checkinterval", 7),
        ("servicename=Web Site", "servicename", "Web Site"),
        ("comment=it = what it is", "comment", "it = what it is"),
    ],
)
def test_directives_of_a_section(line: str, name: str, value: object) -> None:
    assert getattr(section(line), name) == value


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("checktype=tcp", "must be a number or one of connect"),
        ("service=ntp", "must be one of dns, ftp"),
        ("checkcommand=check", "not an absolute path"),
        ("checkcommand=/bin/check it", "one program without arguments"),
        ("checkport=0", "from 1 to 65535"),
        ("request=index.html", "in double quotes"),
        ('request=""', "in double quotes"),
        ('request="a" b', "nothing after them"),
        ('receive="("', "regular expression is wrong"),
        ('receive="a(?{1})"', "what only Perl has"),
        ("httpmethod=POST", "must be one of GET, HEAD"),
        ("scheduler=WRR", "only lowercase letters"),
        ("persistent=0", "from 1 to"),
        ("netmask=24", "a dotted quad"),
        ("protocol=sctp", "must be one of tcp, udp"),
        ("ops=1", "must be yes or no"),
        ("real=10.0.0.1:80", "is not address"),
        ("real=10.0.0.1:80 route", "must be one of gate, masq, ipip"),
        ("real=10.0.0.1:80 gate high", "is not understood"),
        ("real=10.0.0.1:80 gate 5x", "is not understood"),
        ("real=10.0.0.1:80 gate u:5 l:6", "in this order"),
        ("real=10.0.0.1::80 gate", "is not address"),
        ("real=10.0.0.1:80 gate 65536", "from 0 to 65535"),
        ('real=10.0.0.1:80 gate "a", "("', "regular expression is wrong"),
        ("real6=[::1]:80 gate", "write real"),
        ("fallback6=[::1]:80", "write fallback"),
        ("fallback=127.0.0.1:80 route", "must be one of gate, masq, ipip"),
        ("fallback=127.0.0.1:80 gate now", "is not address"),
        ("fallbackcommand=/bin/down >/dev/null", "without a shell"),
        ("cleanstop=no", "maintenance mode"),
        ("monitorfile=/tmp/log", "anycastctl status"),
    ],
)
def test_faults_of_a_section(line: str, said: str) -> None:
    fault = fault_of(line)
    assert fault.startswith(f"line 2: {line.partition('=')[0]}")
    assert said in fault


def test_faults_do_not_tell_secrets() -> None:
    for name in ("passwd", "secret", "login"):
        assert "hunter2" not in fault_of(f"{name}=hunter2")


def test_a_mark_has_no_protocol_of_its_own() -> None:
    assert section("protocol=fwm", "service=http", head="virtual=7\n").service == "http"
    assert "must be one of fwm" in fault_of("protocol=tcp", head="virtual=7\n")


def test_supervised_by_itself_is_an_old_spelling() -> None:
    parsed = parse("supervised\n")
    assert parsed.faults == []
    assert [warning.line for warning in parsed.warnings] == [1]
    assert faults("supervised=maybe\n")


GLOBAL_VALUES = {
    "checktimeout": "5", "negotiatetimeout": "5", "checkinterval": "5", "checkcount": "2", "failurecount": "2",
    "fallback": "127.0.0.1:80 gate", "fallback6": "[::1]:80 masq", "fallbackcommand": '"/bin/true"', "quiescent": "no",
    "cleanstop": "yes", "autoreload": "yes", "readdquiescent": "yes", "fork": "yes", "supervised": "no",
    "logfile": '"local0"', "maintenancedir": "/etc/ha.d/maintenance", "emailalert": '"admin@example.com"',
    "emailalertfrom": "lb@example.com", "emailalertfreq": "3600", "emailalertstatus": "all", "smtp": "mail.example.com",
}  # fmt: skip


def test_every_global_directive_is_taken_or_refused_with_a_sentence() -> None:
    assert set(GLOBAL) == set(GLOBAL_VALUES) | set(REFUSED) - {"monitorfile"}
    for number, name in enumerate(GLOBAL, 1):
        parsed = parse("\n" * (number - 1) + f"{name}={GLOBAL_VALUES.get(name, 'x')}\n")
        found = parsed.faults if name in REFUSED else parsed.warnings if name in NOTED else None
        if found is None:
            assert parsed.faults == parsed.warnings == []
            assert parsed.config.lines == {name: number}
        else:
            (note,) = found
            assert note.line == number
            assert note.text.startswith(name)


LINES = st.lists(
    st.one_of(
        st.text(),
        st.builds(
            "{}{}{}{}".format,
            st.sampled_from(["", "    ", "\t", "  "]),
            st.sampled_from([*GLOBAL, *IN_VIRTUAL, "virtual", "virtual6", "nonsense", "#"]),
            st.sampled_from(["=", " = ", ""]),
            st.one_of(
                st.text(max_size=30),
                st.text('0123456789.:[]abcdef->"#/, gatemsqipu', max_size=40),
                st.sampled_from(["yes", "no", "10.0.0.1:80 gate", "[::1]:80 masq 5", '"(a|b)"', "192.0.2.1:80"]),
            ),
        ),
    ),
    max_size=12,
)


@given(LINES)
@example(['    receive="[[:alpha:]"', "virtual=7", '    receive="[z-a]"', '    receive="(?i"'])
def test_nothing_makes_it_stumble(lines: list[str]) -> None:
    text = "\n".join(lines)
    parsed = parse(text)
    count = text.count("\n") + 1
    for note in (*parsed.faults, *parsed.warnings):
        assert 1 <= note.line <= count
        assert note.text.isprintable()
    assert parsed.faults == sorted(parsed.faults, key=lambda note: note.line)


def test_the_guide_says_what_becomes_of_every_directive() -> None:
    guide = (Path(__file__).resolve().parents[3] / "docs/ldirectord.md").read_text()
    rows = [line for line in guide.splitlines() if line.startswith("| `")]
    described = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert described == {*GLOBAL, *IN_VIRTUAL, "virtual", "virtual6", "timeout", "connecttimeout"}
    for name in REFUSED:
        assert any(f"`{name}`" in row.split("|")[1] and row.split("|")[2].strip().startswith("refused") for row in rows)

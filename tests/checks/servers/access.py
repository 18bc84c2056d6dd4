"""An authentication server, and one for telephones."""

from __future__ import annotations

from tests.checks.server import Server, log_says


class FreeRadius(Server):
    """FreeRADIUS: the secret is "testing123", the user "probe" has the password "secret"."""

    name = "freeradius"
    port = 1812
    ports = ("udp/1812",)

    def prepare(self) -> None:
        self.write("dictionary", "")
        self.write("users", 'probe Cleartext-Password := "secret"\n')
        self.write(
            "radiusd.conf",
            f"""\
libdir = /usr/lib/freeradius
raddbdir = {self.directory}
run_dir = {self.directory}
logdir = {self.directory}
max_request_time = 5
log {{
}}
security {{
    reject_delay = 0
    status_server = yes
    require_message_authenticator = yes
    limit_proxy_state = auto
}}
client four {{
    ipaddr = 10.77.0.0/16
    secret = testing123
}}
client six {{
    ipv6addr = fd77::/64
    secret = testing123
}}
modules {{
    pap {{
    }}
    files {{
        usersfile = {self.directory}/users
    }}
}}
server default {{
    listen {{
        type = auth
        ipaddr = {self.address4}
        port = 1812
    }}
    listen {{
        type = auth
        ipv6addr = {self.address6}
        port = 1812
    }}
    authorize {{
        files
        pap
    }}
    authenticate {{
        Auth-Type PAP {{
            pap
        }}
    }}
}}
""",
        )

    def argv(self) -> list[str]:
        return ["freeradius", "-f", "-l", "stdout", "-d", str(self.directory), "-n", "radiusd"]

    def ready(self) -> bool:
        return log_says(self, "Ready to process requests")


class Kamailio(Server):
    """Kamailio, which has no user "nobody"."""

    name = "kamailio"
    port = 5060
    ports = ("udp/5060", "tcp/5060", "tcp/5061")

    def prepare(self) -> None:
        pki = self.place.pki
        places = (self.address4, f"[{self.address6}]")
        listen = "".join(f"listen=udp:{place}:5060\nlisten=tcp:{place}:5060\nlisten=tls:{place}:5061\n" for place in places)
        method = f"method = TLSv1.2+\ncertificate = {pki.certificate}\nprivate_key = {pki.key}\n"
        tls = self.write("tls.cfg", f"[server:default]\n{method}[client:default]\nmethod = TLSv1.2+\n")
        self.write(
            "kamailio.cfg",
            f"""\
children=1
tcp_children=1
auto_aliases=no
dns=no
rev_dns=no
enable_tls=yes
{listen}
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "tls.so"
modparam("tls", "config", "{tls}")
request_route {{
    if ($rU == "nobody") {{
        sl_send_reply("404", "Not Found");
    }} else {{
        sl_send_reply("200", "OK");
    }}
}}
""",
        )

    def argv(self) -> list[str]:
        return [
            "kamailio", "-DD", "-E", "-m", "64", "-M", "8",
            "-f", f"{self.directory}/kamailio.cfg", "-Y", str(self.directory), "-w", str(self.directory),
        ]  # fmt: skip

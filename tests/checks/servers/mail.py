"""Mail servers: one that takes mail, one from which it is fetched. The user "probe" has the password "secret"."""

from __future__ import annotations

import shutil

from tests.checks.server import Server


class Exim(Server):
    """Exim: 25, 465 with TLS, and 26, which refuses every client."""

    name = "exim"
    port = 25
    ports = ("tcp/25", "tcp/26", "tcp/465")

    def prepare(self) -> None:
        pki = self.place.pki
        spool = self.directory / "spool"
        spool.mkdir()
        shutil.chown(spool, "Debian-exim", "Debian-exim")
        self.write(
            "exim.conf",
            f"""\
primary_hostname = mail.example.com
log_file_path = {spool}/%slog
spool_directory = {spool}
pid_file_path = {spool}/pid
local_interfaces = <; {self.address4} ; {self.address6}
daemon_smtp_ports = 25 : 26 : 465
tls_on_connect_ports = 465
tls_advertise_hosts = *
tls_certificate = {pki.certificate}
tls_privatekey = {pki.key}
auth_advertise_hosts = ${{if def:tls_in_cipher {{*}}}}
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
acl_smtp_connect = connect
begin acl
connect:
  deny condition = ${{if eq{{$received_port}}{{26}}}}
       message = no service here
  accept
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{probe}}}}{{eq{{$auth3}}{{secret}}}}}}}}
  server_set_id = $auth2
""",
        )

    def argv(self) -> list[str]:
        return ["exim4", "-C", f"{self.directory}/exim.conf", "-bdf"]


class Dovecot(Server):
    """Dovecot: IMAP and POP3, with TLS on ports of their own or after a command."""

    name = "dovecot"
    port = 143
    ports = ("tcp/143", "tcp/993", "tcp/110", "tcp/995")

    def prepare(self) -> None:
        pki = self.place.pki
        self.write(
            "dovecot.conf",
            f"""\
base_dir = {self.directory}/run
state_dir = {self.directory}/state
protocols = imap pop3
listen = {self.address4}, {self.address6}
log_path = /dev/stderr
ssl = yes
ssl_cert = <{pki.certificate}
ssl_key = <{pki.key}
disable_plaintext_auth = no
auth_failure_delay = 0
first_valid_uid = 1
mail_location = maildir:{self.directory}/mail
passdb {{
  driver = static
  args = user=probe password=secret
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={self.directory}/mail
}}
""",
        )
        mail = self.directory / "mail"
        mail.mkdir()
        shutil.chown(mail, "mail", "mail")

    def argv(self) -> list[str]:
        return ["dovecot", "-F", "-c", f"{self.directory}/dovecot.conf"]

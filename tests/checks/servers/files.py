"""A file server."""

from __future__ import annotations

from tests.checks.server import Server

SECRET = "$6$checks$r1i/DLjIv2im4IdlfM6/vRUq0uVGFmlfQm.8b5aNBt0ZCMxcoEtbP8AJE6BaNw0oEPDXfRGq51neIsVHHb8Yz0"
"""The password "secret", as crypt(3) keeps it."""


class ProFtpd(Server):
    """ProFTPD: anonymous, and the user "probe" with the password "secret", find the file health."""

    name = "proftpd"
    port = 21
    ports = ("tcp/21",)

    def prepare(self) -> None:
        self.write("files/health", "all is well\n")
        user = f":65534:65534::{self.directory}/files:/bin/false\n"
        self.write("users", f"probe:{SECRET}{user}ftp:*{user}").chmod(0o600)
        self.write(
            "proftpd.conf",
            f"""\
ServerType standalone
DefaultServer on
DefaultAddress {self.address4} {self.address6}
SocketBindTight on
Port 21
User nobody
Group nogroup
DefaultRoot ~
AuthOrder mod_auth_file.c
AuthUserFile {self.directory}/users
RequireValidShell off
UseReverseDNS off
DelayEngine off
WtmpLog off
TransferLog none
PidFile {self.directory}/pid
ScoreboardFile none
<Anonymous {self.directory}/files>
  User ftp
  UserAlias anonymous ftp
  RequireValidShell off
</Anonymous>
""",
        )

    def argv(self) -> list[str]:
        return ["proftpd", "--nodaemon", "--quiet", "--config", f"{self.directory}/proftpd.conf"]

"""Database servers. The user "probe" has the password "secret"."""

from __future__ import annotations

from pathlib import Path

from tests.checks.server import Server, log_says
from tests.checks.world import NODE4, NODE6


class MariaDb(Server):
    """MariaDB, which knows the user only when it comes from the server's own addresses, or from a load balancer of the lab."""

    name = "mariadb"
    port = 3306
    ports = ("tcp/3306",)

    def prepare(self) -> None:
        (self.directory / "data").mkdir()
        tables = [Path(f"/usr/share/mysql/mysql_system_tables{part}.sql").read_text() for part in ("", "_data")]
        self.run(*self._server("--bootstrap"), input="CREATE DATABASE mysql;\nUSE mysql;\n" + "".join(tables))
        places = (self.address4, self.address6, NODE4, NODE6)
        self.write("init.sql", "".join(f"CREATE OR REPLACE USER probe@'{place}' IDENTIFIED BY 'secret';\n" for place in places))

    def _server(self, *more: str) -> list[str]:
        return [
            "mariadbd", "--no-defaults", "--user=root", f"--datadir={self.directory}/data", f"--socket={self.directory}/socket",
            "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M", "--skip-name-resolve", *more,
        ]  # fmt: skip

    def argv(self) -> list[str]:
        pki = self.place.pki
        return self._server(
            f"--init-file={self.directory}/init.sql", f"--pid-file={self.directory}/pid",
            f"--bind-address={self.address4},{self.address6}",
            f"--ssl-cert={pki.certificate}", f"--ssl-key={pki.key}", f"--ssl-ca={pki.ca}",
        )  # fmt: skip


class Postgres(Server):
    """PostgreSQL."""

    name = "postgres"
    port = 5432
    ports = ("tcp/5432",)
    user = "postgres"

    def prepare(self) -> None:
        self.programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        password = self.write("password", "secret\n")
        for suffix in ("pem", "key"):
            self.write(f"server.{suffix}", (self.place.pki.directory / f"server.{suffix}").read_text()).chmod(0o600)
        self.run(
            f"{self.programs}/initdb", "-D", f"{self.directory}/data", "-U", "probe", f"--pwfile={password}",
            "--auth=scram-sha-256", "--no-sync", "--locale=C", "--encoding=UTF8",
        )  # fmt: skip
        self.write("data/pg_hba.conf", "host all all all scram-sha-256\n")

    def argv(self) -> list[str]:
        settings = {
            "listen_addresses": f"{self.address4},{self.address6}",
            "unix_socket_directories": "",
            "ssl": "on",
            "ssl_cert_file": f"{self.directory}/server.pem",
            "ssl_key_file": f"{self.directory}/server.key",
            "fsync": "off",
            "shared_buffers": "1MB",
        }
        return [
            f"{self.programs}/postgres", "-D", f"{self.directory}/data",
            *(f"--{name}={value}" for name, value in settings.items()),
        ]  # fmt: skip

    def ready(self) -> bool:
        return log_says(self, "ready to accept connections")

"""A directory server."""

from __future__ import annotations

from tests.checks.world import Server

LDIF = """\
dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: cn=probe,dc=example,dc=com
objectClass: person
cn: probe
sn: probe
description: all is well
userPassword: secret

dn: cn=k\u00f6nig,dc=example,dc=com
objectClass: person
cn: k\u00f6nig
sn: k\u00f6nig
"""


class Slapd(Server):
    """OpenLDAP with a directory of dc=example,dc=com, in which cn=probe has the password "secret"."""

    name = "slapd"
    port = 389
    ports = ("tcp/389", "tcp/636")

    def prepare(self) -> None:
        pki = self.world.pki
        (self.directory / "data").mkdir()
        self.write(
            "slapd.conf",
            f"""\
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {self.directory}/pid
TLSCACertificateFile {pki.ca}
TLSCertificateFile {pki.certificate}
TLSCertificateKeyFile {pki.key}
database mdb
suffix dc=example,dc=com
maxsize 10485760
directory {self.directory}/data
access to attrs=userPassword by anonymous auth
access to * by * read
""",
        )
        self.run("slapadd", "-f", f"{self.directory}/slapd.conf", input=LDIF)

    def argv(self) -> list[str]:
        places = [f"{address}/" for address in (self.address4, f"[{self.address6}]")]
        urls = " ".join(f"ldap://{place} ldaps://{place}" for place in places)
        return ["slapd", "-d", "0", "-f", f"{self.directory}/slapd.conf", "-h", urls]

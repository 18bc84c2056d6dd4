"""A directory server."""

from __future__ import annotations

from tests.checks.server import Server

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

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: uid=probe,ou=people,dc=example,dc=com
objectClass: person
objectClass: uidObject
uid: probe
cn: somebody to look for
sn: probe
"""


class Slapd(Server):
    """OpenLDAP with a directory of dc=example,dc=com, in which cn=probe has the password "secret"."""

    name = "slapd"
    port = 389
    ports = ("tcp/389", "tcp/636")

    def prepare(self) -> None:
        pki = self.place.pki
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
        urls = " ".join(f"ldap://{host}/ ldaps://{host}/" for host in self.hosts)
        return ["slapd", "-d", "0", "-f", f"{self.directory}/slapd.conf", "-h", urls]

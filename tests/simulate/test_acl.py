"""The ACL role of docs/privileges.md, as Pacemaker's own tools apply it to a CIB in a file."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from ocfpy.healthd.privileges import KEPT

DOCS = Path(__file__).resolve().parents[2] / "docs"
CIB = """<cib validate-with="pacemaker-3.0" epoch="1" num_updates="0" admin_epoch="0"><configuration>
<crm_config><cluster_property_set id="options">
<nvpair id="acl" name="enable-acl" value="true"/></cluster_property_set></crm_config>
<nodes><node id="1" uname="lb1"><instance_attributes id="nodes-1"/></node></nodes>
<resources><clone id="dns-clone"><primitive id="dns" class="ocf" provider="anycast" type="ipvs-pool">
<instance_attributes id="params"><nvpair id="command" name="check_command" value="/usr/bin/true"/>
<nvpair id="password" name="check_password" value="hush"/></instance_attributes>
<meta_attributes id="meta"><nvpair id="role" name="target-role" value="Started"/></meta_attributes>
</primitive><meta_attributes id="clone-meta"><nvpair id="interleave" name="interleave" value="true"/></meta_attributes>
</clone></resources><constraints/>{acls}</configuration><status/></cib>
"""


@pytest.fixture
def cib(tmp_path: Path) -> Path:
    path = tmp_path / "cib.xml"
    path.write_text(CIB.format(acls=(DOCS / "examples/acls.xml").read_text()))
    return path


def cibadmin(cib: Path, *words: str, user: str = "ops") -> subprocess.CompletedProcess[str]:
    argv = ["cibadmin", *(["--user", user] if user else []), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, env={**os.environ, "CIB_file": str(cib)})


def test_it_has_pacemakers_schema(cib: Path) -> None:
    done = subprocess.run(["crm_verify", "--xml-file", str(cib)], capture_output=True, text=True, timeout=60)
    assert "acl" not in done.stdout + done.stderr


def test_it_permits_daily_work_and_nothing_else(cib: Path) -> None:
    def change(xml: str, *words: str) -> bool:
        return cibadmin(cib, "-M", *words, "-X", xml).returncode == 0

    assert change('<nvpair id="role" name="target-role" value="Stopped"/>')
    alone = '<nvpair id="alone" name="maintenance" value="true"/>'
    assert change(f'<meta_attributes id="clone-meta">{alone}</meta_attributes>')
    standby = '<nvpair id="standby" name="standby" value="on"/>'
    attributes = f'<instance_attributes id="nodes-1">{standby}</instance_attributes>'
    assert change(f'<node id="1" uname="lb1">{attributes}</node>', "-o", "nodes")
    assert not change('<nvpair id="command" name="check_command" value="/tmp/evil"/>')
    assert not change('<nvpair id="acl" name="enable-acl" value="false"/>')
    assert cibadmin(cib, "-C", "-o", "resources", "-X", '<primitive id="x" class="ocf" type="Dummy"/>').returncode
    text = cib.read_text()
    assert 'value="Stopped"' in text
    assert 'name="maintenance" value="true"' in text
    assert 'name="standby" value="on"' in text
    assert "/tmp/evil" not in text


def test_it_shows_no_password(cib: Path) -> None:
    seen = cibadmin(cib, "-Q").stdout
    assert "check_command" in seen
    assert "hush" not in seen
    assert "hush" in cibadmin(cib, "-Q", user="").stdout


def test_the_page_has_every_capability_that_is_kept() -> None:
    assert set(re.findall(r"CAP_[A-Z_]+", (DOCS / "privileges.md").read_text())) == set(KEPT)

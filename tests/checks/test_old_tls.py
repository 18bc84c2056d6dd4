"""A server that is too old for TLS 1.2 gets a sentence, and not what OpenSSL calls it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from ocfpy.checks import make_check
from ocfpy.checks.base import Result
from ocfpy.checks.settings import CheckSettings
from ocfpy.ocf.addresses import parse_address

from tests.checks.pki import Pki

PATIENCE_S = 20.0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_server_that_is_too_old_for_tls_1_2(version: ssl.TLSVersion, tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(pki.certificate, pki.key)

    async def story() -> Result:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", ssl=context)
        async with server:
            settings = CheckSettings("https", timeout=PATIENCE_S, tls_verify="false")
            return await make_check(parse_address("127.0.0.1"), server.sockets[0].getsockname()[1], settings).run()

    assert asyncio.run(story()).reason == "the server speaks only TLS 1.1 or older"

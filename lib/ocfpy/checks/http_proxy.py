"""HTTP proxy: the server fetches a URL, or opens a tunnel to a host and port."""

from __future__ import annotations

from ocfpy.checks.expect import parse_proxy_request
from ocfpy.checks.http import HttpCheck


class HttpProxyCheck(HttpCheck):
    """Requests `request`: `http://...` is fetched, `host:port` is the destination of a tunnel (CONNECT).

    The answer is judged like that of an HTTP server. With `user` the proxy gets the credentials.
    """

    authorization = "Proxy-Authorization"

    def _body(self) -> bytes:
        return b""

    def _question(self) -> tuple[str, str, str]:
        request = self.parsed("request", parse_proxy_request)
        _, separator, rest = request.partition("://")
        if not separator:
            return "CONNECT", request, request
        return self.settings["method"], request, self.settings["host"] or rest.partition("/")[0]

"""HTTP proxy: the server fetches a URL, or opens a tunnel to a host and port."""

from __future__ import annotations

from dataclasses import dataclass

from ocfpy.checks.expect import parse_proxy_request
from ocfpy.checks.http import RequestCheck, RequestOptions
from ocfpy.checks.options import Source, source


@dataclass(frozen=True)
class HttpProxyOptions(RequestOptions):
    """What the proxy is asked for."""

    request: Source[str] = source(parse_proxy_request)


class HttpProxyCheck(RequestCheck):
    """Asks for `request`: `http://...` is fetched, `host:port` is where a tunnel (CONNECT) has to lead.

    The answer is judged like that of an HTTP server. With `user` the proxy gets the credentials.
    """

    authorization = "Proxy-Authorization"
    options_type = HttpProxyOptions
    options: HttpProxyOptions

    def _question(self) -> tuple[str, str, str]:
        request = self.value(self.options.request)
        _, separator, rest = request.partition("://")
        if not separator:
            return "CONNECT", request, request
        return self.options.method, request, self.options.host or rest.partition("/")[0]

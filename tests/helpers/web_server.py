"""A web server on loopback whose answers a test writes itself, with or without TLS.

with WebServer() as server:
    server.pages["/w.pt"] = Page(headers={"Location": "/other.pt"}, status=302)
    ...  # server.url
server.requests  # [Request("GET", "/w.pt", {...}), ...]
"""

import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NamedTuple

from tests.helpers.loopback import LoopbackServer

HOST, SECOND_HOST = "weights.example.net", "internal.example.net"
"""The names that the certificate is valid for."""
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQga163mk+klilOcYsH
mn4FstE3jpsxmIGOoHXuS9h5KsqhRANCAARRXE5lVfh7/F5ybCkOcJn26JCaNh3/
/oPODStsE06YXgoTinjTQCRXXZYrU/rpJxdVApTxuwr1x6lEmNF5VfRS
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIByjCCAXGgAwIBAgIUAT2ZKx4NqAfnF+CJ7HvBiwnpp4wwCgYIKoZIzj0EAwIw
HjEcMBoGA1UEAwwTd2VpZ2h0cy5leGFtcGxlLm5ldDAgFw0yNjExMjgwMzQ0MTFa
GA8yMTI2MTEwNDAzNDQxMVowHjEcMBoGA1UEAwwTd2VpZ2h0cy5leGFtcGxlLm5l
dDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFFcTmVV+Hv8XnJsKQ5wmfbokJo2
Hf/+g84NK2wTTpheChOKeNNAJFddlitT+uknF1UClPG7CvXHqUSY0XlV9FKjgYow
gYcwHQYDVR0OBBYEFHY0thzWWzw7UxCSForGrZjp0/HNMB8GA1UdIwQYMBaAFHY0
thzWWzw7UxCSForGrZjp0/HNMDQGA1UdEQQtMCuCE3dlaWdodHMuZXhhbXBsZS5u
ZXSCFGludGVybmFsLmV4YW1wbGUubmV0MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI
zj0EAwIDRwAwRAIgd83A8mDWccdb1jkpt2wOMFmbhadEQ38OulZpvmxzr2ACIF1+
DrGLsyLodL1dC+5iXYPOoC3koJjpEO2CKxev5W/o
-----END CERTIFICATE-----
"""
"""A key and a certificate for the hosts above, made for these tests, and valid until 2126."""  # gitleaks:allow


@dataclass(frozen=True, kw_only=True)
class Page:
    """An answer. The pieces are sent `delay` seconds apart; a page without a length ends with its connection."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Iterable[bytes] = ()
    has_length: bool = True
    delay: float = 0
    raw: bool = False
    """Whether the pieces are sent alone, without a status line and headers."""


class Request(NamedTuple):
    """A request that the server has received."""

    method: str
    path: str
    headers: Message


class WebServer(LoopbackServer):
    """The server. With `certificate`, a file that holds CERTIFICATE, it speaks TLS."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[Request] = []
        super().__init__(type("Handler", (_Handler,), {"web": self}))
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http://127.0.0.1:{self.port}"

    def redirect(self, path: str, target: str) -> str:
        """Redirect a path to a URL, and return the URL of the path."""
        self.pages[path] = Page(status=302, headers={"Location": target})
        return self.url + path


class _Handler(BaseHTTPRequestHandler):
    web: WebServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.web.requests.append(Request(self.command, self.path, self.headers))
        page = self.web.pages.get(self.path, Page(status=404))
        self.close_connection = True
        if not page.raw:
            self._send_head(page)
        with suppress(OSError):  # the client may be gone
            for piece in page.pieces if self.command == "GET" else ():
                self.wfile.write(piece)
                if self.web.closing.wait(page.delay):
                    return

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send_head(self, page: Page) -> None:
        self.send_response(page.status)
        if page.has_length:
            self.send_header("Content-Length", str(sum(map(len, page.pieces))))
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing; `requests` has every request."""

"""Requests to web servers: where redirects may lead, what is never sent, and how much is read."""

import gzip
import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import repeat
from pathlib import Path

import pytest

from tests.helpers.plain_server import DATA, MakeUrlSources
from tests.helpers.web_server import CERTIFICATE, HOST, SECOND_HOST, Page, WebServer
from zoo.errors import SourceError, ZooError
from zoo.fetch import requesting
from zoo.fetch.certificates import CERTIFICATES
from zoo.fetch.source_types import Url
from zoo.fetch.urls import Urls


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A web server without TLS."""
    with WebServer() as server:
        server.pages["/w.pt"] = Page(pieces=[DATA])
        yield server


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A web server with TLS, which the names of its certificate resolve to."""
    certificate = tmp_path / "certificate.pem"
    certificate.write_text(CERTIFICATE)
    for name in CERTIFICATES:
        monkeypatch.setenv(name, str(certificate))
    resolve = socket.getaddrinfo
    hosts = (HOST, SECOND_HOST)

    def getaddrinfo(host: str, *args: object, **options: object) -> object:
        return resolve("127.0.0.1" if host in hosts else host, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with WebServer(certificate) as server:
        server.pages["/w.pt"] = Page(pieces=[DATA])
        yield server


@pytest.fixture
def urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Urls:
    """Downloads by URL, with a short deadline."""
    monkeypatch.setenv("ZOO_DEADLINE", "1")
    return Urls(folder=tmp_path / "downloads")


def test_a_server_of_the_users_own_may_redirect_to_itself(web: WebServer, urls: Urls) -> None:
    assert urls.download(Url(web.redirect("/a.pt", "/w.pt"))).read_bytes() == DATA
    assert urls.size(Url(f"{web.url}/a.pt")) == len(DATA)


TARGETS = {
    "another port": "http://127.0.0.1:9/w.pt",
    "another address": "http://127.0.0.2/w.pt",
    "loopback by https": "https://127.0.0.1/w.pt",
    "a number": "https://2130706433/w.pt",
    "ipv6": "https://[::1]/w.pt",
    "mapped ipv4": "https://[::ffff:127.0.0.1]/w.pt",
    "link-local": "https://169.254.169.254/latest/meta-data",
    "another scheme": "file:///etc/passwd",
    "a user name": "https://user:secret@example.org/w.pt",
    "plain http": "http://example.org/w.pt",
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("method", ["download", "size"])
def test_a_redirect_elsewhere_is_refused(method: str, target: str, web: WebServer, urls: Urls) -> None:
    url = web.redirect("/a.pt", TARGETS[target])
    with pytest.raises(SourceError, match=r"is refused: .*write an https URL of a public host") as raised:
        getattr(urls, method)(Url(url))
    assert "secret" not in str(raised.value)
    assert len(web.requests) == 1
    assert not list(urls.folder.glob("*")) if urls.folder and urls.folder.exists() else True


def test_redirects_without_an_end_are_an_error(web: WebServer, urls: Urls) -> None:
    with pytest.raises(SourceError, match="more than 10 redirects"):
        urls.download(Url(web.redirect("/a.pt", "/a.pt")))
    assert len(web.requests) == 10


def test_a_redirect_to_a_name_with_a_private_address_is_refused(web: WebServer, secure: WebServer, urls: Urls) -> None:
    url = web.redirect("/a.pt", f"https://{SECOND_HOST}:{secure.port}/w.pt")
    with pytest.raises(SourceError, match=f"{SECOND_HOST} is refused: its address is not a public one"):
        urls.download(Url(url))
    with pytest.raises(SourceError, match="its address is not a public one"):
        urls.download(Url(f"https://{HOST}:{secure.port}/w.pt"), public_only=True)
    assert not secure.requests


def test_a_public_host_is_downloaded_from_and_may_redirect_to_another(
    secure: WebServer, urls: Urls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its addresses is tried."""
    monkeypatch.setattr(requesting, "public_addresses", lambda host, port: ["127.0.0.2", "::1", "127.0.0.1"])
    secure.redirect("/a.pt", f"https://{SECOND_HOST}:{secure.port}/w.pt")
    url = Url(f"https://{HOST}:{secure.port}/a.pt")
    assert urls.download(url, public_only=True).read_bytes() == DATA
    assert [request.headers["Host"] for request in secure.requests] == [
        f"{host}:{secure.port}" for host in (HOST, SECOND_HOST)
    ]


def test_a_server_of_the_users_own_may_have_a_private_address(secure: WebServer, urls: Urls) -> None:
    assert urls.download(Url(f"https://{HOST}:{secure.port}/w.pt")).read_bytes() == DATA


def test_no_credentials_are_sent(web: WebServer, urls: Urls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@127.0.0.1:{web.port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    web.pages["http://localhost:9/w.pt"] = Page(pieces=[DATA])
    urls.download(Url(f"{web.url}/w.pt"))
    urls.download(Url("http://localhost:9/w.pt"))  # through the proxy
    assert [request.path for request in web.requests][-1] == "http://localhost:9/w.pt"
    for request in web.requests:
        assert not {"Authorization", "Proxy-Authorization", "Cookie"} & set(request.headers)


def test_a_body_without_an_end_is_refused_at_the_limit(
    web: WebServer, urls: Urls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_DOWNLOAD", "0.001")
    web.pages["/endless.pt"] = Page(pieces=repeat(b"\0" * 65536), has_length=False)
    with pytest.raises(SourceError, match=r"longer than 0.001 GB; set ZOO_MAX_DOWNLOAD"):
        urls.download(Url(f"{web.url}/endless.pt"))
    web.pages["/lies.pt"] = Page(headers={"Content-Length": str(10**15)}, has_length=False)
    with pytest.raises(SourceError, match=r"longer than 0.001 GB"):
        urls.download(Url(f"{web.url}/lies.pt"))
    assert urls.folder is not None
    assert not list(urls.folder.iterdir())


def test_a_compressed_body_that_grows_too_much_is_refused(web: WebServer, urls: Urls) -> None:
    bomb = gzip.compress(b"\0" * 100_000_000)
    web.pages["/bomb.pt"] = Page(headers={"Content-Encoding": "gzip"}, pieces=[bomb])
    with pytest.raises(SourceError, match=r"[0-9,]+ compressed bytes unpack to [0-9,]+ or more, which is refused"):
        urls.download(Url(f"{web.url}/bomb.pt"))
    web.pages["/fine.pt"] = Page(headers={"Content-Encoding": "gzip"}, pieces=[gzip.compress(DATA)])
    assert urls.download(Url(f"{web.url}/fine.pt")).read_bytes() == DATA


def test_a_slow_drip_is_abandoned(web: WebServer, urls: Urls) -> None:
    web.pages["/drip.pt"] = Page(headers={"Content-Length": "1000"}, has_length=False, pieces=repeat(b"x"), delay=0.1)
    with pytest.raises(SourceError, match=r"too slow|no byte came in time"):
        urls.download(Url(f"{web.url}/drip.pt"))


def test_headers_that_never_end_are_abandoned(web: WebServer, urls: Urls) -> None:
    web.pages["/head.pt"] = Page(raw=True, pieces=[b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 90], delay=0.3)
    with pytest.raises(SourceError, match=r"did not (serve it|answer) in"):
        urls.download(Url(f"{web.url}/head.pt"))


@pytest.mark.parametrize("value", ["\xb2", "999999999999", "9" * 400, "-1", "soon", ""])
def test_any_retry_after_header_ends_in_a_documented_error(value: str, web: WebServer, urls: Urls) -> None:
    web.pages["/busy.pt"] = Page(status=503, headers={"Retry-After": value})
    with pytest.raises(SourceError, match="status 503"):
        urls.download(Url(f"{web.url}/busy.pt"))


@pytest.mark.parametrize("value", ["abc", "-5", "9" * 5000, "\xb2"])
def test_any_content_length_ends_in_a_documented_error(value: str, web: WebServer, urls: Urls) -> None:
    web.pages["/odd.pt"] = Page(headers={"Content-Length": value}, has_length=False)
    assert urls.size(Url(f"{web.url}/odd.pt")) == 0
    with suppress(ZooError):
        urls.download(Url(f"{web.url}/odd.pt"))


def test_a_missing_certificate_file_is_named(
    web: WebServer, url_sources: MakeUrlSources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "/nowhere/certificates.pem")
            for source in (f"{web.url}/w.pt", "hub:someone/tiny"):
                with pytest.raises(SourceError, match=f"{name} is '/nowhere/certificates.pem', which does not exist"):
                    url_sources().fetch(source)
    for name in CERTIFICATES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "empty.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    with pytest.raises(SourceError, match=r"SSL_CERT_FILE is '.*empty.pem', which holds no certificates"):
        url_sources().fetch(f"{web.url}/w.pt")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path))
    for source in (f"{web.url}/w.pt", "hub:someone/tiny"):
        with pytest.raises(SourceError, match=r"SSL_CERT_FILE is '.*', which is a folder; set SSL_CERT_DIR"):
            url_sources().fetch(source)


@pytest.mark.parametrize("name", ["ZOO_MAX_DOWNLOAD", "ZOO_MIN_RATE", "ZOO_MAX_RATIO", "ZOO_DEADLINE"])
def test_a_limit_that_is_no_positive_number_is_refused(
    name: str, web: WebServer, urls: Urls, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("much", "0", "-1", "nan", "inf"):
        monkeypatch.setenv(name, value)
        with pytest.raises(ZooError, match=f"{name} must be a positive number of "):
            urls.download(Url(f"{web.url}/w.pt"))

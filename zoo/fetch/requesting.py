"""Requests to web servers: they carry no credentials, and redirects lead only to https URLs of public hosts.

The environment's proxies are used without their passwords. `.netrc` is not read.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from threading import Event, Timer
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, DecodeError, HTTPError, NameResolutionError, ReadTimeoutError

from zoo.errors import SourceError
from zoo.fetch.certificates import certificate_file
from zoo.fetch.public_hosts import public_addresses, url_problem

MAX_REDIRECTS = 10
CHUNK_SIZE = 1 << 16
"""Bytes."""


@contextmanager
def requesting(method: str, url: str, timeout: float, *, public_only: bool) -> Iterator[requests.Response]:
    """Send a request, follow its redirects, and yield the answer, whose body has not been read.

    Args:
        method: GET or HEAD.
        url: The URL.
        timeout: Seconds without a new byte before the request is abandoned, and until the headers are complete.
        public_only: Whether the URL itself must be an https URL of a public host, as every redirect must. A URL of the
            user's own may be on the local network, and redirect to its own server.

    Raises:
        SourceError: An address is not allowed, or a file of certificates cannot be read.
        requests.RequestException: The request failed.
    """
    address = url
    for _ in range(MAX_REDIRECTS):
        is_own = not public_only and _server(address) == _server(url)
        with _session(address, is_own=is_own) as session:
            answer = session.request(method, address, timeout=timeout, allow_redirects=False, stream=True)
            with answer:
                if (target := _target(session, answer, address)) is None:
                    yield answer
                    return
        address = target
    raise SourceError(f"{url}: more than {MAX_REDIRECTS} redirects")


def pieces(answer: requests.Response) -> Iterator[bytes]:
    """Yield the body of an answer as it comes, unpacked; raises requests.RequestException if it ends too early."""
    try:
        while piece := answer.raw.read1(CHUNK_SIZE, decode_content=True):
            yield piece
    except DecodeError as error:
        raise requests.exceptions.ContentDecodingError(error) from error
    except ReadTimeoutError as error:
        raise requests.ReadTimeout(error) from error
    except (HTTPError, HTTPException) as error:
        raise requests.exceptions.ChunkedEncodingError(error) from error


def _target(session: requests.Session, answer: requests.Response, address: str) -> str | None:
    """Return the URL that an answer redirects to, or None; raises SourceError if it is not a URL."""
    try:
        location = session.get_redirect_target(answer)
        target = None if location is None else urljoin(address, location)
        _server(target or "")
    except ValueError:
        raise SourceError(f"{address}: the server redirects to something that is not a URL") from None
    return target


def _server(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _session(url: str, *, is_own: bool) -> requests.Session:
    """Return a session without credentials, which connects to public hosts only unless the URL is the user's own."""
    proxies = {scheme: _without_password(proxy) for scheme, proxy in get_environ_proxies(url).items()}
    if not is_own:
        _check_public(url, is_proxied=bool(proxies.get("https") or proxies.get("all")))
    session = _Session()
    session.trust_env = False  # neither .netrc nor the passwords of proxies
    session.proxies.update(proxies)
    session.verify = certificate_file() or True
    session.headers["Accept-Encoding"] = "identity"
    session.adapters.clear()
    session.mount("https://", _Adapter(_WatchedHTTPS if is_own else _PublicHTTPS))
    if is_own:
        session.mount("http://", _Adapter(_WatchedHTTP))
    return session


def _check_public(url: str, *, is_proxied: bool) -> None:
    """Raise SourceError for a URL that is not public. Behind a proxy the host name need not be known here."""
    if problem := url_problem(url):
        raise SourceError(f"{_without_password(url)} is refused: {problem}; write an https URL of a public host")
    if is_proxied:
        parts = urlsplit(url)
        with suppress(OSError, UnicodeError):
            _checked_addresses(str(parts.hostname), parts.port or 443)


def _checked_addresses(host: str, port: int) -> list[str]:
    addresses = public_addresses(host, port)
    if not addresses:
        raise SourceError(f"{host} is refused: its address is not a public one")
    return addresses


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


class _Session(requests.Session):
    """A session that leaves redirects alone: `requesting` checks and follows them."""

    def resolve_redirects(self, *_: Any, **__: Any) -> Iterator[Any]:  # called even if redirects are not allowed
        return iter(())


class _Watched(HTTPConnection):
    """A connection that is closed if the headers of an answer are not complete in time."""

    def getresponse(self) -> Any:
        late = Event()
        timer = Timer(float(self.timeout or 0), self._shut_down, [late])
        timer.daemon = True
        timer.start()
        try:
            answer = super().getresponse()
        finally:
            timer.cancel()
        if late.is_set():  # the headers look complete where the connection was closed
            answer.close()
            raise TimeoutError
        return answer

    def _shut_down(self, late: Event) -> None:
        late.set()
        with suppress(OSError, AttributeError):  # closed already
            self.sock.shutdown(socket.SHUT_RDWR)


class _WatchedHTTPSConnection(_Watched, HTTPSConnection):
    """The same for https."""


class _PublicConnection(_WatchedHTTPSConnection):
    """A connection to a host whose addresses are all public; it connects to the first that answers of those checked."""

    def _new_conn(self) -> socket.socket:
        host, latest = self._dns_host, time.monotonic() + float(self.timeout or 0)
        try:
            *others, last = _checked_addresses(host, self.port)
            for address in others:
                self._dns_host = address
                with suppress(ConnectTimeoutError):  # a refused connection is one too
                    return super()._new_conn()
                if time.monotonic() > latest:
                    break
            self._dns_host = last
            return super()._new_conn()
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(host, self, socket.gaierror(str(error))) from error
        finally:
            self._dns_host = host


class _WatchedHTTP(HTTPConnectionPool):
    ConnectionCls = _Watched


class _WatchedHTTPS(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPSConnection


class _PublicHTTPS(HTTPSConnectionPool):
    ConnectionCls = _PublicConnection


class _Adapter(HTTPAdapter):
    """Send requests over connections of this pool."""

    def __init__(self, pool: type[HTTPConnectionPool]) -> None:
        self._pool = pool
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = dict.fromkeys(("http", "https"), self._pool)

"""The base of the servers that tests start on loopback."""

import gc
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import psutil


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # Linux repeats the connections beyond the 5 of the default only after a second


class LoopbackServer:
    """A server that runs in a `with` block. `closing` tells its handlers that the block has ended."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), handler)
        self.port = self._server.server_port

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        connections = psutil.Process().net_connections("tcp")
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        if any(connection.raddr and connection.raddr.port == self.port for connection in connections):
            _collect_abandoned_connections()


def _collect_abandoned_connections() -> None:
    """Free the connections that nobody closed: they would warn when Python frees them, during another test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()

"""A Hub on loopback that serves repositories from a folder, without faults; large files need not pass through memory.

A repository is the folder `{models,datasets}/OWNER/NAME`. It has one commit, and no file is served by redirect. The
checksums of its files are computed once, by `write_listing`, and lie beside it in `NAME.json`.
"""

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from zoo.fetch.checksum import git_sha1

LARGE = (".bin", ".safetensors", ".parquet")
"""The files that the Hub lists by SHA-256; small ones it lists by git's SHA-1."""
API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+?)(/revision/[^/]+|/tree/[^/]+)?")
RESOLVE = re.compile(r"(?:/(datasets))?/([^/]+/[^/]+)/resolve/[^/]+/(.+)")


def commit_of(name: str) -> str:
    """Return the only commit of a repository."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


def write_listing(repository: Path, known: dict[str, str]) -> None:
    """Write the listing of a repository beside it.

    Args:
        repository: The folder.
        known: The SHA-256 of files by name, which are not read again.
    """
    listed = []
    for path in sorted(path for path in repository.rglob("*") if path.is_file()):
        name = path.relative_to(repository).as_posix()
        entry: dict[str, Any] = {"type": "file", "path": name, "size": path.stat().st_size}
        if name.endswith(LARGE):
            digest = known.get(name) or hashlib.sha256(path.read_bytes()).hexdigest()
            entry |= {"oid": digest[:40], "lfs": {"oid": digest, "size": entry["size"], "pointerSize": 134}}
        else:
            entry["oid"] = git_sha1(path)
        listed.append(entry)
    repository.with_name(f"{repository.name}.json").write_text(json.dumps(listed), encoding="utf-8")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the repositories in a folder, and yield the address of the Hub."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, folder))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, folder: Path, *args: Any) -> None:
        self.folder = folder
        super().__init__(*args)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if match := API.fullmatch(path):
            self._listing(*match.groups())
        elif match := RESOLVE.fullmatch(path):
            self._file(match[1] or "models", match[2], match[3])
        else:
            self._send(404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _listing(self, kind: str, name: str, what: str | None) -> None:
        listing = self.folder / kind / f"{name}.json"
        if not listing.is_file():
            self._send(404, {"X-Error-Code": "RepoNotFound"})
        elif what and what.startswith("/tree/"):
            self._send(200, body=listing.read_bytes())
        else:
            self._send(200, body=json.dumps({"id": name, "sha": commit_of(name)}).encode())

    def _file(self, kind: str, name: str, path: str) -> None:
        file, commit = self.folder / kind / name / path, {"X-Repo-Commit": commit_of(name)}
        if not file.is_file():
            self._send(404, {"X-Error-Code": "EntryNotFound", **commit})
            return
        listing = json.loads((self.folder / kind / f"{name}.json").read_text(encoding="utf-8"))
        entry = next(entry for entry in listing if entry["path"] == path)
        etag = entry.get("lfs", entry)["oid"]
        self._send(200, {**commit, "ETag": f'"{etag}"'}, file=file)

    def _send(
        self, status: int, headers: dict[str, str] | None = None, body: bytes = b"", file: Path | None = None
    ) -> None:
        self.send_response(status)
        size = len(body) if file is None else file.stat().st_size
        for name, value in {"Content-Length": str(size), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        with suppress(OSError):  # the client may be gone
            if file is None:
                self.wfile.write(body)
            else:
                with file.open("rb") as stream:
                    shutil.copyfileobj(stream, self.wfile)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

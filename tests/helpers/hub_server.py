"""A Hugging Face Hub on loopback, with the routes, headers and error codes that clients use, and faults on request.

    with LocalHub() as hub:
        commit = hub.add("models", "owner/name", {"config.json": b"{}"})
        hub.fault("HEAD .*config.json", "status", status=503, times=2)
        ...  # HF_ENDPOINT=hub.url
    hub.requests  # [("HEAD", "/owner/name/resolve/.../config.json", 503), ...]

LFS files are redirected to another origin, which must not see a token: 127.0.0.1 is the Hub, localhost the other.
"""

import base64
import hashlib
import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.helpers.loopback import LoopbackServer

TOKEN, STRANGER = "hf_secret123", "hf_stranger456"
"""A token with access to every repository, and one without access to gated and private ones; others are refused."""
LFS = (".safetensors", ".bin", ".parquet")
ALWAYS = 1_000_000
_REPO, _FILE = "/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)", "/(?P<commit>[^/]+)/(?P<path>.+)"
ROUTES = {
    "info": f"/api{_REPO}(/revision/(?P<commit>[^/]+))?",
    "tree": f"/api{_REPO}/tree/(?P<commit>[^/]+)",
    "history": f"/api{_REPO}/commits/(?P<commit>[^/]+)",
    "lfs": f"/lfs{_REPO}{_FILE}",
    "small": f"/api/resolve-cache{_REPO}{_FILE}",
    "resolve": f"(/(?P<kind>datasets))?/(?P<name>[^/]+/[^/]+)/resolve{_FILE}",
    "plain": "/plain/(?P<path>.+)",
    "search": "/api/models",
}
LFS_BATCH = "/(?P<name>[^/]+/[^/]+)[.]git/info/lfs/objects/batch"
PREUPLOAD, COMMIT = (f"/api{_REPO}/{name}/(?P<commit>[^/]+)" for name in ("preupload", "commit"))


@dataclass
class Repo:
    """A repository: the files of each commit, and the commit that is `main`."""

    gated: bool
    private: bool
    main: str = ""
    commits: dict[str, Mapping[str, bytes]] = field(default_factory=dict)


@dataclass
class Fault:
    """Something that goes wrong with the next `times` requests whose `METHOD PATH` contains a match of the pattern."""

    pattern: str
    action: str
    times: int
    options: Mapping[str, Any]


@dataclass(frozen=True)
class PullRequest:
    """A pull request that somebody created: its repository, its title and its files."""

    repo: str
    title: str
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Answer:
    """A response; the status 0 means that none is sent."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def refusal(cls, status: int, code: str = "", **headers: str) -> "Answer":
        return cls(status, {"X-Error-Code": code, **headers}, b'{"error": "refused"}')


class LocalHub(LoopbackServer):
    """The server. `page` is the number of files on a page of a listing; with `ranges` it serves parts of files."""

    def __init__(self, *, page: int = 1000, ranges: bool = True) -> None:
        self.page, self.ranges = page, ranges
        self.repos: dict[tuple[str, str], Repo] = {}
        self.plain: dict[str, bytes] = {}
        """The files of a plain web server, at /plain/PATH."""
        self.requests: list[tuple[str, str, int]] = []
        self.pull_requests: list[PullRequest] = []
        self.ignored: tuple[str, ...] = ()
        """The files that a `.gitignore` of a repository leaves out of commits."""
        self.uploads: dict[str, bytes] = {}
        """The large files that were uploaded, by SHA-256."""
        self.faults: list[Fault] = []
        super().__init__(type("Handler", (_Handler,), {"hub": self}))
        self.url, self.other_url = (f"http://{host}:{self.port}" for host in ("127.0.0.1", "localhost"))

    def add(
        self, kind: str, name: str, files: Mapping[str, bytes], *, gated: bool = False, private: bool = False
    ) -> str:
        """Make these files the `main` of a repository of "models" or "datasets"; return the commit, a hash of them."""
        repo = self.repos.setdefault((kind, name), Repo(gated, private))
        repo.main = _sha1(repr(sorted(files.items())).encode())
        repo.commits[repo.main] = dict(files)
        return repo.main

    def post(self, target: str, token: str | None, body: bytes) -> Answer:
        """Return the answer to POST: a check of a card, a new repository, or the steps of a commit.

        A commit to `main` changes the repository, if it is to the newest commit; any other becomes a pull request.
        """
        url = urlsplit(target)
        if url.path == "/api/validate-yaml":
            return Answer(200, body=b'{"errors": [], "warnings": []}')
        if token != TOKEN:
            return Answer.refusal(401, **{"X-Error-Message": "Invalid credentials in Authorization header"})
        if url.path == "/api/repos/create":
            return self._create(json.loads(body))
        if re.fullmatch(PREUPLOAD, url.path):
            paths = [file["path"] for file in json.loads(body)["files"]]
            files = [{"path": path, "uploadMode": "lfs" if path.endswith(LFS) else "regular"} for path in paths]
            answers = [{**file, "shouldIgnore": file["path"] in self.ignored} for file in files]
            return Answer(200, body=json.dumps({"files": answers}).encode())
        if re.fullmatch(LFS_BATCH, url.path):
            actions = {"upload": {"href": f"{self.url}/uploads"}}
            objects = [{**each, "actions": actions} for each in json.loads(body)["objects"]]
            return Answer(200, body=json.dumps({"objects": objects}).encode())
        found = re.fullmatch(COMMIT, url.path)
        if found is None or (repo := self.repos.get((found["kind"], found["name"]))) is None:
            return Answer.refusal(404, "RepoNotFound")
        header, *lines = [json.loads(line) for line in body.splitlines()]
        if header["value"].get("parentCommit") != repo.main:
            return Answer(412, body=b'{"error": "the newest commit is another one"}')
        files = {line["value"]["path"]: self._sent(line["value"]) for line in lines}
        if parse_qs(url.query).get("create_pr") != ["1"]:
            commit = self.add(found["kind"], found["name"], {**repo.commits[repo.main], **files})
            done = {"commitUrl": f"{self.url}/{found['name']}/commit/{commit}", "commitOid": commit}
            return Answer(200, body=json.dumps(done).encode())
        self.pull_requests.append(PullRequest(found["name"], header["value"]["summary"], files))
        address = f"{self.url}/{found['name']}/discussions/{len(self.pull_requests)}"
        done = {
            "commitUrl": f"{self.url}/{found['name']}/commit/{'0' * 40}",
            "commitOid": "0" * 40,
            "pullRequestUrl": address,
        }
        return Answer(200, body=json.dumps(done).encode())

    def _sent(self, file: Mapping[str, Any]) -> bytes:
        """Return the content of a file of a commit: a large one was uploaded before, and is named by its SHA-256."""
        return self.uploads[file["oid"]] if "oid" in file else base64.b64decode(file["content"])

    def _create(self, wanted: Mapping[str, Any]) -> Answer:
        """Create a repository as the Hub does: with one file, or 409 if there is one of this name."""
        name = f"{wanted.get('organization') or 'somebody'}/{wanted['name']}"
        body = json.dumps({"url": f"{self.url}/{name}", "error": "You already created this model repo"}).encode()
        if ("models", name) in self.repos:
            return Answer(409, body=body)
        self.add(
            "models",
            name,
            {".gitattributes": b"*.safetensors filter=lfs\n"},
            private=wanted.get("visibility") == "private" or bool(wanted.get("private")),
        )
        return Answer(200, body=body)

    def fault(self, pattern: str, action: str, *, times: int = 1, **options: Any) -> None:
        """Make requests go wrong. The first fault that matches a request counts.

        status   answer with `status`, `headers` and `body`
        close    close the connection without an answer
        drop     close it after `at` bytes of the body
        stall    send nothing until the server is closed, from the start or after `at` bytes of the body
        short    announce and send the first `at` bytes only
        corrupt  flip the byte `at`
        etag     send the header `etag` for the file
        slow     send `piece` bytes every `delay` seconds
        """
        self.faults.append(Fault(pattern, action, times, options))

    def answer(self, target: str, token: str | None) -> Answer:
        """Return the answer to HEAD and GET."""
        url = urlsplit(target)
        matches = {route: re.fullmatch(pattern, unquote(url.path)) for route, pattern in ROUTES.items()}
        route, parts = next(((route, match.groupdict()) for route, match in matches.items() if match), ("", {}))
        if route == "plain":
            data = self.plain.get(parts["path"])
            return Answer(404) if data is None else Answer(200, body=data)
        if route == "search":
            return self._found(parse_qs(url.query))
        kind, name = parts.get("kind") or "models", parts.get("name", "")
        repo = self.repos.get((kind, name))
        if token not in {None, TOKEN, STRANGER}:
            return Answer.refusal(401, **{"X-Error-Message": "Invalid credentials in Authorization header"})
        if repo is None or (repo.private and token != TOKEN and route != "lfs"):
            return Answer.refusal(404 if token else 401, "RepoNotFound")
        commit = repo.main if parts["commit"] in {None, "main"} else parts["commit"]
        if commit not in repo.commits:
            return Answer.refusal(404, "RevisionNotFound")
        if route == "info":
            return Answer(200, body=json.dumps({"id": name, "sha": commit, "private": repo.private}).encode())
        if route == "history":
            return Answer(200, body=json.dumps([_commit_data(commit) for commit in reversed(repo.commits)]).encode())
        if route == "tree":
            cursor = int(parse_qs(url.query).get("cursor", ["0"])[0])
            return self._page(f"{kind}/{name}/tree/{commit}", list(repo.commits[commit].items()), cursor)
        return self._file(route, repo, f"{kind}/{name}/{commit}/{parts['path']}", token)

    def _found(self, query: Mapping[str, list[str]]) -> Answer:
        """Return the models whose card has all words of a query: a tag, a kind of task, or a part of the name."""
        wanted = [word for key in ("filter", "pipeline_tag", "search") for word in query.get(key, [])]
        owner = query.get("author", [""])[0]
        named = {name: repo for (kind, name), repo in self.repos.items() if kind == "models" and name.startswith(owner)}
        cards = {
            name: f"{name} {repo.commits[repo.main].get('README.md', b'').decode()}" for name, repo in named.items()
        }
        found = [{"id": name} for name, card in cards.items() if all(word.split(":")[-1] in card for word in wanted)]
        return Answer(200, body=json.dumps(found[: int(query.get("limit", ["1000"])[0])]).encode())

    def _page(self, tree: str, files: list[tuple[str, bytes]], cursor: int) -> Answer:
        more = f'<{self.url}/api/{tree}?recursive=true&cursor={cursor + self.page}>; rel="next"'
        listed = [_listed(*file) for file in files[cursor : cursor + self.page]]
        return Answer(200, {"Link": more} if cursor + self.page < len(files) else {}, json.dumps(listed).encode())

    def _file(self, route: str, repo: Repo, where: str, token: str | None) -> Answer:
        """Return the file, or a redirect with its etag."""
        commit, path = where.split("/", 4)[3:]
        data = repo.commits[commit].get(path)
        if route == "lfs" and data is not None:
            return Answer(200, body=data) if token is None else Answer(400)
        if repo.gated and token != TOKEN:
            return Answer.refusal(403 if token else 401, "GatedRepo")
        if data is None:
            return Answer.refusal(404, "EntryNotFound", **{"X-Repo-Commit": commit})
        etag, known = f'"{_etag(path, data)}"', {"X-Repo-Commit": commit}
        if path.endswith(LFS):
            linked = {"X-Linked-Etag": etag, "X-Linked-Size": str(len(data))}
            return Answer(302, {**known, **linked, "Location": f"{self.other_url}/lfs/{where}"})
        if route == "resolve":
            return Answer(307, {**known, "ETag": etag, "Location": f"/api/resolve-cache/{where}"})
        return Answer(200, {**known, "ETag": etag}, data)


def _commit_data(commit: str) -> dict[str, Any]:
    """Return a commit as a history lists it."""
    return {
        "id": commit,
        "title": "",
        "message": "",
        "authors": [{"user": "someone"}],
        "date": "2023-12-06T00:00:00.000Z",
    }


def _listed(path: str, data: bytes) -> dict[str, Any]:
    """Return a file as a listing has it; for an LFS file the listing has a pointer."""
    entry = {"type": "file", "path": path, "size": len(data), "oid": _etag(path, data)}
    if path.endswith(LFS):
        entry |= {"oid": _sha1(data), "lfs": {"oid": _etag(path, data), "size": len(data), "pointerSize": 134}}
    return entry


def _etag(path: str, data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if path.endswith(LFS) else _sha1(b"blob %d\0" % len(data) + data)


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for its headers' acknowledgement
    hub: LocalHub

    def do_HEAD(self) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        fault, answer = self._next_fault(), self.hub.answer(self.path, token)
        if fault:
            answer = _faulty(answer, fault)
        self._send(self._part(answer), fault or Fault("", "", 0, {}))

    def do_GET(self) -> None:
        self.do_HEAD()

    def do_POST(self) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        body = self._body()
        fault = self._next_fault()
        answer = self.hub.post(unquote(self.path), token, body) if fault is None else _faulty(Answer(200), fault)
        self._send(answer, fault or Fault("", "", 0, {}))

    def do_PUT(self) -> None:
        body = b"".join(self._chunks()) if "chunked" in self.headers.get("Transfer-Encoding", "") else self._body()
        self.hub.uploads[hashlib.sha256(body).hexdigest()] = body
        self._send(Answer(200), Fault("", "", 0, {}))

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _next_fault(self) -> Fault | None:
        """Return the fault of this request, which counts as one of its times."""
        request = f"{self.command} {self.path}"
        fault = next((fault for fault in self.hub.faults if fault.times and re.search(fault.pattern, request)), None)
        if fault:
            fault.times -= 1
        return fault

    def _part(self, answer: Answer) -> Answer:
        """Return the rest of a file if the request has a Range header."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not match or not self.hub.ranges or answer.status != 200:
            return answer
        first, size = int(match[1]), len(answer.body)
        headers = {**answer.headers, "Content-Range": f"bytes {first}-{size - 1}/{size}"}
        return replace(answer, status=206, headers=headers, body=answer.body[first:])

    def _send(self, answer: Answer, fault: Fault) -> None:
        self.hub.requests.append((self.command, self.path, answer.status))
        if answer.status:
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
        cut = fault.action in {"close", "drop", "stall"}
        body = b"" if self.command == "HEAD" else answer.body[: fault.options.get("at", 0) if cut else None]
        with suppress(OSError):  # the client may be gone
            for start in range(0, len(body), piece := fault.options.get("piece", max(len(body), 1))):
                self.wfile.write(body[start : start + piece])
                self.hub.closing.wait(fault.options.get("delay", 0))
            self.hub.closing.wait(None if fault.action == "stall" else 0)
            if cut:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Print nothing; `requests` has every request."""


def _faulty(answer: Answer, fault: Fault) -> Answer:
    options, body, at = fault.options, answer.body, fault.options.get("at", 0)
    if fault.action == "status":
        return Answer(options["status"], options.get("headers", {}), options.get("body", b""))
    if fault.action == "short":
        return replace(answer, body=body[:at])
    if fault.action == "corrupt":
        return replace(answer, body=body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
    if fault.action == "etag":
        names = {"ETag", "X-Linked-Etag"} & answer.headers.keys()
        return replace(answer, headers={**answer.headers, **dict.fromkeys(names, f'"{options["etag"]}"')})
    return Answer(0) if fault.action == "close" or (fault.action == "stall" and not at) else answer

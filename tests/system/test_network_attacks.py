"""Attacks through downloads, caches and printed text: each is refused with a documented error, or does nothing."""

import gzip
import io
import json
import socket
import warnings
import zipfile
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import TINY, Write, Zoo
from tests.helpers.web_server import Page, WebServer

PUBLIC = "may name files of its repository, hub:, data:, and https URLs of public hosts"


@pytest.fixture
def attacker(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """The attacker's server."""
    monkeypatch.setenv("ZOO_DEADLINE", "1")
    with WebServer() as server:
        yield server


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    """The Hub that the attacker publishes on."""
    with LocalHub() as server:
        yield server


@pytest.fixture
def hub_zoo(zoo: Zoo, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """The command line with that Hub, an empty cache, and a lock that pins nothing."""
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def _named(source: str) -> str:
    return f'{TINY}weights: "{source}"\n'


MALFORMED = {
    "at_confuse": ("http://127.0.0.1:8735@127.0.0.2:8736/x.pt", "no user name or password"),
    "userinfo": ("http://user:SECRETPW@127.0.0.1:8735/x.pt", "no user name or password"),
    "backslash": (r"http://127.0.0.1:8735\\@127.0.0.2:8736/x.pt", "no user name or password"),
    "backslash in a path": (r"http://127.0.0.1:8735/a\\b.pt", "no backslashes"),
    "badport": ("http://127.0.0.1:99999/x.pt", "Port out of range"),
    "badport2": ("http://127.0.0.1:abc/x.pt", "Port could not be cast"),
    "crlf": (r"http://127.0.0.1:8735/x\r\nHost: evil\r\n/w.pt", "is not allowed in a recipe, not even as an escape"),
    "nul_file": (r"file:\0", "is not allowed in a recipe, not even as an escape"),
    "nul_member": (r"http://127.0.0.1:8735/a.zip#m\0", "is not allowed in a recipe, not even as an escape"),
    "surrogate_url": (r"http://127.0.0.1:8735/\ud800.pt", "is not allowed in a recipe, not even as an escape"),
    "surrogate": (r"file:\ud800", "is not allowed in a recipe, not even as an escape"),
    "unicode_escape": (r"\UFFFFFFFF", "stands for no character"),
    "a smaller escape": (r"\U00110000", "stands for no character"),
    "long_url": (f"http://127.0.0.1:8735/{'a' * 6000}.pt", "at most 2,000 characters"),
    "ip_dec": ("http://2130706433:8735/x.pt", "http:// is only for a server on this machine"),
    "ssrf_direct": ("http://127.0.0.2:8736/admin/x.pt", "http:// is only for a server on this machine"),
    "embeddedup": ("embedded:../allowed.py", "is not in"),
    "hubbad": ("hub:../..", "is not a repository"),
    "hubspace": ("hub:a b/c", "is not a repository"),
    "hubdd": ("hub:a--b/c..d", "is not a repository"),
    "hubrev": ("hub:evil/code@../../x", "is not a repository"),
}


@pytest.mark.parametrize("attack", MALFORMED)
def test_a_malformed_source_is_an_error_of_its_own_recipe(attack: str, zoo: Zoo, recipe_file: Write) -> None:
    source, words = MALFORMED[attack]
    path = recipe_file(_named(source))
    completed = zoo("verify", path, "digits-resnet8")
    assert completed.code == 2, completed.err
    assert "digits-resnet8" in completed.out
    assert "1 reproduced" in completed.out
    assert words in completed.err
    assert str(path) in completed.err
    assert "SECRETPW" not in completed.out + completed.err
    for line in completed.lines:
        assert line.isprintable()
        assert not line.startswith("zoo: ")


UNREADABLE = {
    "dev_zero": ("file:/dev/zero", "not a file"),
    "dirfile": ("file:/etc", ""),
    "datatrav": ("data:../../etc", "is not here"),
}


@pytest.mark.parametrize("attack", UNREADABLE)
def test_a_source_that_is_no_file_is_an_error(attack: str, hub_zoo: Zoo, recipe_file: Write) -> None:
    source, words = UNREADABLE[attack]
    completed = hub_zoo("reproduce", recipe_file(_named(source)))
    assert completed.code in {2, 4}, completed.err
    assert words in completed.err


@pytest.mark.parametrize("target", ["http://127.0.0.2:8736/admin/delete?all=1", "file:///etc/passwd",
                                    "http://127.0.0.1:8734/evil/code/resolve/main/config.json"])  # fmt: skip
def test_a_redirect_to_another_address_is_refused(
    target: str, zoo: Zoo, recipe_file: Write, attacker: WebServer
) -> None:
    path = recipe_file(_named(attacker.redirect("/w.pt", target)))
    for command in ("fetch", "reproduce"):
        completed = zoo(command, path)
        assert completed.code == 4
        assert "is refused: its scheme is not https; write an https URL of a public host" in completed.err


def test_a_redirect_loop_ends(zoo: Zoo, recipe_file: Write, attacker: WebServer) -> None:
    completed = zoo("fetch", recipe_file(_named(attacker.redirect("/w.pt", "/w.pt"))))
    assert completed.code == 4
    assert "more than 10 redirects" in completed.err


PUBLISHED = {
    "dev_zero": ("file:/dev/zero", "is a file of this machine"),
    "a file outside": ("file:../w.pt", "is a file of this machine"),
    "ssrf_direct": ("http://127.0.0.1:8736/admin/x.pt", "its scheme is not https"),
    "ssrf_https": ("https://127.0.0.2:8736/admin/x.pt", "the host '127.0.0.2' is not a public one"),
    "an archive": ("https://127.0.0.2:8736/admin/x.zip#w.pt", "the host '127.0.0.2' is not a public one"),
    "ip_dec": ("https://2130706433:8735/x.pt", "the host '2130706433' is not a public one"),
    "ipv6": ("https://[::1]:8735/x.pt", "the host '::1' is not a public one"),
    "mapped": ("https://[::ffff:7f00:1]/x.pt", "is not a public one"),
    "localhost": ("https://localhost/x.pt", "the host 'localhost' is not a public one"),
    "metadata": ("https://169.254.169.254/latest/x.pt", "is not a public one"),
}


@pytest.mark.parametrize("attack", PUBLISHED)
def test_a_published_recipe_names_neither_files_nor_local_servers(attack: str, hub_zoo: Zoo, hub: LocalHub) -> None:
    source, words = PUBLISHED[attack]
    hub.add("models", "evil/recipe", {"zoo.yaml": _named(source).encode()})
    for command in ("check", "reproduce", "fetch"):
        completed = hub_zoo(command, "evil/recipe")
        assert completed.code == 2, (command, completed.err)
        assert words in completed.err
        assert PUBLIC in completed.err


def test_a_published_recipe_may_name_a_public_host(hub_zoo: Zoo, hub: LocalHub) -> None:
    hub.add("models", "nice/recipe", {"zoo.yaml": _named("https://example.org/w.pt").encode()})
    completed = hub_zoo("check", "nice/recipe")
    assert completed.code == 0, completed.err


def test_a_name_that_resolves_to_this_machine_is_refused(
    hub_zoo: Zoo, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def getaddrinfo(host: str, *args: object, **options: object) -> object:
        return resolve("127.0.0.1" if host.endswith("example.net") else host, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    hub.add("models", "evil/rebinding", {"zoo.yaml": _named("https://rebinding.example.net/w.pt").encode()})
    completed = hub_zoo("fetch", "evil/rebinding")
    assert "rebinding.example.net is refused: its address is not a public one" in completed.err
    assert completed.code == 4


FORGED = (
    r"x\nesc: reproduced\n  weights: accuracy on test: claimed 0.9900, measured 0.9900:"
    r" reproduced\n::add-mask::secret\n::error::forged\n##[error]forged\n"
)


def _claims(source: str, split: str = "test", metric: str = "accuracy") -> str:
    claim = f'{{of: weights, split: "{split}", metric: "{metric}", value: 0.5, decimals: 1, source: "{source}"}}'
    return _named("embedded:digits-resnet8.safetensors").replace("width: 2", "width: 8") + f"claims: [{claim}]\n"


@pytest.mark.parametrize("command", ["verify", "reproduce", "list", "show", "explain", "check", "doctor"])
@pytest.mark.parametrize(
    "recipe",
    [_claims(FORGED), _claims("x", split=FORGED), _claims("x", metric=FORGED)],
    ids=["source", "split", "metric"],
)
def test_no_recipe_forges_a_line_of_the_output(command: str, recipe: str, zoo: Zoo, recipe_file: Write) -> None:
    completed = zoo(command, recipe_file(recipe))
    printed = completed.out + completed.err
    for line in printed.splitlines():
        assert line.replace("\t", " ").isprintable() or line == ""
        assert not line.lstrip().startswith(("::", "##["))
        assert "##[" not in line
    if command in {"verify", "reproduce"}:
        assert completed.code in {1, 2, 3}
        assert not [line for line in completed.out.splitlines() if line.endswith("measured 0.9900: reproduced")]


def test_json_holds_no_command_of_a_log(zoo: Zoo, recipe_file: Write) -> None:
    completed = zoo("list", recipe_file(_claims(FORGED)), "--json")
    assert "##[" not in completed.out
    assert json.loads(completed.out)["entries"][0]["claims"][0]["source"].count("##[error]forged") == 1


def test_reports_for_ci_show_texts_as_they_are(zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = (
        r"[click](http://evil.example) ![p](http://evil.example/p.png) <script> a | b @everyone #1\n::error::forged"
    )
    summary = Path("summary.md").absolute()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    completed = zoo("verify", recipe_file(_claims("x", split=marked + FORGED)), "--junit", "junit.xml")
    commands = [line for line in completed.lines if line.startswith("::")]
    assert len(commands) == 1
    assert commands[0].startswith("::notice file=tiny.yaml,title=tiny%3A accuracy on [click]")
    assert "::error::forged" not in completed.err.splitlines()
    row = summary.read_text().splitlines()[4]
    assert r"\[click\](http:\//evil.example) !\[p\]" in row
    assert "&lt;script&gt; a \\| b @\u200beveryone #\u200b1 " in row
    (case,) = ET.fromstring(Path("junit.xml").read_bytes()).iter("testcase")  # noqa: S314
    assert case.attrib["name"].isprintable()


def test_one_recipe_that_cannot_be_had_never_stops_the_others(hub_zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    bad = ["evil/nowhere", "nowhere.yaml", "folder.yaml", "loop.yaml"]
    completed = hub_zoo("verify", *bad, "digits-resnet8")
    assert completed.code == 4
    assert "1 reproduced, 4 not-run" in completed.out
    for name in bad:
        assert name in completed.err
        assert hub_zoo("verify", name).code == 4
    for command in ("fetch", "check", "doctor", "list", "lock", "show", "train", "explain", "reproduce", "fingerprint"):
        assert hub_zoo(command, "evil/nowhere").code == 4, command


def _zip(*members: tuple[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that appears twice
        for name, content in members:
            archive.writestr(name, content)
        for name, target in (links or {}).items():
            link = zipfile.ZipInfo(name)
            link.external_attr = 0o120777 << 16
            archive.writestr(link, target)
    return buffer.getvalue()


ARCHIVES = {
    "zip_abs": _zip(("/tmp/owned/w.pt", b"x")),  # noqa: S108
    "zip_slip": _zip(("../../../owned/w.pt", b"x")),
    "zip_esc": _zip(("\x1b[31m/\n::error::x/w.pt", b"x")),
    "zip_two": _zip(("a/w.pt", b"x"), ("b/w.pt", b"y")),
    "zip_twice": _zip(("w.pt", b"x"), ("w.pt", b"y")),
    "zip_bomb": _zip(("w.pt", b"\0" * 50_000_000)),
    "zip_symlink": _zip(links={"w.pt": "/etc/passwd"}),
    "zip_many": _zip(*((f"{number}/x", b"") for number in range(20_000))),
    "no zip": b"not a zip",
    "cut": _zip(("w.pt", b"x" * 1000))[:-30],
    "nothing": b"",
}


@pytest.mark.parametrize("attack", ARCHIVES)
def test_an_archive_writes_nowhere_and_ends_in_a_documented_error(
    attack: str, zoo: Zoo, recipe_file: Write, attacker: WebServer, tmp_path: Path
) -> None:
    attacker.pages["/a.zip"] = Page(pieces=[ARCHIVES[attack]])
    before = set(tmp_path.rglob("*"))
    completed = zoo("reproduce", recipe_file(_named(f"{attacker.url}/a.zip#w.pt")))
    assert completed.code in {2, 4, 5}, completed.err
    assert len(completed.err) < 4000
    assert all(line.isprintable() for line in completed.lines)
    new = {path for path in set(tmp_path.rglob("*")) - before if path.is_file() or path.is_symlink()}
    assert all(
        path.is_relative_to(tmp_path / "home") and not path.is_symlink() for path in new - {tmp_path / "tiny.yaml"}
    )
    assert "root:" not in completed.out + completed.err


ANSWERS = {
    "endless": Page(pieces=repeat(b"\0" * 65536), has_length=False),
    "lies": Page(headers={"Content-Length": str(10**15)}, has_length=False, pieces=[b"x"]),
    "gzip": Page(headers={"Content-Encoding": "gzip"}, pieces=[gzip.compress(b"\0" * 100_000_000)]),
    "retry_after": Page(status=503, headers={"Retry-After": "\xb2"}),
    "no http": Page(raw=True, pieces=[b"SSH-2.0\r\n"]),
    "long header": Page(raw=True, pieces=[b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"]),
    "odd status": Page(raw=True, pieces=[b"HTTP/1.1 999999 \xff\r\n\r\n"]),
    "odd chunks": Page(raw=True, pieces=[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]),
    "odd redirect": Page(status=302, headers={"Location": "http://[\x80"}),
}


@pytest.mark.parametrize("attack", ANSWERS)
def test_any_answer_ends_in_a_documented_error(
    attack: str, zoo: Zoo, recipe_file: Write, attacker: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_DOWNLOAD", "0.002")
    attacker.pages["/w.pt"] = ANSWERS[attack]
    for command in ("fetch", "reproduce"):
        completed = zoo(command, recipe_file(_named(f"{attacker.url}/w.pt")))
        assert completed.code == 4, completed.err
        assert all(line.isprintable() for line in completed.lines)

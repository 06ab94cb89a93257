"""A cache folder: filled while sources are fetched, read without network, damaged, interrupted and shared."""

import io
import json
import shutil
import signal
import socket
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers.hub_client import MODEL, MODEL_FILES, ROWS, TABLES, WEIGHTS, MakeSources, StartFetch, digest, read
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Zoo
from zoo.errors import IntegrityError, MissingError, SourceError, UnreachableError
from zoo.fetch.cache_answers import commit_key, recorded_answer
from zoo.fetch.cache_folder import CacheFolder
from zoo.fetch.cache_reader import read_from
from zoo.fetch.cache_writer import write_to
from zoo.fetch.lock import FilePin, Pin
from zoo.fetch.source_types import HubRepo
from zoo.fetch.sources import Sources
from zoo.recipes.cache_contents import check_cache

TABLE = b"text,label\ngood,1\n"


def zipped(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def cache(tmp_path: Path) -> CacheFolder:
    return CacheFolder(tmp_path / "folder")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hub_sources: MakeSources) -> "MakeSources":
    """Make sources that read a cache folder with an empty home, no cache of the Hub, and no network."""

    def make(cache: CacheFolder) -> Sources:
        def refuse(*_: object) -> None:
            raise AssertionError("a socket was opened")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        monkeypatch.setenv("ZOO_HOME", str(tmp_path / "new home"))
        return read_from(cache, hub_sources(at="http://127.0.0.1:9"))

    return make


def test_every_kind_of_source_is_read_from_a_moved_folder(
    hub: LocalHub, hub_sources: MakeSources, cache: CacheFolder, offline: MakeSources, tmp_path: Path
) -> None:
    hub.plain |= {"table.csv": TABLE, "all.zip": zipped("deep/a.pt", WEIGHTS)}
    commit = hub.add("models", "someone/recipes", {"zoo.yaml": b"name: x\n"})
    table, member = f"{hub.url}/plain/table.csv", f"{hub.url}/plain/all.zip#a.pt"
    wanted = [
        (MODEL, "weights"), (MODEL, "tokenizer"), (TABLES, "data/rte"), (table, "data"), (member, "weights"),
        ("hub:someone/recipes", "zoo.yaml"), (f"hub:someone/recipes@{commit}", "zoo.yaml"),
        ("embedded:digits-resnet8.safetensors", "weights"),
    ]  # fmt: skip
    online = write_to(cache.root, hub_sources())
    expected = [online.fetch(*each) for each in wanted]
    with pytest.raises(MissingError):
        online.fetch(MODEL, "modules.json")
    moved = CacheFolder(Path(shutil.move(cache.root, tmp_path / "moved")))
    shutil.rmtree(tmp_path / "cache")
    sources = offline(moved)
    found = [sources.fetch(*each) for each in wanted]
    assert [(each.sha256, each.files, each.revision, each.locked) for each in found] == [
        (each.sha256, each.files, each.revision, each.locked) for each in expected
    ]
    assert (read(found[0]), found[3].path.suffix, found[3].path.read_bytes()) == (MODEL_FILES, ".csv", TABLE)
    assert (found[2].path / "rte" / "train-0.parquet").read_bytes() == ROWS["rte/train-0.parquet"]
    with pytest.raises(MissingError):
        sources.fetch(MODEL, "modules.json")
    assert all(sources.download_size(*each) == 0 for each in wanted)


@pytest.mark.parametrize(
    ("source", "want"), [("hub:someone/other", "weights"), (MODEL, "tokenizer"), ("https://a.org/b.pt", "weights")]
)
def test_what_is_missing_is_named_with_the_command_that_adds_it(
    source: str, want: str, hub_sources: MakeSources, cache: CacheFolder, offline: MakeSources
) -> None:
    write_to(cache.root, hub_sources()).fetch(MODEL)
    with pytest.raises(UnreachableError) as caught:
        offline(CacheFolder(cache.root, "some-entry")).fetch(source, want)
    message = str(caught.value)
    assert message.startswith(source)
    assert "on a machine with internet, run `zoo fetch some-entry --to DIR`" in message
    assert message.endswith(f"then copy DIR to {cache.root}")


@pytest.mark.parametrize("content", [WEIGHTS[:100], WEIGHTS[:-1] + b"?"])
@pytest.mark.parametrize("is_repository", [True, False])
def test_a_damaged_file_is_refused_and_repaired_by_fetching_again(
    content: bytes,
    is_repository: bool,
    hub: LocalHub,
    hub_sources: MakeSources,
    cache: CacheFolder,
    offline: MakeSources,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub.plain["a.pt"] = WEIGHTS
    source = MODEL if is_repository else f"{hub.url}/plain/a.pt"
    write_to(cache.root, hub_sources()).fetch(source)
    file = cache.file(digest(WEIGHTS))
    file.unlink()
    file.write_bytes(content)
    with monkeypatch.context() as patch:
        patch.setattr("zoo.paths.home", lambda: cache.root.parent / "another home")
        damaged = read_from(cache, hub_sources(at="http://127.0.0.1:9"))
        with pytest.raises(IntegrityError, match=r"expected sha256.* --check"):
            damaged.fetch(source)
    write_to(cache.root, hub_sources()).fetch(source)
    assert file.read_bytes() == WEIGHTS
    assert offline(cache).fetch(source).sha256 == digest(WEIGHTS)


@pytest.mark.parametrize(
    "content", ['{"error": "NewError", "message": "x"}', '{"error": "GatedError"}', "[]", "null", "{}", ""]
)
def test_an_answer_of_the_hub_that_cannot_be_read_is_missing_and_found_by_a_check(
    content: str, hub: LocalHub, hub_sources: MakeSources, cache: CacheFolder
) -> None:
    write_to(cache.root, hub_sources()).fetch(MODEL)
    assert not check_cache(cache, []).damaged
    answer = next(cache.answers.glob("*/commit*.json"))
    answer.write_text(content)
    assert check_cache(cache, []).damaged == [answer.relative_to(cache.root).as_posix()]
    repo = HubRepo.parse(MODEL)
    with pytest.raises(UnreachableError, match="the commit is not in the cache"):
        recorded_answer(cache, repo, commit_key(repo), "the commit")


def test_files_are_stored_once_and_linked_only_to_caches(
    hub: LocalHub, hub_sources: MakeSources, cache: CacheFolder, tmp_path: Path
) -> None:
    hub.add("models", "someone/copy", MODEL_FILES)
    (tmp_path / "cache").mkdir()
    sources = write_to(cache.root, hub_sources())
    fetched = sources.fetch(MODEL)
    sources.fetch("hub:someone/copy")
    stored = sorted(path.name for path in cache.files.rglob("*") if path.is_file())
    assert stored == sorted(map(digest, MODEL_FILES.values()))
    assert cache.file(digest(WEIGHTS)).samefile(fetched.path / "model.safetensors")
    mine = tmp_path / "mine.pt"
    mine.write_bytes(b"mine")
    seen = Pin(files={"mine.pt": FilePin(sha256=digest(b"mine"), size=4)})
    assert sources.cache is not None
    sources.cache.keep("https://a.org/mine.pt", seen, {"mine.pt": mine})
    assert not cache.file(digest(b"mine")).samefile(mine)


def test_fetching_again_changes_nothing(hub: LocalHub, hub_sources: MakeSources, cache: CacheFolder) -> None:
    write_to(cache.root, hub_sources()).fetch(MODEL)
    before = {path: path.stat().st_mtime_ns for path in cache.root.rglob("*")}
    write_to(cache.root, hub_sources()).fetch(MODEL)
    assert {path: path.stat().st_mtime_ns for path in cache.root.rglob("*")} == before


def test_the_pins_of_the_folder_come_before_those_of_this_machine(
    hub: LocalHub, hub_sources: MakeSources, cache: CacheFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_to(cache.root, hub_sources()).fetch(MODEL)
    hub.add("models", "someone/tiny", {**MODEL_FILES, "vocab.txt": b"new"})
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "colleague"))
    newest = hub_sources().fetch(MODEL)
    shared = write_to(cache.root, hub_sources())
    assert shared.fetch(MODEL).revision == shared.fetch(MODEL, "config").revision == first.revision != newest.revision
    assert hub_sources().fetch(MODEL).revision == newest.revision


def test_several_commands_may_fill_one_folder(
    hub: LocalHub, hub_sources: MakeSources, cache: CacheFolder, offline: MakeSources
) -> None:
    names = [f"someone/model{number}" for number in range(6)]
    for number, name in enumerate(names):
        hub.add("models", name, {"config.json": b"{}", "model.safetensors": b"%d" % number * 1000})
    online = [hub_sources() for _ in names]
    with ThreadPoolExecutor(len(names)) as pool:
        writers = list(pool.map(lambda sources: write_to(cache.root, sources), online))
        list(pool.map(lambda pair: pair[0].fetch(f"hub:{pair[1]}"), zip(writers, names, strict=True)))
    sources = offline(cache)
    assert all((sources.fetch(f"hub:{name}").path / "model.safetensors").is_file() for name in names)


FILL = """
from pathlib import Path
from zoo.fetch.cache_writer import write_to
Plain = Sources
Sources = lambda **options: write_to(Path("folder"), Plain(**options))
"""


@pytest.mark.process
def test_a_killed_fetch_is_completed_by_the_next_one(
    hub: LocalHub, hub_sources: MakeSources, start_fetch: StartFetch, cache: CacheFolder, offline: MakeSources
) -> None:
    hub.fault("GET .*/lfs/.*model.safetensors", "stall", at=1000)
    process = start_fetch(MODEL, before=FILL)
    while not any(path.startswith("/lfs") for _, path, _ in hub.requests):
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(UnreachableError):
        read_from(cache, hub_sources(at="http://127.0.0.1:9")).fetch(MODEL)
    write_to(cache.root, hub_sources()).fetch(MODEL)
    assert read(offline(cache).fetch(MODEL)) == MODEL_FILES


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (None, SourceError, "is not a cache of zoo"),
        ("[", IntegrityError, "is damaged"),
        ('{"format": "zoo-cache-9"}', IntegrityError, "reads zoo-cache-1"),
    ],
)
def test_a_folder_that_is_no_cache_is_reported(
    content: str | None, kind: type[SourceError], message: str, cache: CacheFolder
) -> None:
    cache.root.mkdir()
    if content is not None:
        cache.format_file.write_text(content)
    with pytest.raises(kind, match=message):
        cache.pins()


def test_a_folder_with_other_files_is_not_filled(zoo: Zoo) -> None:
    Path("thesis").mkdir()
    Path("thesis/chapter.tex").touch()
    completed = zoo("fetch", "digits-resnet8", "--to", "thesis")
    assert (completed.code, "it has chapter.tex" in completed.err) == (4, True)


def test_the_pins_hold_no_path_and_no_address(
    hub: LocalHub, hub_sources: MakeSources, cache: CacheFolder, tmp_path: Path
) -> None:
    write_to(cache.root, hub_sources()).fetch(MODEL)
    text = cache.trusted.read_text()
    assert str(tmp_path) not in text
    assert hub.url not in text
    assert list(json.loads(text)["endpoints"]["cache"]) == [MODEL]

"""Files by URL: downloaded, verified against the lock, taken from a mirror by content; what a server can do wrong."""

import errno
import gc
import hashlib
import io
import shutil
import zipfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT, Write, Zoo
from zoo.errors import IntegrityError, MissingError, SourceError, UsageError
from zoo.fetch import urls, weights_file
from zoo.fetch.hub import Hub
from zoo.fetch.lock import FilePin, Lock, Pin, read_lock
from zoo.fetch.mirror import Mirror
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue, prefetch
from zoo.recipes.build import Builder

DATA = b"not very many weights" * 9_000
SHA = hashlib.sha256(DATA).hexdigest()
Make = Callable[..., Sources]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalHub]:
    with LocalHub() as found:
        found.plain["weights.pt"] = DATA
        yield found


@pytest.fixture
def url(server: LocalHub) -> Iterator[str]:
    server.faults.clear()
    server.requests.clear()
    yield f"{server.url}/plain/weights.pt"
    server.faults.clear()


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_DEADLINE", "3")

    def make(pins: dict[str, Pin] | None = None, mirror: Path | None = None) -> Sources:
        lock = Lock(tmp_path / "zoo.lock", pins or {}, tmp_path / "home" / "trusted.json")
        hub = Hub(deadline=3)
        hub.cache = tmp_path / "cache"
        return Sources(lock=lock, hub=hub, mirror=Mirror(mirror) if mirror else None)

    return make


def pinned(url: str, **pin: object) -> dict[str, Pin]:
    return {url: Pin(files={"weights.pt": FilePin(**pin)})}  # type: ignore[arg-type]


def test_a_file_is_downloaded_once_and_trusted_on_first_use(url: str, server: LocalHub, sources: Make) -> None:
    said: list[str] = []
    first = sources()
    first.say = said.append
    fetched = first.fetch(url)
    assert (fetched.path.read_bytes(), fetched.sha256, fetched.files) == (DATA, SHA, {url: SHA})
    assert said == [f"{url}: trusted on first use"]
    assert sources().fetch(url).path == fetched.path
    assert [method for method, *_ in server.requests] == ["GET"]
    assert first.pinned_by(url) == "first use"


def test_what_was_seen_first_is_enforced(url: str, server: LocalHub, sources: Make) -> None:
    sources().fetch(url).path.unlink()
    server.plain["weights.pt"] = DATA[::-1]
    try:
        with pytest.raises(IntegrityError, match=f"expected sha256 {SHA}, found sha256 "):
            sources().fetch(url)
    finally:
        server.plain["weights.pt"] = DATA


@pytest.mark.parametrize(
    ("pin", "expected"),
    [
        ({"sha256": SHA, "size": len(DATA)}, None),
        ({"sha256_prefix": SHA[:8]}, None),
        ({"sha256": "0" * 64}, f"sha256 {'0' * 64}"),
        ({"sha256_prefix": "00000000"}, "a sha256 that begins with 00000000"),
        ({"size": 7}, "7 bytes"),
    ],
)
def test_the_lock_says_which_bytes_a_url_is(
    pin: dict[str, object], expected: str | None, url: str, sources: Make
) -> None:
    found = sources(pinned(url, **pin))
    if expected is None:
        assert found.fetch(url).locked == ("sha256" in pin)
        assert found.pinned_by(url) == ("lock" if "sha256" in pin else "first use")
    else:
        with pytest.raises(IntegrityError, match=f"expected {expected}, found sha256 {SHA}"):
            found.fetch(url)


FAULTS: dict[str, tuple[str, dict[str, object]]] = {
    "503": ("status", {"status": 503}),
    "429": ("status", {"status": 429, "headers": {"Retry-After": "1"}}),
    "closed": ("close", {}),
    "cut": ("drop", {"at": 70_000}),
    "one byte": ("corrupt", {"at": 3}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_is_tried_again(fault: str, url: str, server: LocalHub, sources: Make) -> None:
    action, options = FAULTS[fault]
    server.fault("GET /plain", action, **options)  # type: ignore[arg-type]
    told = 0

    def moved(length: int) -> None:
        nonlocal told
        told += length

    found = sources(pinned(url, sha256=SHA))
    found.urls.on_bytes = moved
    assert found.fetch(url).path.read_bytes() == DATA
    assert told == len(DATA) * (2 if fault == "one byte" else 1)  # what is begun anew brings no new byte


STAYS: dict[str, tuple[str, dict[str, object], str]] = {
    "503": ("status", {"status": 503}, "status 503"),
    "404": ("status", {"status": 404}, "status 404"),
    "403": ("status", {"status": 403}, "status 403"),
    "silent": ("stall", {}, "no byte came in time|ConnectionError"),
    "stalled": ("stall", {"at": 70_000}, "no byte came in time|ConnectionError"),
    "closed": ("close", {}, "ConnectionError"),
}


@pytest.mark.parametrize("fault", STAYS)
def test_what_stays_wrong_is_told_by_the_deadline(fault: str, url: str, server: LocalHub, sources: Make) -> None:
    action, options, message = STAYS[fault]
    server.fault("GET /plain", action, times=100, **options)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match=f"weights.pt: not served in [0-9.]+ s: ({message})") as raised:
        sources().fetch(url)
    assert float(str(raised.value).split("not served in ")[1].split(" ")[0]) < 9
    folder = sources().lock.own.parent / "downloads"
    assert not list(folder.iterdir())
    assert sources().known(url) == Pin()


def test_a_server_that_does_not_answer_is_asked_once(sources: Make) -> None:
    found = sources()
    for name in ("one.pt", "two.pt"):
        with pytest.raises(SourceError, match="not served in"):
            found.fetch(f"http://127.0.0.1:9/{name}")
    assert len(found.urls.down) == 1


def test_offline_nothing_is_asked(url: str, server: LocalHub, sources: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match="HF_HUB_OFFLINE is set"):
        sources().fetch(url)
    assert not server.requests


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told(url: str, sources: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(SourceError, match="No space left on device"):
        sources().fetch(url)


NO_URLS = ["https://", "https://host", "http://example.com/x.pt", "'https://[x/y.pt'", "https://host/x.pt#y",
           "https://host/x.zip#", "https://host/#x.zip"]  # fmt: skip


@pytest.mark.parametrize("written", NO_URLS)
def test_a_url_that_is_none_is_a_problem_of_the_recipe(written: str, zoo: Zoo, recipe_file: Write) -> None:
    assert urls.problem(written.strip("'"))
    ended = zoo("check", recipe_file(recipe_file().read_text() + f"weights: {written}\n"))
    assert (ended.code, len(ended.lines)) == (2, 1)


def test_a_mirror_gives_by_content_what_is_locked(url: str, server: LocalHub, sources: Make, tmp_path: Path) -> None:
    folder = tmp_path / "mirror" / "deep"
    folder.mkdir(parents=True)
    (folder / "under another name").write_bytes(DATA)
    (folder / "weights.pt").write_bytes(b"x" * len(DATA))
    found = sources(pinned(url, sha256=SHA, size=len(DATA)), tmp_path / "mirror")
    assert found.missing(url, "weights") == 0
    assert found.fetch(url).path == folder / "under another name"
    assert not server.requests
    unknown = sources(mirror=tmp_path / "mirror")
    assert unknown.missing(url, "weights") == len(DATA)
    assert unknown.fetch(url).path.parent.name == "downloads"


def test_a_mirror_gives_the_files_of_a_repository_too(server: LocalHub, sources: Make, tmp_path: Path) -> None:
    files = {"config.json": b"{}", "model.safetensors": b"weights"}
    commit = server.add("models", "someone/mirrored", files)
    (tmp_path / "mirror").mkdir()
    for number, content in enumerate(files.values()):
        (tmp_path / "mirror" / str(number)).write_bytes(content)
    pins = {name: FilePin(sha256=hashlib.sha256(content).hexdigest()) for name, content in files.items()}
    pin = Pin(revision=commit, files=pins, wants={"weights": tuple(files)})
    found = sources({"hub:someone/mirrored": pin}, tmp_path / "mirror")
    found.hub.endpoint = "http://127.0.0.1:9"
    fetched = found.fetch("hub:someone/mirrored")
    assert (fetched.path / "model.safetensors").read_bytes() == b"weights"
    assert fetched.locked


def test_a_file_of_a_mirror_is_never_removed(url: str, sources: Make, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "mine").write_bytes(DATA)
    found = sources(pinned(url, sha256=SHA, sha256_prefix="00000000"), tmp_path / "mirror")
    with pytest.raises(IntegrityError, match="begins with 00000000"):
        found.fetch(url)
    assert (tmp_path / "mirror" / "mine").read_bytes() == DATA


def test_safetensors_are_told_by_their_content(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "under another name")
    assert torch.equal(weights_file.read(tmp_path / "under another name")["a"], torch.ones(2))
    torch.save({"a": torch.ones(2)}, tmp_path / "pickled.safetensors")
    assert torch.equal(weights_file.read(tmp_path / "pickled.safetensors")["a"], torch.ones(2))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what is given up leaves a socket open
def test_a_download_is_given_up_when_it_is_interrupted(url: str, server: LocalHub, sources: Make) -> None:
    server.fault("GET /plain", "slow", piece=70_000, delay=0.2)
    found = sources()
    found.urls.on_bytes = lambda _: setattr(found.urls, "stopped", True)
    with pytest.raises(SourceError, match="given up"):
        found.fetch(url)
    gc.collect()


def test_a_lock_is_renewed_from_the_server_and_not_from_what_was_kept(
    url: str, server: LocalHub, zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_LOCK", str(tmp_path / "own.lock"))
    path = recipe_file(recipe_file().read_text() + f"weights: {url}\n")
    assert zoo("fetch", path).code == 0
    (kept,) = (tmp_path / "home" / "downloads").iterdir()
    kept.write_bytes(b"damaged")
    assert SHA in zoo("lock", "--update", path).out
    assert f'"sha256": "{SHA}"' in (tmp_path / "own.lock").read_text()


def test_a_mirror_that_is_not_there_is_told(zoo: Zoo) -> None:
    ended = zoo("reproduce", "akamaster-resnet20-cifar10", "--mirror", "nowhere")
    assert ended.code == 4
    assert "nowhere: the mirror is no folder" in ended.err


def test_every_server_is_named_in_the_committed_lock_and_prefixes_are_those_of_the_names() -> None:
    pins = {source: pin for source, pin in read_lock().pins.items() if source.startswith("https://")}
    assert len([source for source in pins if "torchdistill/releases" in source]) == 17 + 2
    for source, pin in pins.items():
        for name, file in pin.files.items():
            assert source.endswith(f"/{name}")
            assert (file.sha256_prefix or str(file.sha256)[:8]) in name


def test_another_lock_keeps_what_is_on_no_hub(tmp_path: Path) -> None:
    own = read_lock(tmp_path / "own.lock")
    assert own.pins == {}
    assert own.others.keys() == {source for source in read_lock().pins if not source.startswith("hub:")}
    assert own.locked("embedded:") == read_lock().locked("embedded:")


def test_urls_are_locked_and_fetched_by_name(
    url: str, zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe_file(recipe_file().read_text() + f"weights: {url}\n")
    monkeypatch.setenv("ZOO_LOCK", str(tmp_path / "own.lock"))
    fetched = zoo("fetch", path)
    assert (fetched.code, "first use" in fetched.out) == (0, True), fetched.err
    assert f"+ {url} weights.pt sha256 {SHA} size {len(DATA)}" in zoo("lock", "--update", path).out
    shown = zoo("lock", path).out.splitlines()
    assert any(url in line and line.rstrip().endswith("lock") for line in shown)
    assert read_lock(tmp_path / "own.lock").pins.keys() == {url}
    checked = Builder(sources=Sources(lock=read_lock(tmp_path / "own.lock")))
    assert prefetch.unlocked([catalogue.local(path)], checked) == []
    (said,) = prefetch.unlocked([], checked)
    assert said.endswith(f"{url} is in the lock and named by no recipe")


KD, AT = (hashlib.shake_256(name).digest(50_000) for name in (b"kd", b"at"))
MEMBERS = {"all/kd/model.pt": KD, "all/at/model.pt": AT, "all/readme.txt": b"x", "../../up.pt": b"y"}


def zipped(members: dict[str, bytes] = MEMBERS, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.mkdir("all")
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


ZIP = zipped()


@pytest.fixture
def archive(url: str, server: LocalHub) -> Iterator[str]:
    server.plain["all.zip"] = ZIP
    yield url.replace("weights.pt", "all.zip")
    del server.plain["all.zip"]


def of_archive(url: str, content: bytes = ZIP) -> dict[str, Pin]:
    return {url: Pin(files={"all.zip": FilePin(sha256=hashlib.sha256(content).hexdigest(), size=len(content))})}


def test_files_of_an_archive_share_its_download_and_its_pin(archive: str, server: LocalHub, sources: Make) -> None:
    said: list[str] = []
    first = sources()
    first.say = said.append
    wanted = [f"{archive}#{name}" for name in ("kd/model.pt", "all/at/model.pt", "at/model.pt")]
    assert first.missing(wanted[0], "weights") == len(ZIP)
    got = prefetch.prefetch([prefetch.Need(source, "weights") for source in wanted], first)
    for (need, fetched), content in zip(got, (KD, AT, AT), strict=True):
        assert not isinstance(fetched, Exception)
        digest = hashlib.sha256(content).hexdigest()
        assert (fetched.path.read_bytes(), fetched.sha256, fetched.locked) == (content, digest, False)
        assert fetched.files == {need.source: digest}
        assert first.pinned_by(need.source) == "first use"
    assert said == [f"{archive}: trusted on first use"]
    assert first.lock.all_trusted() == of_archive(archive)
    assert [method for method, *_ in server.requests].count("GET") == 1
    assert sources(of_archive(archive)).fetch(wanted[0]).locked
    assert sources().missing(wanted[0], "weights") == 0


def test_a_damaged_file_of_an_archive_is_read_out_again(archive: str, server: LocalHub, sources: Make) -> None:
    path = sources().fetch(f"{archive}#kd/model.pt").path
    kept, before = path.stat().st_ino, list(server.requests)
    assert sources().fetch(f"{archive}#kd/model.pt").path.stat().st_ino == kept
    path.write_bytes(KD[:-1] + b"?")
    assert sources().fetch(f"{archive}#kd/model.pt").path.read_bytes() == KD
    assert server.requests == before


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("ad/model.pt", "has no file 'ad/model.pt'; it has 'all/kd/model.pt', 'all/at/model.pt', "),
        ("odel.pt", "has no file 'odel.pt'; it has "),
        ("all", "has no file 'all'; it has "),
        ("model.pt", "has 2 files that are 'model.pt'; it has 'all/kd/model.pt', 'all/at/model.pt', "),
    ],
)
def test_no_file_or_several_are_told_with_what_there_is(member: str, said: str, archive: str, sources: Make) -> None:
    with pytest.raises(MissingError) as raised:
        sources().fetch(f"{archive}#{member}")
    told = str(raised.value)
    assert told.startswith(f"{archive} {said}")
    assert sorted(told.partition("; it has ")[2].split(", ")) == sorted(map(repr, MEMBERS))


def test_a_file_of_an_archive_is_kept_under_a_name_of_ours(archive: str, sources: Make, tmp_path: Path) -> None:
    found = sources()
    fetched = found.fetch(f"{archive}#../../up.pt")
    assert fetched.path.read_bytes() == b"y"
    assert fetched.path.parent == tmp_path / "home" / "downloads"
    assert fetched.path.name.endswith("-up.pt")
    files = {path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "home"}
    assert {path.parent for path in files} == {fetched.path.parent}


def _broken(at: int) -> bytes:
    return ZIP[:at] + bytes([ZIP[at] ^ 255]) + ZIP[at + 1 :]


DAMAGED = {
    "its content": (_broken(ZIP.index(b"all/kd/model.pt") + 100), ""),
    "its checksum": (_broken(ZIP.index(b"all/kd/model.pt") - 16), "Bad CRC-32"),
    "its directory": (_broken(ZIP.rindex(b"all/kd/model.pt") - 46), "magic number"),
    "another packing": (zipped({"kd/model.pt": bytes(1_000)}, zipfile.ZIP_BZIP2), "is packed by method 12"),
    "a bomb": (zipped({"kd/model.pt": bytes(1_000_000)}), "unpacks to 1,000,000 bytes, from an archive of 1,"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_archive_is_told(damage: str, archive: str, server: LocalHub, sources: Make) -> None:
    content, said = DAMAGED[damage]
    if damage == "its checksum":  # as its directory has it
        place = ZIP.rindex(b"all/kd/model.pt") - 30
        content = ZIP[:place] + bytes(4) + ZIP[place + 4 :]
    server.plain["all.zip"] = content
    with pytest.raises(IntegrityError, match=f"#kd/model.pt: .*{said}"):
        sources(of_archive(archive, content)).fetch(f"{archive}#kd/model.pt")
    folder = sources().lock.own.parent / "downloads"
    assert [path.read_bytes() for path in folder.iterdir()] == [content]


@pytest.mark.parametrize("content", [b"<html>soon</html>", ZIP[:-30]], ids=["a page", "cut"])
def test_what_is_no_archive_is_asked_for_twice_and_never_pinned(
    content: bytes, archive: str, server: LocalHub, sources: Make
) -> None:
    server.plain["all.zip"] = content
    with pytest.raises(IntegrityError, match=r"all\.zip: expected a zip archive, found sha256"):
        sources().fetch(f"{archive}#kd/model.pt")
    assert not sources().known(archive).files
    server.plain["all.zip"] = ZIP
    assert sources().fetch(f"{archive}#kd/model.pt").path.read_bytes() == KD


def test_an_archive_of_other_content_is_asked_for_twice_and_refused(
    archive: str, server: LocalHub, sources: Make
) -> None:
    found = sources(of_archive(archive, DATA))
    for member in ("kd/model.pt", "at/model.pt"):
        with pytest.raises(IntegrityError, match=f"all.zip: expected sha256 {SHA}, found sha256 "):
            found.fetch(f"{archive}#{member}")
    assert [method for method, *_ in server.requests] == ["GET", "GET"]
    assert not any(sources().lock.own.parent.rglob("*.zip"))


def test_a_mirror_gives_an_archive(archive: str, server: LocalHub, sources: Make, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "under another name").write_bytes(ZIP)
    found = sources(of_archive(archive), tmp_path / "mirror")
    assert found.missing(f"{archive}#kd/model.pt", "weights") == 0
    assert found.fetch(f"{archive}#kd/model.pt").path.read_bytes() == KD
    assert not server.requests


def test_a_full_disk_is_told_of_a_file_of_an_archive(
    archive: str, sources: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = sources()
    found.fetch(archive)
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(SourceError, match=r"#kd/model.pt: cannot be kept in .*No space left on device"):
        found.fetch(f"{archive}#kd/model.pt")


def test_archives_are_locked_and_fetched_by_their_own_name(
    archive: str, zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe_file(recipe_file().read_text() + f"weights: {archive}#kd/model.pt\n")
    monkeypatch.setenv("ZOO_LOCK", str(tmp_path / "own.lock"))
    digest = hashlib.sha256(ZIP).hexdigest()
    assert f"+ {archive} all.zip sha256 {digest} size {len(ZIP)}" in zoo("lock", "--update", path).out
    assert f"{archive}#kd/model.pt" in zoo("lock", path).out
    fetched = zoo("fetch", path)
    assert (fetched.code, f"{len(ZIP) / 1e6:,.1f} MB to download" in fetched.err) == (0, True)
    ended = zoo("reproduce", path)
    assert (ended.code, "not a file of tensors only" in ended.err) == (2, True)


def test_an_archive_is_in_the_lock_and_counted_once_for_all_of_its_files(
    archive: str, sources: Make, recipe_file: Write
) -> None:
    wanted = [f"{archive}#{name}" for name in ("kd/model.pt", "at/model.pt")]
    text = recipe_file().read_text()
    entries = [catalogue.local(recipe_file(f"{text}weights: {source}\n", name=source[-11:-9])) for source in wanted]
    found, sizes = sources(of_archive(archive)), list[int]()
    assert prefetch.unlocked(entries, Builder(sources=found)) == []
    (said,) = prefetch.unlocked([], Builder(sources=found))
    assert said.endswith(f": {archive} is in the lock and named by no recipe")
    (said,) = prefetch.unlocked(entries[:1], Builder(sources=sources()))
    assert said.endswith(f": {archive} is named by a recipe and not in the lock")
    prefetch.prefetch([prefetch.Need(source, "weights") for source in wanted], sources(), sizes.append)
    assert sizes == [len(ZIP)]


STATE = {"layer.weight": torch.ones(2, 3), "layer.bias": torch.zeros(2)}
LAYOUTS = {
    "a state dict": STATE,
    "at model": {"model": STATE, "epoch": 3, "args": Namespace(lr=0.1, name="x"), "best_value": 91.9},
    "at state_dict": {"state_dict": STATE, "best_prec1": torch.tensor(91.8)},
    "of DataParallel": {f"module.{name}": value for name, value in STATE.items()},
    "of both": {"state_dict": {f"module.{name}": value for name, value in STATE.items()}},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_checkpoint_is_read_whatever_its_layout(layout: str, tmp_path: Path) -> None:
    torch.save(LAYOUTS[layout], tmp_path / "x.pt")
    found = weights_file.read(tmp_path / "x.pt")
    assert found.keys() == STATE.keys()
    assert all(torch.equal(value, STATE[name]) for name, value in found.items())


class Command:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (Path("executed"),)  # type: ignore[return-value]


@pytest.mark.parametrize(
    "value", [Command(), {"args": Command(), "model": STATE}, Namespace(run=Command()), 7, {"a": 1}]
)
def test_nothing_else_is_unpickled(value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(value, tmp_path / "x.pt")
    with pytest.raises(UsageError):
        weights_file.read(tmp_path / "x.pt")
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_of_another_architecture_is_told_by_three_tensors(zoo: Zoo, tmp_path: Path) -> None:
    torch.save({"model": {f"features.{i}.weight": torch.ones(1) for i in range(9)}}, tmp_path / "x.pt")
    ended = zoo("evaluate", tmp_path / "x.pt", "--as", "digits-resnet8")
    assert ended.code == 2
    assert (
        "x.pt: the weights do not fit the model: missing conv1.weight; missing bn1.weight; missing bn1.bias (and"
        in (ended.err)
    )


def test_weights_of_before_2018_lack_a_counter(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
    old = {name: value + 1 for name, value in model.state_dict().items() if "num_batches" not in name}
    torch.save(old, tmp_path / "x.pt")
    weights_file.load_into(model, tmp_path / "x.pt")
    assert torch.equal(model.state_dict()["0.weight"], torch.full((2,), 2.0))


def test_a_part_starts_from_the_part_of_a_checkpoint(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    """The starter's ResNet-14 gives its first stage to a deeper one; what is trained goes on from there."""
    given = load_file(ROOT / "zoo" / "starter" / "digits-resnet14.safetensors")
    model = "{use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}"
    deeper = "{use: cifar_resnet, depth: 14, width: 16, num_classes: 10, in_channels: 1}"
    call = (
        f"{{use: pretrained, model: {deeper}, weights: embedded:digits-resnet14.safetensors, part: layer1, of: layer1}}"
    )
    stage = "    trainable: [fc]\n    clip_norm: 1.0\n"
    path = recipe_file(recipe_file().read_text(), (model, call), ("    clip_norm: 1.0\n", stage))
    assert zoo("check", path).code == 0
    ended = zoo("train", path, "--out", "run")
    assert ended.code == 0, ended.err
    trained: dict[str, Tensor] = load_file(tmp_path / "run" / "model.safetensors")
    assert torch.equal(trained["layer1.0.conv1.weight"], given["layer1.0.conv1.weight"])
    assert not torch.equal(trained["layer2.0.conv1.weight"], given["layer2.0.conv1.weight"])
    for written in ("of: layer9", "part: layer2, of: layer1"):
        wrong = recipe_file(path.read_text(), ("part: layer1, of: layer1", written), name="wrong.yaml")
        ended = zoo("train", wrong)
        assert ended.code == 2, ended.err
        shutil.rmtree(tmp_path / "home", ignore_errors=True)

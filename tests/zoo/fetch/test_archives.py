"""Files in zip archives: downloaded and verified once with their archive, extracted safely."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.hub_server import LocalHub
from tests.helpers.plain_server import DATA, SHA, MakeUrlSources, raise_disk_full
from tests.helpers.project import Write, Zoo
from zoo.errors import IntegrityError, MissingError, SourceError
from zoo.fetch.lock import FilePin, Pin
from zoo.recipes import catalogue, locking, prefetch
from zoo.recipes.build import Builder

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


def test_files_of_an_archive_share_its_download_and_its_pin(
    archive: str, server: LocalHub, url_sources: MakeUrlSources
) -> None:
    reports: list[str] = []
    first = url_sources()
    first.report = reports.append
    wanted = [f"{archive}#{name}" for name in ("kd/model.pt", "all/at/model.pt", "at/model.pt")]
    assert first.download_size(wanted[0], "weights") == len(ZIP)
    got = prefetch.prefetch([prefetch.Need(source, "weights") for source in wanted], first)
    for (need, fetched), content in zip(got, (KD, AT, AT), strict=True):
        assert not isinstance(fetched, Exception)
        digest = hashlib.sha256(content).hexdigest()
        assert (fetched.path.read_bytes(), fetched.sha256, fetched.locked) == (content, digest, False)
        assert fetched.files == {need.source: digest}
        assert first.pinned_by(need.source) == "first use"
    assert reports == [f"{archive}: trusted on first use"]
    assert first.lock.all_trusted() == of_archive(archive)
    assert [method for method, *_ in server.requests].count("GET") == 1
    assert url_sources(of_archive(archive)).fetch(wanted[0]).locked
    assert url_sources().download_size(wanted[0], "weights") == 0


def test_a_damaged_extracted_file_is_extracted_again(
    archive: str, server: LocalHub, url_sources: MakeUrlSources
) -> None:
    path = url_sources().fetch(f"{archive}#kd/model.pt").path
    inode, before = path.stat().st_ino, list(server.requests)
    assert url_sources().fetch(f"{archive}#kd/model.pt").path.stat().st_ino == inode
    path.write_bytes(KD[:-1] + b"?")
    assert url_sources().fetch(f"{archive}#kd/model.pt").path.read_bytes() == KD
    assert server.requests == before


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("ad/model.pt", "has no file 'ad/model.pt'; it has 'all/kd/model.pt', 'all/at/model.pt', "),
        ("odel.pt", "has no file 'odel.pt'; it has "),
        ("all", "has no file 'all'; it has "),
        ("model.pt", "has 2 files whose path ends with 'model.pt'; it has 'all/kd/model.pt', 'all/at/model.pt', "),
    ],
)
def test_a_member_that_is_missing_or_ambiguous_is_reported_with_the_archives_files(
    member: str, message: str, archive: str, url_sources: MakeUrlSources
) -> None:
    with pytest.raises(MissingError) as raised:
        url_sources().fetch(f"{archive}#{member}")
    problem = str(raised.value)
    assert problem.startswith(f"{archive} {message}")
    assert sorted(problem.partition("; it has ")[2].split(", ")) == sorted(map(repr, MEMBERS))


def test_an_archive_cannot_choose_where_a_file_is_extracted_to(
    archive: str, url_sources: MakeUrlSources, tmp_path: Path
) -> None:
    sources = url_sources()
    fetched = sources.fetch(f"{archive}#../../up.pt")
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
def test_a_damaged_archive_is_an_integrity_error(
    damage: str, archive: str, server: LocalHub, url_sources: MakeUrlSources
) -> None:
    content, message = DAMAGED[damage]
    if damage == "its checksum":  # as its directory has it
        place = ZIP.rindex(b"all/kd/model.pt") - 30
        content = ZIP[:place] + bytes(4) + ZIP[place + 4 :]
    server.plain["all.zip"] = content
    with pytest.raises(IntegrityError, match=f"#kd/model.pt: .*{message}"):
        url_sources(of_archive(archive, content)).fetch(f"{archive}#kd/model.pt")
    folder = url_sources().lock.trust_file.parent / "downloads"
    assert [path.read_bytes() for path in folder.iterdir()] == [content]


@pytest.mark.parametrize("content", [b"<html>soon</html>", ZIP[:-30]], ids=["a page", "cut"])
def test_a_download_that_is_not_an_archive_is_never_pinned(
    content: bytes, archive: str, server: LocalHub, url_sources: MakeUrlSources
) -> None:
    server.plain["all.zip"] = content
    with pytest.raises(IntegrityError, match=r"all\.zip: expected a zip archive, found sha256"):
        url_sources().fetch(f"{archive}#kd/model.pt")
    assert not url_sources().known_pin(archive).files
    server.plain["all.zip"] = ZIP
    assert url_sources().fetch(f"{archive}#kd/model.pt").path.read_bytes() == KD


def test_an_archive_with_a_wrong_digest_is_downloaded_twice_and_refused(
    archive: str, server: LocalHub, url_sources: MakeUrlSources
) -> None:
    sources = url_sources(of_archive(archive, DATA))
    for member in ("kd/model.pt", "at/model.pt"):
        with pytest.raises(IntegrityError, match=f"all.zip: expected sha256 {SHA}, found sha256 "):
            sources.fetch(f"{archive}#{member}")
    assert [method for method, *_ in server.requests] == ["GET", "GET"]
    assert not any(url_sources().lock.trust_file.parent.rglob("*.zip"))


def test_an_archive_comes_from_the_mirror(
    archive: str, server: LocalHub, url_sources: MakeUrlSources, tmp_path: Path
) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "under another name").write_bytes(ZIP)
    sources = url_sources(of_archive(archive), tmp_path / "mirror")
    assert sources.download_size(f"{archive}#kd/model.pt", "weights") == 0
    assert sources.fetch(f"{archive}#kd/model.pt").path.read_bytes() == KD
    assert not server.requests


def test_a_full_disk_is_reported_for_an_extracted_file(
    archive: str, url_sources: MakeUrlSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = url_sources()
    sources.fetch(archive)
    monkeypatch.setattr(Path, "replace", raise_disk_full)
    with pytest.raises(SourceError, match=r"#kd/model.pt: cannot be stored in .*No space left on device"):
        sources.fetch(f"{archive}#kd/model.pt")


def test_archives_are_locked_and_fetched(
    archive: str, zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe_file(recipe_file().read_text() + f"weights: {archive}#kd/model.pt\n")
    monkeypatch.setenv("ZOO_LOCK", str(tmp_path / "other.lock"))
    digest = hashlib.sha256(ZIP).hexdigest()
    assert f"+ {archive} all.zip sha256 {digest} size {len(ZIP)}" in zoo("lock", "--update", path).out
    assert f"{archive}#kd/model.pt" in zoo("lock", path).out
    fetched = zoo("fetch", path)
    assert (fetched.code, f"{len(ZIP) / 1e6:,.1f} MB to download" in fetched.err) == (0, True)
    completed = zoo("reproduce", path)
    assert (completed.code, "not a file of tensors only" in completed.err) == (2, True)


def test_an_archive_is_locked_and_counted_once_for_all_of_its_files(
    archive: str, url_sources: MakeUrlSources, recipe_file: Write
) -> None:
    wanted = [f"{archive}#{name}" for name in ("kd/model.pt", "at/model.pt")]
    text = recipe_file().read_text()
    entries = [catalogue.local(recipe_file(f"{text}weights: {source}\n", name=source[-11:-9])) for source in wanted]
    sources, sizes = url_sources(of_archive(archive)), list[prefetch.DownloadSize]()
    needed, _ = prefetch.needs_of_all(entries, Builder(sources=sources), train=True)
    assert locking.lock_problems(needed, Builder(sources=sources)) == []
    (problem,) = locking.lock_problems([], Builder(sources=sources))
    assert problem.endswith(f": {archive} is in the lock and named by no recipe")
    (problem,) = locking.lock_problems(needed[:1], Builder(sources=url_sources()))
    assert problem.endswith(f": {archive} is named by a recipe and not in the lock")
    prefetch.prefetch([prefetch.Need(source, "weights") for source in wanted], url_sources(), sizes.append)
    assert sizes == [prefetch.DownloadSize(known=len(ZIP), unknown=0)]

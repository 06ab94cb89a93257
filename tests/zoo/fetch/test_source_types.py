"""Sources as typed values: parsed once, and written back as the same text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import UsageError
from zoo.fetch.source_types import (
    SCHEMES,
    ArchiveMember,
    Embedded,
    HubRepo,
    LocalFile,
    ParsedSource,
    RecipeRepo,
    Url,
    UserFolder,
    is_source,
    parse_or_none,
    parse_source,
    pinned_source,
)
from zoo.fetch.sources import Sources

PATHS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)
NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
URLS = NAMES.map(lambda name: Url(f"https://example.org/{name}.pt"))
ARCHIVES = st.builds(ArchiveMember, NAMES.map(lambda name: Url(f"https://example.org/{name}.zip")), NAMES)
SOURCES = st.one_of(
    st.builds(Embedded, NAMES), st.builds(LocalFile, PATHS), st.builds(UserFolder, NAMES),
    st.builds(
        HubRepo,
        st.sampled_from(["model", "dataset"]),
        st.builds("{}/{}".format, NAMES.filter(lambda name: name != "datasets"), NAMES),
        st.none() | NAMES,
    ),
    st.just(RecipeRepo()), URLS, ARCHIVES,
)  # fmt: skip


@given(SOURCES)
def test_a_source_is_parsed_from_its_own_text(source: ParsedSource) -> None:
    assert parse_source(str(source)) == source
    assert is_source(str(source))


@given(st.sampled_from(SCHEMES), st.text(max_size=30) | st.text("a/.@#:", max_size=12))
def test_every_text_that_parses_is_written_back_unchanged(scheme: str, rest: str) -> None:
    source = parse_or_none(scheme + rest)
    assert source is None or str(source) == scheme + rest


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("embedded:vocab.txt", Embedded("vocab.txt")),
        ("file:~/weights.pt", LocalFile("~/weights.pt")),
        ("hub:owner/name", HubRepo("model", "owner/name")),
        ("hub:owner/name@v1.0", HubRepo("model", "owner/name", "v1.0")),
        ("hub:datasets/owner/name", HubRepo("dataset", "owner/name")),
        ("hub:.", RecipeRepo()),
        ("data:ilsvrc2012", UserFolder("ilsvrc2012")),
        ("https://a.b/c.pt", Url("https://a.b/c.pt")),
        ("https://a.b/c.zip#d/e.pt", ArchiveMember(Url("https://a.b/c.zip"), "d/e.pt")),
        ("http://localhost:80/c.pt", Url("http://localhost:80/c.pt")),
    ],
)
def test_each_scheme_has_its_type(text: str, source: ParsedSource) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("weights.pt", "write embedded:NAME or file:NAME"),
        ("ftp://host/x.pt", "write embedded:NAME or file:NAME"),
        ("file:", "write embedded:NAME or file:NAME"),
        ("hub:name", r"write hub:\[datasets/\]OWNER/NAME"),
        ("hub:owner/name@", r"write hub:\[datasets/\]OWNER/NAME"),
        ("https://host", "write https://HOST/PATH"),
        ("https://host/x.pt#member", "write https://HOST/PATH.zip#MEMBER"),
        ("http://example.org/x.pt", "write https://"),
    ],
)
def test_a_malformed_source_is_an_error_that_shows_the_right_form(text: str, advice: str) -> None:
    with pytest.raises(UsageError, match=advice):
        parse_source(text)


def test_a_file_in_an_archive_is_pinned_by_its_archive() -> None:
    assert pinned_source(parse_source("https://a.b/c.zip#d.pt")) == Url("https://a.b/c.zip")
    assert pinned_source(HubRepo("model", "a/b")) == HubRepo("model", "a/b")


def test_only_a_full_commit_counts_as_a_commit() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert HubRepo("model", "a/b", commit).commit == commit
    assert HubRepo("model", "a/b", commit[:12]).commit is None


@pytest.mark.parametrize("user", ["someone:secret", "secret", ":secret", "127.0.0.1:80"])
def test_a_url_with_a_password_is_refused_without_showing_it(user: str) -> None:
    with pytest.raises(UsageError, match="no user name or password in a URL") as raised:
        parse_source(f"https://{user}@host:80/x.pt")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("character", "\0\n\r\x1b\x7f\x9b\u2028\ud800")
def test_a_control_character_in_a_source_is_refused(scheme: str, character: str) -> None:
    with pytest.raises(UsageError, match="cannot contain control characters") as raised:
        parse_source(f"{scheme}a/b{character}.pt")
    assert character not in str(raised.value)


@pytest.mark.parametrize("address", ["host:99999", "host:abc", "host:-1", "host:0", "host\\@other", "ho st"])
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        parse_source(f"https://{address}/x.pt")


def test_a_url_that_is_too_long_is_refused_in_few_words() -> None:
    with pytest.raises(UsageError, match="at most 2,000 characters") as raised:
        parse_source(f"https://host/{'x' * 5000}.pt")
    assert len(str(raised.value)) < 200


def test_the_repository_of_a_recipe_that_is_in_no_folder_is_a_problem() -> None:
    assert "the folder of a recipe file; there is none" in str(Sources().problem("hub:."))


def test_the_repository_of_a_local_recipe_is_its_folder(tmp_path: Path) -> None:
    sources = Sources(recipe_folder=tmp_path)
    assert sources.problem("hub:.") is None
    assert sources.resolve("hub:.") == LocalFile(str(tmp_path))


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("rows.csv", "rows.csv"), ("./data//rows.csv", "data/rows.csv"), ("a/..b.csv", "a/..b.csv"),
        ("/etc/passwd", None), ("//etc/passwd", None), ("~/rows.csv", None), ("../rows.csv", None),
        ("a/../../rows.csv", None), ("a/..", None), (".", None), ("C:/rows.csv", None), ("..\\rows.csv", None),
    ],
)  # fmt: skip
def test_a_path_of_a_published_recipe_stays_in_its_repository(path: str, inside: str | None) -> None:
    assert LocalFile(path).repository_path == inside

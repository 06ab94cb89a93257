"""Fetch files and folders of this machine."""

from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from zoo.errors import NoFileError, SourceError
from zoo.fetch.card_files import CARD
from zoo.fetch.checksum import sha256
from zoo.fetch.fetched import Fetched, digest_of
from zoo.fetch.repository_files import ENDINGS as WEIGHTS_ENDINGS
from zoo.fetch.repository_files import choose_files, weights_among
from zoo.fetch.source_types import LocalFile, ParsedSource

_NO_TOKENIZER_NAMES = (
    ".*", "readme*", "license*", "*.md", "*.log", "events.out.tfevents*", "*.index.json", "generation_config.json",
    "record.json", "trainer_state.json", "all_results.json", "eval_results.json", "train_results.json",
    "predict_results.json",
)  # fmt: skip
"""Patterns of files beside a tokenizer that a training, an author or the Hub writes, in small letters."""
_OTHER_WEIGHTS = (".h5", ".msgpack", ".ot", ".onnx", ".gguf", ".tflite", ".pb", ".npz", ".pkl")
"""Endings of weights that zoo does not load."""


def fetch_local(source: LocalFile, want: str) -> Fetched:
    """Return a local file; or of a local folder what a repository would give for `want`, see `Sources.fetch`."""
    path = source.expanded
    if not path.is_dir():
        return fetched_file(source, path)
    if want == "tokenizer":
        return fetched_tokenizer(source, path)
    if want in ("config", "data"):
        return fetched_folder(source, path)
    return fetch_as_repository(source, path, want)


def fetched_file(source: ParsedSource, path: Path, digest: str | None = None, *, locked: bool = False) -> Fetched:
    """Return a file with its SHA-256, which is computed unless it is given."""
    digest = digest or sha256(path)
    return Fetched(str(source), path, digest, {str(source): digest}, locked=locked)


def fetched_folder(source: ParsedSource, path: Path) -> Fetched:
    """Return a folder whose files are not hashed: what is read of it is identified by its content elsewhere."""
    return Fetched(str(source), path, "")


def fetched_tokenizer(source: ParsedSource, path: Path) -> Fetched:
    """Return a folder with the SHA-256 of all files that may decide how a tokenizer works.

    A tokenizer may read a file of any name, so only files that none reads are left out.
    """
    return _hashed(source, path, [name for name in _names(path, "*") if _may_be_of_tokenizer(name.lower())])


def _may_be_of_tokenizer(name: str) -> bool:
    is_other = any(fnmatchcase(name, pattern) for pattern in _NO_TOKENIZER_NAMES)
    return not is_other and not name.endswith((*WEIGHTS_ENDINGS, *_OTHER_WEIGHTS))


def missing_file_error(source: LocalFile, recipe_folder: Path | None) -> NoFileError:
    """Return the error for a missing file, with the folders that were searched and a file of a similar name."""
    path, folders = source.expanded, [folder for folder in (recipe_folder, Path.cwd()) if folder]
    searched = list(dict.fromkeys(str(folder.absolute()) for folder in folders))
    where = "" if path.is_absolute() else f" in {' or in '.join(searched)}"
    siblings: set[str] = set()
    with suppress(OSError):  # a name that is too long
        siblings = {file.name for folder in folders for file in (folder / path).parent.glob("*")}
    similar = get_close_matches(path.name, siblings, n=1)
    hint = f"; did you mean {source.path.removesuffix(path.name)}{similar[0]}?" if similar else ""
    return NoFileError(str(source), f"there is no such file{where}{hint}")


def fetch_as_repository(source: ParsedSource, path: Path, want: str) -> Fetched:
    """Return the files of a folder that a repository would give for `want`."""
    patterns = ("*", "*/*") if want.startswith("data/") else ("*", "*/config.json")
    card = partial((path / CARD).read_text, encoding="utf-8", errors="replace")
    return _hashed(source, path, choose_files(want, _names(path, *patterns), {}, str(source), card))


def _names(folder: Path, *patterns: str) -> list[str]:
    try:
        found = [file for pattern in patterns for file in folder.glob(pattern) if file.is_file()]
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror or error}") from None
    return sorted(file.relative_to(folder).as_posix() for file in found)


def _hashed(source: ParsedSource, path: Path, names: Sequence[str]) -> Fetched:
    digests, weights = {name: sha256(path / name) for name in names}, weights_among(names)
    files = {f"{source}/{name}": digest for name, digest in digests.items()}
    return Fetched(str(source), path, digest_of(digests, weights), files, weights)

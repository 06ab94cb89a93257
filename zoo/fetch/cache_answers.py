"""The Hub's answers about repositories, in a cache folder: commits, names, and lists of files."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zoo.errors import GatedError, NoRepositoryError, SourceError, ZooError
from zoo.fetch.cache_folder import CacheFolder
from zoo.fetch.hub import Hub, Listed
from zoo.fetch.source_types import HubRepo
from zoo.files import write_atomically

ERRORS: Mapping[str, type[SourceError]] = {kind.__name__: kind for kind in (GatedError, NoRepositoryError)}
"""The errors that are answers: the claims of a card on such a data set are not compared."""


class RecordingHub(Hub):
    """A Hub whose answers are added to a cache."""

    def __init__(self, hub: Hub, folder: CacheFolder) -> None:
        """Record the answers of a Hub.

        Args:
            hub: The Hub to ask.
            folder: The cache to fill.
        """
        vars(self).update(vars(hub))
        self.folder = folder

    def commit(self, repo: HubRepo) -> str:
        """Return the full commit of the repository's revision, and record it."""
        return repo.commit or str(self._record(repo, commit_key(repo), lambda: super(RecordingHub, self).commit(repo)))

    def canonical_name(self, repo: HubRepo) -> str:
        """Return the name that a repository has now, and record it."""
        return str(self._record(repo, "name", lambda: super(RecordingHub, self).canonical_name(repo)))

    def listing(self, repo: HubRepo, commit: str) -> dict[str, Listed]:
        """Return every file of the repository at a commit, and record their list."""

        def ask() -> dict[str, Any]:
            return {name: asdict(file) for name, file in super(RecordingHub, self).listing(repo, commit).items()}

        return {name: Listed(**file) for name, file in self._record(repo, listing_key(commit), ask).items()}

    def download(self, repo: HubRepo, commit: str, path: str) -> Path:
        """Return the file, from the cache if it is there; record a refusal."""
        with self._recording_errors(repo, file_key(commit, path)):
            return super().download(repo, commit, path)

    def _record(self, repo: HubRepo, key: str, ask: Callable[[], Any]) -> Any:
        with self._recording_errors(repo, key):
            answer = ask()
        self._write(repo, key, {"answer": answer})
        return answer

    @contextmanager
    def _recording_errors(self, repo: HubRepo, key: str) -> Iterator[None]:
        try:
            yield
        except ZooError as error:
            if type(error) in ERRORS.values():
                self._write(repo, key, {"error": type(error).__name__, "message": str(error)})
            raise

    def _write(self, repo: HubRepo, key: str, content: Mapping[str, Any]) -> None:
        path, text = _path(self.folder, repo, key), json.dumps(content)
        try:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                write_atomically(path, text)
        except OSError as error:
            raise SourceError(f"{path}: cannot write there: {error.strerror or error}") from None


def recorded_answer(folder: CacheFolder, repo: HubRepo, key: str, what: str) -> Any:
    """Return a recorded answer.

    Args:
        folder: The cache.
        repo: The repository.
        key: `commit_key`, `listing_key`, `file_key` or `name`.
        what: What is missing if there is no answer, for the message.

    Raises:
        NotCachedError: There is no answer, or it is damaged.
        SourceError: The recorded error.
    """
    try:
        return _answer_in(_path(folder, repo, key))
    except (OSError, ValueError):
        raise folder.missing(what) from None


def check_answer(path: Path) -> None:
    """Raise ValueError if a file has no answer that this version of zoo can read, and OSError if it cannot be read."""
    with suppress(*ERRORS.values()):
        _answer_in(path)


def _answer_in(path: Path) -> Any:
    content = json.loads(path.read_text(encoding="utf-8"))
    try:
        if "error" not in content:
            return content["answer"]
        error = ERRORS[content["error"]](content["message"])
    except (KeyError, TypeError) as missing:
        raise ValueError(f"no answer of the Hub: {missing}") from None
    raise error


def commit_key(repo: HubRepo) -> str:
    """Return the key of the commit of a revision."""
    return f"commit {repo.revision or 'main'}"


def listing_key(commit: str) -> str:
    """Return the key of the list of files at a commit."""
    return f"files {commit}"


def file_key(commit: str, path: str) -> str:
    """Return the key of the refusal of a file."""
    return f"file {commit} {hashlib.sha256(path.encode()).hexdigest()[:16]}"


def _path(folder: CacheFolder, repo: HubRepo, key: str) -> Path:
    return folder.answers / quote(str(repo.without_revision), safe="") / f"{quote(key, safe=' ')}.json"

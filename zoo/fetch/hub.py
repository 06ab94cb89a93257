"""The Hugging Face Hub, or a server that stands in for it at HF_ENDPOINT: listings and files, at full commits only.

The client library downloads and caches. `zoo.fetch.hub_connection` adds retries and deadlines, and
`zoo.fetch.repository` verifies the bytes. Models are loaded from these files, never by the name of a repository.
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
from huggingface_hub.hf_api import RepoFile

from zoo.errors import SourceError, UnreachableError
from zoo.fetch.hub_connection import HubConnection, OnBytes, progress_class
from zoo.fetch.hub_errors import NAME, REVISION, translate_hub_errors, write_error
from zoo.fetch.source_types import COMMIT, HubRepo
from zoo.files import is_inside, replacing


@dataclass(frozen=True)
class Listed:
    """A file in the listing of a repository. The Hub lists large files by SHA-256 and small ones by git's SHA-1."""

    size: int
    sha256: str | None
    git_sha1: str


@dataclass(frozen=True, kw_only=True)
class ModelSearch:
    """The conditions of a search among the models of the Hub. All conditions must hold."""

    tags: tuple[str, ...] = ()
    """Tags, such as `dataset:glue` or `base_model:google-bert/bert-base-uncased`."""
    task: str | None = None
    """The kind of task, such as `text-classification`."""
    author: str | None = None
    words: str | None = None
    """A part of the name."""


class Hub(HubConnection):
    """Read repositories of the Hub, and keep their files in the cache of the client library.

    All methods that send requests raise SourceError by the deadline, and UsageError for an invalid name.
    """

    def commit(self, repo: HubRepo) -> str:
        """Return the full commit of the repository's revision."""
        if repo.commit:
            return repo.commit
        revision = repo.revision or "main"
        info = self.request(
            repo,
            f"{REVISION} {revision}",
            lambda _: self._api().repo_info(repo.name, revision=revision, repo_type=repo.kind),
        )
        if not COMMIT.fullmatch(str(info.sha)):
            raise SourceError(f"{repo.name}: {self.address} does not say which commit {revision} is")
        return str(info.sha)

    def canonical_name(self, repo: HubRepo) -> str:
        """Return the name that a repository has now: the Hub redirects old names."""
        info = self.request(repo, NAME, lambda _: self._api().repo_info(repo.name, repo_type=repo.kind))
        return str(info.id)

    def history(self, repo: HubRepo) -> tuple[str, ...]:
        """Return all commits of the repository's branch, newest first; those of `main` for a repository at a commit."""
        branch = None if repo.commit else repo.revision

        def ask(_: OnBytes) -> tuple[str, ...]:
            commits = self._api().list_repo_commits(repo.name, revision=branch, repo_type=repo.kind)
            return tuple(commit.commit_id for commit in commits)

        return self.request(repo, "history", ask)

    def search(self, wanted: ModelSearch, limit: int) -> tuple[str, ...]:
        """Return the names of models, the most downloaded first.

        Args:
            wanted: The conditions.
            limit: The most names.
        """

        def ask(_: OnBytes) -> tuple[str, ...]:
            found = self._api().list_models(
                filter=list(wanted.tags) or None, pipeline_tag=wanted.task, author=wanted.author, search=wanted.words,
                sort="downloads", limit=limit,
            )  # fmt: skip
            return tuple(model.id for model in found)

        if self.offline:
            raise UnreachableError("the Hub cannot be searched while HF_HUB_OFFLINE is set")
        try:
            return self.request(HubRepo("model", "models"), "search", ask)
        except UnreachableError:
            raise
        except SourceError as error:
            raise SourceError(
                f"{error}: it cannot be searched; list the models in a file, and pass --from FILE"
            ) from None

    def listing(self, repo: HubRepo, commit: str) -> dict[str, Listed]:
        """Return every file of the repository at a commit, by name."""

        def ask(_: OnBytes) -> dict[str, Listed]:
            tree = self._api().list_repo_tree(repo.name, recursive=True, revision=commit, repo_type=repo.kind)
            files = [entry for entry in tree if isinstance(entry, RepoFile)]
            return {file.path: Listed(file.size, file.lfs.sha256 if file.lfs else None, file.blob_id) for file in files}

        return self.request(repo, f"listing of {commit}", ask)

    def cached(self, repo: HubRepo, commit: str, path: str) -> Path | None:
        """Return the file if it is in the cache; sends no request."""
        with translate_hub_errors(repo, path, self.address, self.cache, self.selection):
            file = try_to_load_from_cache(repo.name, path, revision=commit, repo_type=repo.kind, cache_dir=self.cache)
        return Path(file) if isinstance(file, str) else None

    def download(self, repo: HubRepo, commit: str, path: str) -> Path:
        """Return the file, from the cache if it is there."""
        furthest = 0

        def ask(on_bytes: OnBytes) -> Path:
            position = 0

            def on_part(length: int) -> None:
                nonlocal position, furthest
                position += length
                if position > furthest:  # a download that starts again repeats bytes that were counted before
                    on_bytes(position - furthest)
                    furthest = position

            return Path(
                hf_hub_download(
                    repo.name, path, revision=commit, repo_type=repo.kind, cache_dir=self.cache,
                    endpoint=self.endpoint, tqdm_class=progress_class(on_part),
                )
            )  # fmt: skip

        return self.request(repo, path, ask)

    def add_to_cache(self, repo: HubRepo, commit: str, name: str, file: Path) -> Path:
        """Copy a verified file into the cache, as if it had been downloaded; returns the copy."""
        copy = self.snapshot(repo, commit) / name
        try:
            with replacing(copy) as partial:
                shutil.copyfile(file, partial)
        except OSError as error:
            raise write_error(f"{repo.name}: {name}", error, self.cache) from None
        return copy

    def snapshot(self, repo: HubRepo, commit: str) -> Path:
        """Return the folder of a repository's files at a commit in the cache."""
        return self.cache / _cache_folder(repo) / "snapshots" / commit

    def owns(self, repo: HubRepo, file: Path) -> bool:
        """Return whether a file of a snapshot lies in the repository's folder of the cache, and not behind a link.

        Only such a file may be moved or deleted: a link may lead to a file of the user's own.
        """
        return file.resolve().is_relative_to(self.cache.resolve() / _cache_folder(repo))

    def remove_from_cache(self, file: Path, *, with_blob: bool) -> None:
        """Remove a damaged file from the cache; the cache must own it.

        Args:
            file: The link in the snapshot of a commit.
            with_blob: Whether to remove the bytes too; they stay if they are the intact bytes of another file.
        """
        blob = file.resolve()
        try:
            file.unlink(missing_ok=True)
            if with_blob:
                blob.unlink(missing_ok=True)
        except OSError as error:
            raise SourceError(f"{file} is damaged and cannot be removed: {error.strerror}; delete it") from None

    def detach_blob(self, file: Path) -> None:
        """Replace the link to a blob by the blob itself; the cache must own it.

        The Hub sent a wrong etag for the file, and another file with that etag would overwrite the blob.
        """
        with suppress(OSError):  # a read-only cache cannot be repaired, and it cannot be overwritten either
            file.resolve().replace(file)

    def remove_partial_downloads(self, repo: HubRepo) -> None:
        """Remove the partial files of killed downloads; files that a process is downloading now are locked and stay."""
        folder = _cache_folder(repo)
        blobs = self.cache / folder / "blobs"
        for partial in blobs.glob("*.incomplete") if is_inside(blobs, self.cache) else ():
            lock = self.cache / ".locks" / folder / f"{partial.name.split('.')[0]}.lock"
            with suppress(Timeout, OSError), FileLock(lock, timeout=0):
                partial.unlink(missing_ok=True)

    def _api(self) -> HfApi:
        return HfApi(endpoint=self.endpoint)


def _cache_folder(repo: HubRepo) -> str:
    return f"{repo.kind}s--{repo.name.replace('/', '--')}"

"""Upload a trained model to the Hub: its weights, card, record and recipe, and its data if the user says so."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi

from harness.publishing.published_recipe import PublishedRecipe
from harness.records.record import FILE as RECORD
from harness.records.record import Record
from harness.runs.model_card import CARD, verifiable_card
from zoo.errors import UsageError
from zoo.fetch.checksum import git_sha1, sha256
from zoo.fetch.hub import Hub, Listed
from zoo.fetch.source_types import HubRepo
from zoo.files import files_below
from zoo.recipes.catalogue import PUBLISHED

TITLE = "Upload a model trained by zoo, with its record and recipe"
DEADLINE = 24 * 3600.0
"""The most seconds of an upload."""
MOST_FILES = 2_000
"""The most files of a folder with data; more are better published as a data set of parquet files."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """The files to upload into a repository."""

    repo: HubRepo
    files: Mapping[str, Path | bytes]
    """Name in the repository -> the file, or its content."""

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes of each file, by its name in the repository."""
        return {
            name: len(file) if isinstance(file, bytes) else file.stat().st_size for name, file in self.files.items()
        }


def plan_upload(path: Path, record: Record, recipe: PublishedRecipe, repo: HubRepo, *, with_data: bool) -> Upload:
    """Return what would be uploaded of a training. Only files that zoo wrote, and the data, are.

    Args:
        path: The record file; the files of the run are beside it.
        record: The record.
        recipe: The recipe to publish as `zoo.yaml`.
        repo: The repository.
        with_data: Whether to upload the data that the recipe reads.

    Raises:
        UsageError: A folder with data has too many files, or a file of it has the name of another one.
    """
    folder = path.parent
    files: dict[str, Path | bytes] = {name: folder / name for name in sorted(record.files)}
    files |= {RECORD: path, PUBLISHED: recipe.text.encode()}
    data = {name: file for name, place in recipe.data.items() for name, file in _files_of(name, place)}
    if both := sorted(data.keys() & {*files, CARD}):
        raise UsageError(f"{data[both[0]]} has the name of a file of the run; rename it, also in the recipe")
    files |= data if with_data else {}
    card = folder / CARD
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {record.entry}\n"
    files[CARD] = verifiable_card(text, repo.name, set(recipe.data) if with_data else set()).encode()
    return Upload(repo=repo, files=files)


def send(upload: Upload, *, private: bool, overwrite: bool) -> tuple[str, tuple[str, ...]]:
    """Create the repository if it does not exist, and upload the files in one commit.

    Files that the repository has already are not sent again. Other files of the repository stay.

    Args:
        upload: What to upload.
        private: Whether only its owner may see the repository.
        overwrite: Whether to replace files of the repository that differ.

    Returns:
        The address of the repository, and the names of the files that were sent.

    Raises:
        UsageError: Files would be replaced, or the repository is public and should be private.
        SourceError: The Hub refuses, or cannot be reached.
    """
    repo, hub = upload.repo, Hub()
    api = HfApi(endpoint=hub.endpoint)
    _change(repo, lambda: api.create_repo(repo.name, private=private or None, exist_ok=True))
    is_private = hub.request(repo, "visibility", lambda _: api.repo_info(repo.name).private)
    if private and not is_private:
        raise UsageError(f"{repo.name} exists already and is public; name another repository, or leave out --private")
    commit = hub.commit(repo)
    listing = hub.listing(repo, commit)
    new = {name: file for name, file in upload.files.items() if not _is_same(file, listing.get(name))}
    if (replaced := sorted(listing.keys() & new.keys())) and not overwrite:
        raise UsageError(
            f"{repo.name} has other files of these names: {', '.join(replaced)}; pass --overwrite to replace them, or"
            " name another repository"
        )
    operations = [CommitOperationAdd(name, file) for name, file in new.items()]
    if new:
        _change(repo, lambda: api.create_commit(repo.name, operations, commit_message=TITLE, parent_commit=commit))
    return f"{hub.endpoint}/{repo.name}", tuple(new)


def _change(repo: HubRepo, call: Callable[[], object]) -> None:
    """Send a request that changes something: it is not repeated, and may last as long as an upload does."""
    hub = Hub(deadline=DEADLINE)
    hub.only_errors = True
    hub.request(repo, "upload", lambda _: call())


def _files_of(name: str, place: Path) -> list[tuple[str, Path]]:
    if not place.is_dir():
        return [(name, place)]
    files = [(f"{name}/{file.relative_to(place).as_posix()}", file) for file in files_below(place, hidden=False)]
    if len(files) > MOST_FILES:
        raise UsageError(
            f"{place} has {len(files):,} files; publish it as a data set of the Hub, write hub:datasets/OWNER/NAME into"
            " the recipe, and train again; or pass --without-data"
        )
    return files


def _is_same(file: Path | bytes, listed: Listed | None) -> bool:
    """Return whether the repository has these bytes already."""
    if listed is None:
        return False
    if listed.sha256 is None:
        return git_sha1(file) == listed.git_sha1
    return listed.sha256 == (hashlib.sha256(file).hexdigest() if isinstance(file, bytes) else sha256(file))

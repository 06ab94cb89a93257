"""Upload a trained model to the Hub: its weights, card, record and recipe, and its data if the user says so."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi

from harness.models.provenance import CODE
from harness.publishing.local_data import data_files
from harness.publishing.published_recipe import PublishedRecipe
from harness.publishing.verifiable_card import verifiable_card
from harness.records.record import FILE as RECORD
from harness.records.record import Record
from harness.runs.model_card import CARD
from zoo.errors import SourceError, UnreachableError, UsageError
from zoo.fetch.checksum import git_sha1, sha256
from zoo.fetch.hub import Hub, Listed
from zoo.fetch.source_types import HubRepo, UserFolder, parse_or_none
from zoo.recipes.catalogue import PUBLISHED
from zoo.recipes.values import texts

TITLE = "Upload a model trained by zoo, with its record and recipe"
DEADLINE = 24 * 3600.0
"""The most seconds of an upload."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """The files to upload into a repository."""

    repo: HubRepo
    files: Mapping[str, Path | bytes]
    """Name in the repository -> the file, or its content."""
    verify: tuple[str, ...] = ()
    """The command by which others verify the scores."""

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes of each file, by its name in the repository."""
        return {
            name: len(file) if isinstance(file, bytes) else file.stat().st_size for name, file in self.files.items()
        }


def plan_upload(
    path: Path, record: Record, recipe: PublishedRecipe, repo: HubRepo, folders: Sequence[Path] | None
) -> Upload:
    """Return what would be uploaded of a training. Only files that zoo wrote, and the data, are.

    Args:
        path: The record file; the files of the run are beside it.
        record: The record.
        recipe: The recipe to publish as `zoo.yaml`.
        repo: The repository.
        folders: Where the data that the recipe reads are looked up, to upload them too; None to leave them out.

    Raises:
        UsageError: The run has no weights, or data cannot be published, see `data_files`.
    """
    folder = path.parent
    if record.weights not in record.files.values():
        raise UsageError(f"{folder} has no weights to upload; train again, or name the folder of a training")
    files: dict[str, Path | bytes] = {name: folder / name for name in sorted(record.files)}
    files |= {RECORD: path, PUBLISHED: recipe.text.encode()}
    data = data_files(recipe.data, folders, record) if folders is not None else {}
    if both := sorted(data.keys() & {*files, CARD}):
        raise UsageError(f"{data[both[0]]} has the name of a file of the run; rename it, also in the recipe")
    card = folder / CARD
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {record.entry}\n"
    is_complete = folders is not None or not recipe.data
    words = verify_words(record, repo.name if is_complete else PUBLISHED)
    here = {os.path.normpath(source.path) for name, source in recipe.data.items() if source.repository_path == name}
    files[CARD] = verifiable_card(text, words, here if folders is not None else set(), is_complete=is_complete).encode()
    return Upload(repo=repo, files={**files, **data}, verify=words)


def verify_words(record: Record, target: str) -> tuple[str, ...]:
    """Return the command that verifies the weights of a training: of a repository, or of its recipe in a folder."""
    precision = record.identity.numerics["precision"]
    read = record.identity.sources["files"]
    code = {name.removeprefix(CODE).partition(".")[0] for name in read if name.startswith(CODE)}
    data = {source.name for text in texts(record.recipe) if isinstance(source := parse_or_none(text), UserFolder)}
    return (
        "zoo", "verify", target, *(["--precision", precision] if precision != "fp32" else []),
        *(word for package in sorted(code) for word in ("--trust", package)),
        *(word for name in sorted(data) for word in ("--data", f"{name}=DIR")),
    )  # fmt: skip


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
    if hub.offline:
        raise UnreachableError("an upload needs the Hub: unset HF_HUB_OFFLINE")
    api = HfApi(endpoint=hub.endpoint)
    _change(repo, lambda: api.create_repo(repo.name, private=private, exist_ok=True))
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

    def send_once(_: object) -> None:
        if (wrapped := _wrapped_error(call)) is not None:
            raise wrapped

    hub.request(repo, "upload", send_once)


def _wrapped_error(call: Callable[[], object]) -> BaseException | None:
    """Call the client library, and return the error of a large file, which the library wraps in another one."""
    try:
        call()
    except RuntimeError as error:
        return error.__cause__ or SourceError(str(error))
    return None


def _is_same(file: Path | bytes, listed: Listed | None) -> bool:
    """Return whether the repository has these bytes already."""
    size = len(file) if isinstance(file, bytes) else file.stat().st_size
    if listed is None or listed.size != size:
        return False
    if listed.sha256 is None:
        return git_sha1(file) == listed.git_sha1
    return listed.sha256 == (hashlib.sha256(file).hexdigest() if isinstance(file, bytes) else sha256(file))

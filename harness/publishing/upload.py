"""Upload a trained model to the Hub: its weights, card, record and recipe, and its data if the user says so."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi

from harness.models.provenance import code_packages
from harness.publishing.hub_change import change_hub
from harness.publishing.local_data import Places, data_files
from harness.publishing.published_recipe import PublishedRecipe
from harness.publishing.verifiable_card import verifiable_card
from harness.records.record import FILE as RECORD
from harness.records.record import Record
from harness.runs.model_card import CARD
from zoo.errors import SourceError, UnreachableError, UsageError
from zoo.fetch.checksum import git_sha1, sha256
from zoo.fetch.hub import Hub, Listed
from zoo.fetch.source_types import HubRepo, UserFolder, parse_or_none
from zoo.files import undecodable_byte
from zoo.recipes.catalogue import PUBLISHED
from zoo.recipes.values import texts

UPLOAD = "upload"
"""The name of its requests, for messages."""
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
        return {name: _size(file) for name, file in self.files.items()}


def plan_upload(path: Path, record: Record, recipe: PublishedRecipe, repo: HubRepo, places: Places | None) -> Upload:
    """Return what would be uploaded of a training. Only files that zoo wrote, and the data, are.

    Args:
        path: The record file; the files of the run are beside it.
        record: The record.
        recipe: The recipe to publish as `zoo.yaml`.
        repo: The repository.
        places: Where the data that the recipe reads are looked up, to upload them too; None to leave them out.

    Raises:
        UsageError: The run has no weights, its card is no text, or data cannot be published, see `data_files`.
    """
    folder = path.parent
    if record.weights not in record.files.values():
        raise UsageError(f"{folder} has no weights to upload; train again, or name the folder of a training")
    files: dict[str, Path | bytes] = {name: folder / name for name in sorted(record.files)}
    files |= {RECORD: path, PUBLISHED: recipe.text.encode()}
    data = data_files(recipe.data, places) if places is not None else {}
    if both := sorted(data.keys() & {*files, CARD}):
        raise UsageError(f"{data[both[0]]} has the name of a file of the run; rename it, also in the recipe")
    words = verify_words(record, repo.name, () if places is not None else recipe.data)
    here = {os.path.normpath(source.path) for name, source in recipe.data.items() if source.repository_path == name}
    files[CARD] = verifiable_card(_card(folder / CARD, record), words, here if places is not None else ()).encode()
    return Upload(repo=repo, files={**files, **data}, verify=words)


def _card(path: Path, record: Record) -> str:
    try:
        return path.read_bytes().decode("utf-8") if path.is_file() else f"# {record.entry}\n"
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}:{undecodable_byte(error)[0]}: not text in UTF-8; save it as UTF-8") from None


def verify_words(record: Record, target: str, missing: Iterable[str]) -> tuple[str, ...]:
    """Return the command by which others verify the weights of a training.

    Args:
        record: The training.
        target: The repository.
        missing: The names of the data that are not in it.
    """
    precision = record.identity.numerics["precision"]
    data = {source.name for text in texts(record.recipe) if isinstance(source := parse_or_none(text), UserFolder)}
    return (
        "zoo", "verify", target, *(["--precision", precision] if precision != "fp32" else []),
        *(word for package in sorted(code_packages(record.identity.sources["files"])) for word in ("--trust", package)),
        *(word for name in sorted({*data, *missing}) for word in ("--data", f"{name}=PATH")),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The outcome of an upload."""

    address: str
    """The address of the repository."""
    files: tuple[str, ...]
    """The names of the files that were sent."""
    commit: str
    """The commit that has them."""


def send(upload: Upload, *, private: bool, overwrite: bool) -> Sent:
    """Create the repository if it does not exist, and upload the files in one commit.

    Files that the repository has already are not sent again. Other files of the repository stay.

    Args:
        upload: What to upload.
        private: Whether only its owner may see the repository.
        overwrite: Whether to replace files of the repository that differ.

    Raises:
        UsageError: Files would be replaced, the repository is public and should not be, or the card is refused.
        SourceError: The Hub refuses, cannot be reached, or leaves files out.
    """
    repo, hub = upload.repo, Hub()
    if hub.offline:
        raise UnreachableError("an upload needs the Hub: unset HF_HUB_OFFLINE")
    api = HfApi(endpoint=hub.endpoint)
    change_hub(hub, repo, UPLOAD, lambda: api.create_repo(repo.name, private=private, exist_ok=True), deadline=DEADLINE)
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
        change_hub(
            hub, repo, UPLOAD,
            lambda: api.create_commit(repo.name, operations, commit_message=TITLE, parent_commit=commit),
            deadline=DEADLINE,
        )  # fmt: skip
        commit = hub.commit(repo)
        lacking = sorted(new.keys() - hub.listing(repo, commit).keys())
        if lacking:
            raise SourceError(
                f"{repo.name}: these files are not in the new commit: {', '.join(lacking)}; look into the .gitignore of"
                " the repository, and upload again"
            )
    return Sent(address=f"{hub.endpoint}/{repo.name}", files=tuple(new), commit=commit)


def _is_same(file: Path | bytes, listed: Listed | None) -> bool:
    """Return whether the repository has these bytes already."""
    if listed is None or listed.size != _size(file):
        return False
    if listed.sha256 is None:
        return git_sha1(file) == listed.git_sha1
    return listed.sha256 == (hashlib.sha256(file).hexdigest() if isinstance(file, bytes) else sha256(file))


def _size(file: Path | bytes) -> int:
    return len(file) if isinstance(file, bytes) else file.stat().st_size

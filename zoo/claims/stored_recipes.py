"""The recipes that zoo has made of model cards: files in its cache, named by the commit and their own digest."""

import hashlib
from pathlib import Path

from zoo import paths
from zoo.errors import SourceError
from zoo.fetch.source_types import HubRepo
from zoo.files import write_atomically
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry

COMMIT_DIGITS = 12
"""How many digits of a commit the name of a file begins with."""


def card_name(repository: str) -> str:
    """Return the name that recipes of a repository's card begin with: `OWNER--NAME`."""
    return repository.replace("/", "--")


def store_recipe(text: str, repository: HubRepo, commit: str) -> Path:
    """Write a recipe into the cache, unless it is there, and return the file. Raise SourceError if that fails."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    path = _folder(repository) / f"{commit[:COMMIT_DIGITS]}-{digest[:12]}.yaml"
    if not path.exists():
        try:
            write_atomically(path, text)
        except OSError as error:
            raise SourceError(f"{path}: cannot write the recipe: {error.strerror or error}") from None
    return path


def find_stored_entry(weights: HubRepo, digest: str) -> Entry | None:
    """Return the entry of a model card whose recipe was run, or None if its recipe is not in the cache.

    Args:
        weights: The repository of the weights, at the commit that was evaluated.
        digest: The digest of the recipe. Claims are no part of it; of two recipes that differ in them the newer counts.
    """
    commit = (weights.revision or "")[:COMMIT_DIGITS]
    files = _folder(weights).glob(f"{commit}-*.yaml") if commit else ()
    for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        entry = catalogue.local(file)
        if entry.is_readable and entry.recipe.digest == digest:
            card = str(weights)
            return Entry(entry.name, catalogue.LOCAL, file, requested_repo=card, card=card)
    return None


def _folder(repository: HubRepo) -> Path:
    return paths.home() / "cache" / "cards" / card_name(repository.name)

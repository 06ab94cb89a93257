"""Read a card of the Trainer: its list of hyperparameters, its base model and its claims."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.claims.card_yaml import CardValue
from zoo.claims.hub_card import MAX_BYTES, claims_of_model
from zoo.claims.model_index import read_front_matter, read_model_index
from zoo.claims.published import PublishedClaims
from zoo.errors import Mark, NoFileError, RecipeError, UsageError
from zoo.fetch.card_files import CARD
from zoo.fetch.published_settings import read_json
from zoo.fetch.repository_files import CLAIMS, CONFIG
from zoo.fetch.source_types import HF, HUB, HUB_NAME, HubRepo
from zoo.fetch.sources import Sources
from zoo.importers.settings import Notes, Setting, Settings, scalar
from zoo.safe_text import escape_unprintable

_HEADING = re.compile(r"#{1,6}\s+training hyper-?parameters\s*", re.IGNORECASE)
_ANY_HEADING = re.compile(r"#{1,6}\s")
_ITEM = re.compile(r"[-*] ([A-Za-z_]\w{0,59}): ?(.*)", re.ASCII)
_BASE = re.compile(r"is a fine-tuned version of \[([\w.-]+(?:/[\w.-]+)?)\]\(", re.ASCII)
"""The sentence that the Trainer writes about the base model."""


@dataclass(frozen=True, kw_only=True)
class TrainerCard:
    """The parts of a card."""

    shown: str
    """The card, for positions and messages."""
    start: Mark
    hyperparameters: Settings
    base: Setting | None
    """The base model, as the card writes it."""
    published: PublishedClaims
    """The claims."""
    settings: Mapping[str, Any]
    """The `config.json` of the model; empty if there is none."""
    folder: Path
    """The folder with the card."""
    repository: HubRepo | None = None
    """The repository at its commit; None for a file of this machine."""


def find_card(target: str, sources: Sources, notes: Notes) -> TrainerCard:
    """Return the card that a user names.

    Args:
        target: A Markdown file, or `OWNER/NAME[@REVISION]` or `hf://OWNER/NAME` of a model.
        sources: Fetches the files of a repository.
        notes: Collects obstacles.

    Raises:
        UsageError: The target is neither, or the card is no text.
        SourceError: There is no such file, or the repository cannot be read.
        IntegrityError: `config.json` is no JSON object.
    """
    path = Path(target)
    if path.is_file():
        text = _read(path, target)
        settings = read_json(path.parent / CONFIG) if (path.parent / CONFIG).is_file() else {}
        return _card(text, target, read_model_index(text, target), settings, path.parent, notes)
    if not target.startswith(HF) and HUB_NAME.fullmatch(target) is None:
        if path.suffix.lower() == ".md":
            raise NoFileError(target, "no such file")
        raise UsageError(f"{target}: write a file such as README.md, or OWNER/NAME of a model on the Hub")
    return _of_repository(HubRepo.parse(f"{HUB}{target.removeprefix(HF)}"), sources, notes)


def _of_repository(repository: HubRepo, sources: Sources, notes: Notes) -> TrainerCard:
    fetched = sources.fetch(repository, CLAIMS)
    pinned = replace(repository, revision=fetched.revision)
    published = claims_of_model(pinned, sources)
    shown = f"{repository.name}@{(fetched.revision or '')[:7]}/{CARD}"
    path = fetched.path / CARD
    text = _read(path, shown) if CARD in fetched.names else ""
    return replace(_card(text, shown, published, published.settings, fetched.path, notes), repository=pinned)


def _card(
    text: str, shown: str, published: PublishedClaims, settings: Mapping[str, Any], folder: Path, notes: Notes
) -> TrainerCard:
    start = Mark(path=shown, line=1, column=1)
    values = dict(_hyperparameters(text, shown))
    if not values:
        message = "there is no list 'Training hyperparameters', as the Trainer writes it; name the card of a training"
        notes.refuse(start, message)
    try:
        front = read_front_matter(text, shown)
    except RecipeError as error:
        front = None
        notes.problems.update(dict.fromkeys(error.problems))
    return TrainerCard(
        shown=shown, start=start, hyperparameters=Settings(values=values, start=start, notes=notes),
        base=_base(front, text, shown), published=published, settings=settings, folder=folder,
    )  # fmt: skip


def _read(path: Path, shown: str) -> str:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UsageError(f"{shown}: more than {MAX_BYTES:,} bytes")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown}: not text in UTF-8: byte {error.start:,}") from None


def _hyperparameters(text: str, shown: str) -> Iterator[tuple[str, Setting]]:
    """Yield the items of the list. A line that is no item and not blank belongs to the item above it."""
    name, value, mark, is_inside = "", "", Mark(path=shown, line=1, column=1), False
    for number, line in enumerate([*text.split("\n"), "#"], 1):
        item = _ITEM.match(line) if is_inside else None
        if name and (item or _ANY_HEADING.match(f"{line} ")):
            yield name, Setting(value=scalar(escape_unprintable(value.strip())), mark=mark)
            name = ""
        if _ANY_HEADING.match(f"{line} "):
            is_inside = _HEADING.fullmatch(line) is not None
        elif item:
            name, value, mark = item[1], item[2], Mark(path=shown, line=number, column=line.index(item[1]) + 1)
        elif name:
            value = f"{value} {line.strip()}"


def _base(front: CardValue | None, text: str, shown: str) -> Setting | None:
    """Return the base model: that of the front matter, or else of the sentence that the Trainer writes."""
    value = front["base_model"] if front is not None else None
    if value is not None and (named := [item.text for item in [value, *value] if item.text]):
        return Setting(value=named[0], mark=value.mark)
    found = _BASE.search(text)
    if found is None:
        return None
    before = text[: found.start(1)]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return Setting(value=found[1], mark=Mark(path=shown, line=line, column=column))

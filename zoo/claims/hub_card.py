"""Read the claims of a model of the Hub: its card, its `.eval_results` and its settings. No weights are downloaded."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.claims.eval_results import read_eval_results
from zoo.claims.model_index import read_model_index
from zoo.claims.published import PublishedClaims
from zoo.errors import Mark, Problem, UsageError
from zoo.fetch.card_files import CARD
from zoo.fetch.repository_files import CLAIMS, CONFIG
from zoo.fetch.source_types import HubRepo
from zoo.files import undecodable_byte

if TYPE_CHECKING:
    from zoo.fetch.sources import Sources

NO_CLAIMS = (
    "no scores in its model-index, and zoo reads no others of a card; write them into a table, see docs/audit.md"
)
NO_CLAIMS_OF_MODEL = "no scores in the model-index of its card and in .eval_results, and zoo reads no others of a model"
MAX_BYTES = 8 * 1024 * 1024
"""Cards with the scores of hundreds of tasks have about one megabyte."""


def claims_of_model(repository: HubRepo, sources: "Sources") -> PublishedClaims:
    """Return the claims of a model at its pinned commit, or at the newest one.

    Args:
        repository: The repository of the model.
        sources: Fetches the files.

    Raises:
        SourceError: The repository cannot be read, or has none of the files.
    """
    fetched = sources.fetch(repository, CLAIMS)
    name = f"{repository.name}@{(fetched.revision or '')[:7]}"
    read: list[PublishedClaims] = []
    settings: dict[str, object] = {}
    for file in fetched.names:
        path, shown = fetched.path / file, f"{name}/{file}"
        try:
            if file == CONFIG:
                settings = _settings(path)
            else:
                read.append((read_model_index if file == CARD else read_eval_results)(_text(path), shown))
        except ValueError as error:
            problem = Problem(Mark(path=shown, line=1, column=1), str(error), file != CONFIG)
            read.append(PublishedClaims(name=shown, claims=(), problems=(problem,)))
    return PublishedClaims(
        name=repository.name,
        claims=tuple(claim for each in read for claim in each.claims),
        no_scores=tuple(claim for each in read for claim in each.no_scores),
        problems=tuple(problem for each in read for problem in each.problems),
        settings=settings,
        revision=fetched.revision or "",
        why_none=NO_CLAIMS_OF_MODEL,
    )


def claims_of_card_file(path: Path) -> PublishedClaims:
    """Return the claims of a model card on this machine.

    Raises:
        UsageError: The file is no text.
    """
    try:
        return replace(read_model_index(_text(path), str(path)), why_none=NO_CLAIMS)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def _settings(path: Path) -> dict[str, object]:
    try:
        settings = json.loads(_text(path))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(settings, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - a value of the file, not of the caller
    return settings


def _text(path: Path) -> str:
    """Return a text; raises ValueError if it is too large or not UTF-8."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = undecodable_byte(error)
        raise ValueError(f"not text in UTF-8: byte 0x{byte:02x} in line {line}") from None

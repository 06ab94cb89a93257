"""The recipe that is published beside a trained model, by which others verify its scores. Never imports torch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from harness.records.record import Record
from zoo.errors import UsageError
from zoo.fetch.checksum import sha256
from zoo.fetch.source_types import FILE, LocalFile, RecipeRepo, is_source, parse_or_none
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue
from zoo.recipes.claim import Claim
from zoo.recipes.reader import texts, to_data
from zoo.recipes.schema import Recipe
from zoo.recipes.walk import NamedSource, recipe_sources, walk_sources

FIELDS = ("name", "task", "tokenizer", "model", "weights", "holdout", "rows", "metrics", "stages", "claims")
"""The order of the fields, as people write them."""
DECIMALS = 7
"""The decimals with which a measured score is claimed: enough to tell one prediction of a million from none."""
DATA = "data"
"""The folder for files that the recipe names by a path that leads out of its folder."""
SOURCE = "measured by `zoo train` for these weights; see record.json"
SOMEWHERE = f"hub:owner/name@{'0' * 40}"
"""Stands for the repository in checks that send no request."""


@dataclass(frozen=True, kw_only=True)
class PublishedRecipe:
    """A recipe that names everything by its place in a repository."""

    text: str
    data: Mapping[str, Path] = field(default_factory=dict)
    """Name in the repository -> the file or folder with data that is not in the folder of the run."""
    training_needs: tuple[str, ...] = ()
    """What the training reads and nobody else can: weights and recipes of this machine. The recipe then has no stages,
    so that it verifies the weights alone."""


def published_recipe(record: Record, recipe: Recipe, folders: Sequence[Path]) -> PublishedRecipe:
    """Return the recipe to publish beside the weights of a training.

    Its claims are the scores of the weights, and the recipe's own ones.

    Args:
        record: The training.
        recipe: The recipe that was run, with its claims.
        folders: Where relative paths are looked up, in this order.

    Raises:
        UsageError: A file that the recipe names is missing or has changed, or others could not read the recipe.
    """
    names, data, needs = dict[str, str](), dict[str, Path](), _training_needs(recipe)
    for named, source in _evaluation_files(recipe):
        path = _found(source, folders)
        if named.field in ("tokenizer", "preprocessing") and path.is_dir():
            names[str(source)] = _in_run(named, path)
            continue
        name = source.repository_path or f"{DATA}/{path.name}"
        names[str(source)] = f"{FILE}{name}"
        if name not in record.files:
            _check_unchanged(source, path, record)
            if data.setdefault(name, path) != path:
                raise UsageError(f"{data[name]} and {path} have the same name; rename one, also in the recipe")
    names |= {need: f"{FILE}{need.rpartition('/')[2]}" for need in needs if need.startswith(FILE)}
    kept = replace(recipe, claims=(), stages=() if needs else recipe.stages)
    content = {**_renamed(to_data(kept), names), "weights": str(RecipeRepo())}
    claims = [to_data(claim) for claim in recipe.claims if claim.of == "weights" or not needs]
    content["claims"] = [*_measured(record, recipe.claims), *claims]
    _check_sources(content)
    ordered = {name: content[name] for name in FIELDS if content.get(name)}
    text = yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return PublishedRecipe(text=text, data=data, training_needs=needs)


def _evaluation_files(recipe: Recipe) -> Iterator[tuple[NamedSource, LocalFile]]:
    """Yield the files and folders of this machine that an evaluation reads, but for the weights."""
    rows = (NamedSource(str(rows), "rows", recipe.task.mark) for rows in recipe.rows.values() if rows.is_file)
    parts = (("task", recipe.task), ("tokenizer", recipe.tokenizer), ("metrics", recipe.metrics))
    for named in (*rows, *(named for name, part in parts for named in walk_sources(part, name))):
        if isinstance(source := parse_or_none(named.text), LocalFile):
            yield named, source


def _training_needs(recipe: Recipe) -> tuple[str, ...]:
    """Return what only the training reads, and only on this machine: files, and teachers with a recipe of their own."""
    read = {named.text for named, _ in _evaluation_files(recipe)}
    shipped = {entry.name for entry in catalogue.entries()}
    teachers = (teacher for stage in recipe.stages for teacher in stage.all_teachers.values() if teacher.model is None)
    recipes = (str(teacher.run or teacher.entry) for teacher in teachers)
    files = (named.text for named in recipe_sources(replace(recipe, weights=None)) if named.text not in read)
    local = (text for text in files if isinstance(parse_or_none(text), LocalFile))
    return tuple(dict.fromkeys([*local, *(name for name in recipes if name not in shipped)]))


def _in_run(named: NamedSource, path: Path) -> str:
    """Return the source in place of a folder with settings: those of the tokenizer are in the folder of the run."""
    if named.field == "tokenizer":
        return str(RecipeRepo())
    raise UsageError(
        f"{named.mark}: others need the preprocessing in {path}; publish that model first, and write hub:OWNER/NAME"
    )


def _found(source: LocalFile, folders: Sequence[Path]) -> Path:
    places = [folder.absolute() / source.expanded for folder in folders]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        searched = ", ".join(dict.fromkeys(str(place.parent) for place in places))
        raise UsageError(
            f"{source}, which the recipe reads, is not in {searched}; pass --recipe with the recipe beside it"
        )
    return found


def _check_unchanged(source: LocalFile, path: Path, record: Record) -> None:
    known = record.identity.sources["files"].get(str(source))
    if known is not None and path.is_file() and sha256(path) != known:
        raise UsageError(f"{path} has changed since the training, so the scores are of other rows; train again")


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Return plain data in which sources have the names that they have in the repository."""
    if isinstance(value, Mapping):
        return {key: _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def _measured(record: Record, claims: Iterable[Claim]) -> Iterator[dict[str, Any]]:
    """Yield a claim for each score of the weights about which the recipe has none."""
    known = {(claim.split, claim.metric) for claim in claims if claim.of == "weights"}
    for result in record.results:
        if result.selection != record.kept_epoch:
            continue
        threshold = {name: result.scoring[name] for name in ("threshold", "threshold_from") if name in result.scoring}
        for metric, score in result.metrics.items():
            if score["value"] is not None and (result.split, metric) not in known:
                yield {
                    "of": "weights", "split": result.split, "metric": metric, "value": round(score["value"], DECIMALS),
                    "decimals": DECIMALS, "n": result.n, **threshold, "source": SOURCE,
                }  # fmt: skip


def _check_sources(content: Mapping[str, Any]) -> None:
    """Raise UsageError if a source could not be read from the repository, such as a server in the user's network."""
    sources = Sources(recipe_repo=SOMEWHERE)
    for text in filter(is_source, texts({name: value for name, value in content.items() if name != "claims"})):
        if problem := sources.problem(text):
            raise UsageError(f"others could not read the recipe of this run: {problem}")

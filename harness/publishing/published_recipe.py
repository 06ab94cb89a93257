"""The recipe that is published beside a trained model, by which others verify its scores. Never imports torch."""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.publishing.local_data import find_file
from harness.records.record import Record
from zoo.errors import UsageError
from zoo.fetch.source_types import FILE, LocalFile, RecipeRepo, is_source, parse_or_none
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue
from zoo.recipes.claim import CORRELATIONS
from zoo.recipes.schema import Recipe, load_recipe
from zoo.recipes.values import texts, to_data

FIELDS = ("name", "task", "tokenizer", "model", "weights", "holdout", "rows", "metrics", "stages", "claims")
"""The order of the fields, as people write them."""
DECIMALS = 7
"""The decimals with which a measured score is claimed: enough to tell one prediction of a million from none."""
DATA = "data"
"""The folder for files that the recipe names by a path that leads out of its folder."""
SOURCE = "measured by `zoo train` for these weights; see record.json"
SOMEWHERE = f"hub:owner/name@{'0' * 40}"
"""Stands for the repository in checks that send no request."""
LISTS = ("classes", "only")
"""Arguments of a task that may be a file of names; a published recipe has the names."""
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json")
"""Files of a tokenizer that a training has exported."""


@dataclass(frozen=True, kw_only=True)
class PublishedRecipe:
    """A recipe that names everything by its place in a repository."""

    text: str
    data: Mapping[str, LocalFile] = field(default_factory=dict)
    """Name in the repository -> the file or folder with data, as the recipe of the run names it."""
    training_needs: tuple[str, ...] = ()
    """What the training reads and nobody else can: weights and recipes of this machine. The recipe then has no stages,
    so that it verifies the weights alone."""
    left_out: tuple[str, ...] = ()
    """Scores that no claim can have: they are undefined, or no fraction."""


def published_recipe(record: Record, recipe: Recipe, folders: Sequence[Path]) -> PublishedRecipe:
    """Return the recipe to publish beside the weights of a training.

    Its claims are the scores of these weights, and those of the recipe about its training.

    Args:
        record: The training.
        recipe: The recipe that was run, with its claims.
        folders: Where files with the names of classes are looked up, in this order.

    Raises:
        UsageError: Others could not read the recipe, or two files have the same name.
    """
    content = json.loads(json.dumps(to_data(recipe)))  # plain texts and numbers only
    task = content["task"] = _with_names(content["task"], folders)
    read = [task, content.get("metrics"), content.get("rows")]
    names = {str(source): _name(source) for source in dict.fromkeys(_local(read))}
    data = {name: source for source in _local(read) if not _is_copied(name := names[str(source)], content, record)}
    _check_names(names, data, record)
    needs = tuple(dict.fromkeys(_training_needs(recipe, content, names)))
    if needs:
        del content["stages"]
    content = _renamed(content, {source: f"{FILE}{name}" for source, name in names.items()})
    content["model"] = _renamed(content["model"], {str(s): f"{FILE}{_last(s.path)}" for s in _local(content["model"])})
    if "tokenizer" in content:
        content["tokenizer"] = _renamed(content["tokenizer"], _exported_tokenizer(content["tokenizer"], record))
    claims, left_out = _measured(record, content.get("rows") or {})
    own = [claim for claim in content.get("claims", ()) if claim["of"] == "retrain" and "stages" in content]
    content |= {"weights": str(RecipeRepo()), "claims": [*claims, *own]}
    _check_sources(content)
    ordered = {name: content[name] for name in FIELDS if content.get(name)}
    text = yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    _check_readable(text)
    return PublishedRecipe(text=text, data=data, training_needs=needs, left_out=left_out)


def _local(part: Any) -> Iterator[LocalFile]:
    """Yield the files and folders of this machine that plain data name."""
    yield from (source for text in texts(part) if isinstance(source := parse_or_none(text), LocalFile))


def _with_names(task: dict[str, Any], folders: Sequence[Path]) -> dict[str, Any]:
    """Return a task with the names of classes in place of the files that have them."""
    if "preprocessing" in task and any(_private(task["preprocessing"])):
        raise UsageError(
            f"others need the preprocessing of {task['preprocessing'].get('of')}; publish that model first, and name it"
            " as hub:OWNER/NAME in the recipe"
        )
    if str(RecipeRepo()) in texts(task):
        raise UsageError(
            "the data of this recipe are in the repository that it was published in; name them as hub:OWNER/NAME"
        )
    files = {key: parse_or_none(task.get(key)) for key in LISTS if isinstance(task.get(key), str)}
    local = {key: source for key, source in files.items() if isinstance(source, LocalFile)}
    return {**task, **{key: _lines(find_file(source, folders)) for key, source in local.items()}}


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]


def _private(part: Any) -> Iterator[str]:
    """Yield the sources of plain data that others cannot read, or that mean another repository there."""
    yield from (text for text in texts(part) if isinstance(parse_or_none(text), LocalFile | RecipeRepo))


def _last(path: str) -> str:
    """Return the last part of a path, also of one of Windows."""
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]


def _name(source: LocalFile) -> str:
    """Return the name of a file in the repository: its path, or its name in a folder if the path leads elsewhere."""
    name = source.repository_path or f"{DATA}/{_last(source.path)}"
    if LocalFile(name).repository_path is None:
        raise UsageError(f"{source}: a file of this name cannot be published; rename it, also in the recipe")
    return name


def _is_copied(name: str, content: Mapping[str, Any], record: Record) -> bool:
    """Return whether the training has put a copy of a file into its folder: those with row numbers."""
    return name in record.files and f"{FILE}{name}" in (content.get("rows") or {}).values()


def _check_names(names: Mapping[str, str], data: Mapping[str, LocalFile], record: Record) -> None:
    """Raise UsageError if two files would have the same name in the repository."""
    taken = [source for source, name in names.items() if list(names.values()).count(name) > 1]
    taken += [str(source) for name, source in data.items() if name in record.files]
    if taken:
        raise UsageError(f"{taken[0]} has the name of another file; rename it, also in the recipe, and train again")


def _training_needs(recipe: Recipe, content: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """Yield what only the training reads, and only on this machine: files, and teachers with a recipe of their own."""
    yield from _private(content["model"])
    yield from (text for text in _private(content.get("stages", ())) if text not in names)
    shipped = {entry.name for entry in catalogue.entries()}
    teachers = (teacher for stage in recipe.stages for teacher in stage.all_teachers.values() if teacher.model is None)
    yield from (name for teacher in teachers if (name := str(teacher.run or teacher.entry)) not in shipped)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Return plain data in which sources have the names that they have in the repository."""
    if isinstance(value, Mapping):
        return {key: _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def _exported_tokenizer(tokenizer: Any, record: Record) -> dict[str, str]:
    """Return the new names of what a tokenizer reads: copies in the folder of the run, or the exported tokenizer."""
    names = {}
    for text in _private(tokenizer):
        source = parse_or_none(text)
        path = source.repository_path if isinstance(source, LocalFile) else None
        digest = record.identity.sources["files"].get(text)
        if path is not None and digest in (None, record.files.get(path)) and path in record.files:
            continue
        if not record.files.keys() & set(TOKENIZERS):
            raise UsageError(f"others need the tokenizer of {text}; publish it first, and name it as hub:OWNER/NAME")
        names[text] = str(RecipeRepo())
    return names


def _measured(record: Record, rows: Mapping[str, str]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return a claim for each score of the weights, and the names of scores that no claim can have."""
    claims, left_out = list[dict[str, Any]](), list[str]()
    precision = record.identity.numerics["precision"]
    for result in record.results:
        if result.selection != record.kept_epoch:
            continue
        chosen = [name for name in ("threshold_from", "threshold") if name in result.scoring][:1]
        subset = {"rows": rows[result.split]} if result.split in rows else {"n": result.n}
        for metric, score in result.metrics.items():
            value, lowest = score["value"], -1 if metric in CORRELATIONS else 0
            if value is None or not lowest <= value <= 1:
                left_out.append(f"{metric} on {result.split}")
                continue
            claims.append({
                "of": "weights", "split": result.split, "metric": metric, "value": round(value, DECIMALS),
                "decimals": DECIMALS, **subset, **{name: result.scoring[name] for name in chosen},
                **({} if precision == "fp32" else {"precision": precision}), "source": SOURCE,
            })  # fmt: skip
    return claims, tuple(left_out)


def _check_sources(content: Mapping[str, Any]) -> None:
    """Raise UsageError if a source could not be read from the repository, such as a server in the user's network."""
    sources = Sources(recipe_repo=SOMEWHERE)
    named: Iterable[str] = texts({name: value for name, value in content.items() if name != "claims"})
    for text in filter(is_source, named):
        if problem := sources.problem(text):
            raise UsageError(f"others could not read the recipe of this run: {problem}")


def _check_readable(text: str) -> None:
    """Raise UsageError if others could not read the recipe."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / catalogue.PUBLISHED
        path.write_text(text, encoding="utf-8")
        try:
            load_recipe(path)
        except UsageError as error:
            raise UsageError(
                f"others could not read the recipe of this run: {error}".replace(f"{folder}/", "")
            ) from None

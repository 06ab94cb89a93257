"""The recipe that is published beside a trained model, by which others verify its scores."""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.judging.measured_claims import weights_claims
from harness.publishing.local_data import Places
from harness.records.record import Record
from zoo.errors import UsageError
from zoo.fetch.source_types import FILE, LocalFile, RecipeRepo, is_source, parse_or_none
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue
from zoo.recipes.load_model import architecture, auto_class
from zoo.recipes.schema import Recipe, load_recipe
from zoo.recipes.values import texts, to_data
from zoo.tasks.class_list import read_names

FIELDS = ("name", "task", "tokenizer", "model", "weights", "holdout", "rows", "metrics", "stages", "claims")
"""The order of the fields, as people write them."""
DATA = "data"
"""The folder for files that the recipe names by a path that leads out of its folder."""
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
    """Weights and recipes of this machine that only the training reads. If there are any, the published recipe has no
    stages: others can verify the weights, and cannot train again."""
    left_out: tuple[str, ...] = ()
    """Scores that no claim can have: they are undefined, or no fraction."""


def published_recipe(record: Record, recipe: Recipe, places: Places) -> PublishedRecipe:
    """Return the recipe to publish beside the weights of a training.

    Its claims are the scores of these weights, and those of the recipe about its training.

    Args:
        record: The training.
        recipe: The recipe that was run, with its claims.
        places: Where files with the names of classes are looked up.

    Raises:
        UsageError: Others could not read the recipe, or two files have the same name.
    """
    content = json.loads(json.dumps(to_data(recipe)))  # plain texts and numbers only
    task = content["task"] = _with_names(content["task"], places)
    read = [task, content.get("metrics"), content.get("rows"), _built_model(recipe)]
    names = {str(source): _name(source) for source in dict.fromkeys(_local(read))}
    data = {name: source for source in _local(read) if not _is_copied(name := names[str(source)], content, record)}
    _check_names(_local(read), data, record)
    needs = tuple(dict.fromkeys(_training_needs(recipe, content, names)))
    if needs:
        content.pop("stages")
    tokenizer = _exported_tokenizer(content.get("tokenizer"), record)
    model = {str(source): f"{FILE}{_last(source.path)}" for source in _local(content["model"])}
    claims, left_out = weights_claims(record)
    own = [claim for claim in content.get("claims", ()) if claim["of"] == "retrain" and "stages" in content]
    content = _renamed({**content, "claims": [*claims, *own]}, {text: f"{FILE}{name}" for text, name in names.items()})
    content |= {"weights": str(RecipeRepo()), "model": _renamed(content["model"], model)}
    content["tokenizer"] = _renamed(content.get("tokenizer"), tokenizer)
    _check_sources(content)
    ordered = {name: content[name] for name in FIELDS if content.get(name)}
    text = yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    _check_readable(text)
    return PublishedRecipe(text=text, data=data, training_needs=needs, left_out=left_out)


def _built_model(recipe: Recipe) -> Any:
    """Return the call that builds the model for weights; None if the configuration beside them takes its place."""
    return None if auto_class(recipe.model) is not None else to_data(architecture(recipe.model))


def _local(part: Any) -> Iterator[LocalFile]:
    """Yield the files and folders of this machine that plain data name."""
    yield from (source for text in texts(part) if isinstance(source := parse_or_none(text), LocalFile))


def _with_names(task: dict[str, Any], places: Places) -> dict[str, Any]:
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
    return {**task, **{key: read_names(places.find(source)) for key, source in local.items()}}


def _private(part: Any) -> Iterator[str]:
    """Yield the sources of plain data that others cannot read, or that mean another repository there."""
    yield from (text for text in texts(part) if isinstance(parse_or_none(text), LocalFile | RecipeRepo))


def _last(path: str) -> str:
    """Return the last part of a path, also of one of Windows."""
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]


def _name(source: LocalFile) -> str:
    """Return the name of a file in the repository: its path, or its name in a folder if the path leads elsewhere."""
    last = _last(source.path)
    elsewhere = DATA if last == "." else f"{DATA}/{last}"  # the folder of the recipe itself
    name = source.repository_path or elsewhere
    if last in ("", "..", "~") or LocalFile(name).repository_path is None:
        raise UsageError(f"{source}: a file of this name cannot be published; rename it, also in the recipe")
    return name


def _is_copied(name: str, content: Mapping[str, Any], record: Record) -> bool:
    """Return whether the training has put a copy of a file into its folder: those with row numbers."""
    rows = {source.repository_path for source in _local(content.get("rows"))}
    return name in record.files and name in rows


def _check_names(read: Iterable[LocalFile], data: Mapping[str, LocalFile], record: Record) -> None:
    """Raise UsageError if two files would have the same name in the repository."""
    of_run, taken = record.files.keys() & data.keys(), dict[str, str]()
    for source in read:
        name, path = _name(source), source.repository_path or source.path
        if name in of_run or taken.setdefault(name, path) != path:
            raise UsageError(f"{source} has the name of another file; rename it, also in the recipe, and train again")


def _training_needs(recipe: Recipe, content: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """Yield what only the training reads, and only on this machine: files, and teachers with a recipe of their own."""
    yield from (text for text in _private(content["model"]) if text not in names)
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
    """Return new names for the files of a tokenizer: copies in the folder of the run, or the exported tokenizer.

    Raises:
        UsageError: The run has neither.
    """
    names = {}
    for text in _private(tokenizer):
        source = parse_or_none(text)
        path = source.repository_path if isinstance(source, LocalFile) else None
        digest = record.identity.sources["files"].get(text)
        if path is not None and path in record.files and digest in (None, record.files[path]):
            names[text] = f"{FILE}{path}"
        elif tokenizer["use"] == "published" and record.files.keys() & set(TOKENIZERS):
            names[text] = str(RecipeRepo())
        else:
            raise UsageError(
                f"others need {text} for the tokenizer, and the run has no copy of it; put it into the folder of the"
                " recipe, name it there, and train again"
            )
    return names


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
            problem = str(error).replace(str(path), catalogue.PUBLISHED)
            raise UsageError(f"others could not read the recipe of this run: {problem}") from None

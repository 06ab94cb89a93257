"""The files that a recipe names by their paths, and their copies in the folder of its run.

The recipes of teachers, the files of tokenizers and those of row numbers are copied. Data and weights are not: they can
be large or private.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zoo.errors import ZooError
from zoo.fetch.source_types import LocalFile, UserFolder, parse_or_none
from zoo.files import is_hidden
from zoo.recipes.catalogue import LOCAL, Entry
from zoo.recipes.stage import Teacher
from zoo.recipes.walk import walk_sources

COPIED = ("recipe", "tokenizer", "rows")
"""The fields of a recipe whose files are copied; `recipe` stands for the recipe of a teacher."""
MOST_BYTES = 16 * 2**20
"""The size of the largest file that is copied."""


@dataclass(frozen=True, kw_only=True)
class NeededFiles:
    """The files that a recipe needs, and that are not in the folder of its run."""

    missing: Mapping[str, str] = field(default_factory=dict)
    """The paths of files, absolute or relative to the run's folder, each with a note or an empty text."""
    data: tuple[str, ...] = ()
    """The names of data sets, which `--data NAME=DIR` finds."""


@dataclass(frozen=True)
class _NamedFile:
    """A file as a recipe names it: its path as written, below the folder of the recipe of the run."""

    name: Path
    path: Path
    field: str


def copy_needed_files(entry: Entry, folder: Path, reserved: tuple[str, ...] = ()) -> NeededFiles:
    """Copy the files that an entry's recipe needs to the same relative paths in a folder, and return all others.

    A file is not copied if it lies outside of the recipe's folder, if it is hidden or large, or if the folder of the
    run has another file of its name: a recipe of somebody else must not make a user publish private files.

    Args:
        entry: The entry that was trained.
        folder: The folder of its run.
        reserved: The names of files that will be written into the folder.
    """
    root = entry.folder.resolve() if entry.folder else None
    missing, data = dict[str, str](), list[str]()
    for named in _named_by(entry, Path()):
        if isinstance(named, UserFolder):
            data.append(named.name)
            continue
        content = _content(named, root)
        name, target = os.path.normpath(named.name), folder / named.name
        if content is None:
            missing[name] = ""
        elif name in reserved or not _write(content, target):
            missing[name] = "another file of the run has this name; rename it, also in the recipe"
    return NeededFiles(missing=missing, data=tuple(dict.fromkeys(data)))


def _write(content: bytes, target: Path) -> bool:
    """Write a file unless there is another one, and return whether it has this content then."""
    try:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return target.read_bytes() == content
    except OSError:
        return False


def _content(named: _NamedFile, root: Path | None) -> bytes | None:
    """Return the content of a file to copy; None if it is not to be copied."""
    name = Path(os.path.normpath(named.name))
    try:
        path = named.path.resolve()
        is_inside = root is not None and path.is_relative_to(root) and not name.is_absolute()
        if not is_inside or any(map(is_hidden, (*name.parts, *path.relative_to(root or path).parts))):  # `..` is hidden
            return None
        is_small = path.is_file() and path.stat().st_size <= MOST_BYTES
        return path.read_bytes() if named.field in COPIED and is_small else None
    except (OSError, RuntimeError):  # a loop of links
        return None


def _named_by(entry: Entry, below: Path) -> Iterator[_NamedFile | UserFolder]:
    """Yield what the training of an entry reads; `below` is the folder of its recipe, seen from that of the run."""
    yield from _sources(entry.recipe, "recipe", entry, below)
    for rows in entry.recipe.rows.values():
        yield from _source(str(rows), "rows", entry, below) if rows.is_file else ()
    for stage in entry.recipe.stages:
        for teacher in stage.all_teachers.values():
            if teacher.model is None:
                yield from _named_by_teacher(teacher, entry, below)
            elif teacher.weights is not None:
                yield from _source(teacher.weights, "weights", entry, below)


def _named_by_teacher(teacher: Teacher, student: Entry, below: Path) -> Iterator[_NamedFile | UserFolder]:
    name = str(teacher.run or teacher.entry)
    try:
        entry = student.teacher_entry(teacher)
        recipe = entry.recipe
    except ZooError:  # it was deleted or changed during the training, whose result must not be lost
        yield _NamedFile(below / name, Path(name), "")
        return
    if entry.suite == LOCAL:
        is_beside = student.folder is not None and (student.folder / name).is_file()
        yield _NamedFile(below / name if is_beside else Path(name), entry.path, "recipe")
        below = (below / name if is_beside else Path(name)).parent
    if teacher.run is not None:
        yield from _named_by(entry, below)
        return
    yield from _sources(recipe.model, "model", entry, below)
    if recipe.weights is not None:
        yield from _source(recipe.weights, "weights", entry, below)


def _sources(part: object, field: str, entry: Entry, below: Path) -> Iterator[_NamedFile | UserFolder]:
    for source in walk_sources(part, field):
        yield from _source(source.text, source.field, entry, below)


def _source(text: str, field: str, entry: Entry, below: Path) -> Iterator[_NamedFile | UserFolder]:
    source = parse_or_none(text)
    if isinstance(source, UserFolder):
        yield source
    elif isinstance(source, LocalFile):
        path = source.below(entry.folder).expanded if entry.folder else source.expanded
        is_beside = path != source.expanded  # else it is seen from the working directory, as that of the run will be
        yield _NamedFile(below / source.expanded if is_beside else path, path, field)

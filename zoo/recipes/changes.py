"""Which entries a change touches: what `verify --changed-since REV` has to look at. Asks git; imports nothing heavy."""

import ast
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zoo import paths
from zoo.errors import UsageError
from zoo.fetch import urls
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.reader import texts
from zoo.recipes.schema import Recipe

ALL = ("pyproject.toml", "constraints.txt")
TELLING = (
    "zoo/doctor/", "zoo/recipes/changes.py", "zoo/cli/", "zoo/api/", "zoo/text_tables.py", "harness/diagnosis/",
    "harness/runs/export.py", "harness/runs/cache.py", "harness/runs/glue_submission.py",
)  # fmt: skip
"""Code that only tells of scores, or looks for their faults: no entry is touched by it."""
LEAVES = ("zoo/models", "zoo/tasks", "harness/losses")
"""Folders of which a module serves only the recipes that name something of it."""


def changed_since(revision: str, entries: Iterable[Entry]) -> dict[str, str]:
    """Entry -> what of it has changed since a revision of the checkout, in the working tree or committed.

    An entry is touched by its recipe, canary and committed records, by the pins of its sources, by shipped files that
    it names, by the modules of models, tasks and losses that it names, by what touches its teachers, and by any other
    code of the project. One whose recipe cannot be read is touched. Raises UsageError outside a checkout and for a
    revision that git does not know.
    """
    root = paths.checkout()
    if root is None:
        raise UsageError("--changed-since needs a checkout of the project")
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
    changed = _git(root, "diff", "--name-only", "--relative", "--no-renames", "-z", commit, "--").split("\0")
    changed += _git(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    pins = _moved_pins(root, commit) if "configs/zoo.lock" in changed else frozenset()
    chosen = list(entries)
    known = {entry.name: entry for entry in [*catalogue.entries(), *chosen]}
    found = {name: why for name, entry in known.items() if (why := _why(entry, changed, pins, root))}
    taught = {name: _teachers(entry.recipe) for name, entry in known.items() if entry.is_readable}
    while more := [(n, t) for n, of in taught.items() for t in of if t in found and n not in found]:
        found |= {name: f"its teacher {teacher}: {found[teacher]}" for name, teacher in more}
    return {entry.name: found[entry.name] for entry in chosen if entry.name in found}


def _why(entry: Entry, paths: Iterable[str], pins: Iterable[str], root: Path) -> str | None:
    if not entry.is_readable:
        return "its recipe cannot be read"
    pinned = (f"the lock's pin of {name}" for name in sorted(pins) if _names(entry.recipe, name))
    return next((why for path in paths if path and (why := _touches(path, entry, root))), None) or next(pinned, None)


def _touches(path: str, entry: Entry, root: Path) -> str | None:
    """What a changed file means for an entry; None where nothing."""
    file = Path(path)
    folder = file.parent.as_posix()
    if file in (_relative(entry.path, root), _relative(entry.path.with_suffix(".fingerprint.json"), root)):
        return path
    if path.startswith(f"leaderboard/records/{entry.name}/"):
        return f"committed records in {folder}"
    if folder == "zoo/starter":
        return path if _names(entry.recipe, f"embedded:{file.name}") else None
    if path in ALL:
        return path
    if file.suffix == ".md" or file.parts[0] not in ("zoo", "harness") or path.startswith(TELLING):
        return None
    if folder in LEAVES and (exported := _exported(root / folder, file.stem)):
        return path if exported & _used(entry.recipe) else None
    return path


def _relative(path: Path, root: Path) -> Path:
    full = path.resolve()
    return full.relative_to(root) if full.is_relative_to(root) else full


def _exported(package: Path, module: str) -> set[str]:
    """The names that a package takes from one of its modules; empty for a module that others build on."""
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    nodes = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in nodes if str(node.module).rpartition(".")[2] == module for alias in node.names}


def _used(recipe: Recipe) -> set[str]:
    """Every name that a recipe calls, without its path, and every other text."""
    found = texts(recipe.data())
    return {text.rpartition(".")[2] if text.replace(".", "").replace("_", "").isalnum() else text for text in found}


def _names(recipe: Recipe, source: str) -> bool:
    """Whether a recipe names a source, at whatever revision, or a file of the archive that it is."""
    return any(urls.address(text).partition("@")[0] == source for text in texts(recipe.data()))


def _teachers(recipe: Recipe) -> list[str]:
    teachers = [teacher for stage in recipe.stages for teacher in stage.all_teachers.values()]
    return [name for teacher in teachers if (name := teacher.entry or teacher.run)]


def _moved_pins(root: Path, commit: str) -> frozenset[str]:
    """The sources of which the lock says something else than it did at a commit."""
    then = (
        _git(root, "show", f"{commit}:./configs/zoo.lock")
        if _git(root, "ls-tree", commit, "configs/zoo.lock")
        else "{}"
    )
    before, now = (_pins(text) for text in (then, paths.lock().read_text(encoding="utf-8")))
    return frozenset(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _pins(text: str) -> dict[str, Any]:
    """What a lock says of each source; of what is shipped, of each file."""
    sources: dict[str, Any] = dict(json.loads(text).get("sources", {}))
    shipped = sources.pop("embedded:", {}).get("files", {})
    return sources | {f"embedded:{name}": pin for name, pin in shipped.items()}


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except OSError as error:
        raise UsageError(f"--changed-since asks git, which does not start: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip() or f"no such revision: {arguments[-1].removesuffix('^{commit}')}"
        raise UsageError(f"git {arguments[0]}: {said}") from None
    return done.stdout

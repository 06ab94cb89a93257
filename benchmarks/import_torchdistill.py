"""Import every torchdistill configuration below a folder, check the recipes, and count the obstacles.

    python -m benchmarks.import_torchdistill DIR [--table FILE.md] [--recipes DIR]

A configuration counts as converted if its recipe passes the checks of `zoo check`. Nothing is downloaded, and nothing
that a configuration names is imported.
"""

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import RecipeError, ZooError
from zoo.importers.check import check_imported
from zoo.importers.outcome import ImportedRecipe
from zoo.importers.recipe_text import text_of
from zoo.importers.torchdistill.convert import import_config

_VALUE = re.compile(r"'[^']*'|\b[\w./:-]*\d[\w./:-]*")


@dataclass(frozen=True, kw_only=True)
class Result:
    """One configuration: its recipe, or what blocks it."""

    path: Path
    imported: ImportedRecipe | None = None
    obstacles: tuple[str, ...] = ()


def main() -> None:
    """Import, count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--table", type=Path, help="write a Markdown table of the obstacles to this file")
    parser.add_argument("--recipes", type=Path, help="write the recipes to this folder")
    options = parser.parse_args()
    results = [import_one(path) for path in sorted(options.folder.rglob("*.y*ml"))]
    print(report(results, options.folder))
    if options.table:
        options.table.write_text(obstacle_table(results, options.folder))
    for result in results if options.recipes else ():
        if result.imported is not None:
            target = options.recipes / result.path.relative_to(options.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text_of(result.imported))


def import_one(path: Path) -> Result:
    """Return the result for one configuration."""
    try:
        imported = import_config(path)
        check_imported(imported)
    except RecipeError as error:
        return Result(path=path, obstacles=tuple(str(problem) for problem in error.problems))
    except ZooError as error:
        return Result(path=path, obstacles=(str(error),))
    return Result(path=path, imported=imported)


def report(results: Sequence[Result], folder: Path) -> str:
    """Return the counts by folder, and each configuration that is refused with its obstacles."""
    counts: dict[str, Counter[bool]] = {}
    for result in results:
        counts.setdefault(_group(result.path, folder), Counter())[result.imported is not None] += 1
    width = max(map(len, counts), default=0)
    lines = [f"{name:{width}}  {count[True]:4} of {sum(count.values()):4} converted and checked"
             for name, count in counts.items()]  # fmt: skip
    done = sum(count[True] for count in counts.values())
    lines.append(f"{'all':{width}}  {done:4} of {len(results):4} converted and checked")
    for result in results:
        if result.imported is None:
            lines += [f"refused: {result.path.relative_to(folder)}", *(f"    {line}" for line in result.obstacles)]
    return "\n".join(lines)


def obstacle_table(results: Sequence[Result], folder: Path) -> str:
    """Return a Markdown table of the obstacles, without their positions and values, and how many files each blocks."""
    blocked: dict[str, set[Path]] = {}
    for result in results:
        for line in result.obstacles:
            message = line.split(": ", maxsplit=1)[-1]
            blocked.setdefault(_VALUE.sub("...", message), set()).add(result.path.relative_to(folder))
    rows = sorted(blocked.items(), key=lambda item: -len(item[1]))
    lines = [f"| {message} | {len(paths)} | `{min(paths)}` |" for message, paths in rows]
    return "\n".join(["| obstacle | files | for example |", "|:--|--:|:--|", *lines, ""])


def _group(path: Path, folder: Path) -> str:
    return "/".join(path.relative_to(folder).parts[:3][:-1]) or "."


if __name__ == "__main__":
    main()

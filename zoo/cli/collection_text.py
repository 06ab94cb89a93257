"""Show the runs that `zoo collect` has found and copied."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.text_tables import counted, finite, first_of

if TYPE_CHECKING:
    from harness.fleet.collect import Collection, Conflict, SameSeed
    from harness.fleet.run_differences import Difference

LISTED = 20
"""The most units in a text; JSON has all of them."""
DIGEST, SHOWN = 64, 12
"""The characters of a SHA-256, and how many of them a text shows."""


def collection_data(found: "Collection", copied: Sequence[Path], target: Path) -> dict[str, Any]:
    """Return the JSON of collected runs."""
    return {
        "runs": len(found.runs), "to": str(target), "copied": [str(path) for path in copied],
        "already_there": [str(path) for path in found.already_there],
        "copies": [str(path) for path in found.copies],
        "conflicts": [_conflict_data(conflict) for conflict in found.conflicts],
        "damaged": [{"run": str(run.path), "why": run.why} for run in found.damaged],
        "twice": [
            {"runs": [str(run.path) for run in each.runs], "differs": _data(each.conditions)}
            for each in found.same_seed
        ],
        "missing": [
            {"entry": unit.entry.name, "mode": unit.mode, "seed": unit.seed, "unit": unit.index}
            for unit in found.missing
        ],
    }  # fmt: skip


def collection_text(
    found: "Collection",
    target: Path,
    *,
    has_plan: bool,
    copied: Sequence[Path] | None = None,
    to_copy: Sequence[Path] | None = None,
) -> str:
    """Return what was collected as text.

    Args:
        found: The runs.
        target: The folder that runs are copied into.
        has_plan: Whether the missing runs of a plan are listed.
        copied: The new folders; None if nothing was to be copied.
        to_copy: The folders of the runs that would be copied; None if this was not asked for, or if none may be copied.
    """
    lines = [f"{counted(found.given, 'different run')} with intact files in the given folders"]
    there, shared = _distinct(found.already_there), _distinct(found.copies)
    lines += [f"{counted(there, 'run is', 'runs are')} already in {target}"] * bool(there)
    lines += [f"{counted(shared, 'run is', 'runs are')} in several given folders, with the same scores"] * bool(shared)
    lines += [f"damaged: {run.why}" for run in found.damaged]
    for conflict in found.conflicts:
        lines += _conflict_lines(conflict, target)
    for each in found.same_seed:
        lines += _same_seed_lines(each)
    lines += _missing_lines(found) if has_plan else []
    if to_copy is not None:
        lines.append(f"{counted(len(to_copy), 'run')} would be copied to {target}{':' if to_copy else ''}")
        lines += _listed([f"  {folder}" for folder in to_copy])
    lines += [f"{counted(len(copied), 'run')} copied to {target}"] if copied is not None else []
    return "\n".join(lines)


def _distinct(records: Sequence[Path]) -> int:
    """Return the number of runs whose records are listed, perhaps in several folders."""
    return len({path.parts[-3:] for path in records})


def _missing_lines(found: "Collection") -> list[str]:
    if not found.missing:
        return ["no run of the plan is missing"]
    names = [f"  unit {unit.index}: {unit.name}" for unit in found.missing]
    return [f"{counted(len(names), 'run')} of the plan missing:", *_listed(names)]


def _listed(lines: Sequence[str]) -> list[str]:
    return first_of(lines, LISTED, between="\n", last="\n  ").splitlines()


def _conflict_data(conflict: "Conflict") -> dict[str, Any]:
    return {
        "runs": [str(run.path) for run in conflict.runs], "scores": _data(conflict.scores),
        "environment": _data(conflict.environment), "taken": str(conflict.taken.path) if conflict.taken else None,
    }  # fmt: skip


def _data(differences: "Iterable[Difference]") -> dict[str, list[Any]]:
    return {
        each.name: [finite(value) if isinstance(value, float) else value for value in each.values]
        for each in differences
    }


def _conflict_lines(conflict: "Conflict", target: Path) -> Iterator[str]:
    yield "the same run with different scores:"
    for run in conflict.runs:
        word = ""
        if conflict.taken is not None:
            left = f"left out, and replaced in {target}" if run.folder == target.resolve() else "left out"
            word = "taken: " if run.path == conflict.taken.path else f"{left}: "
        yield f"  {word}{run.path}"
    yield from _difference_lines("scores", conflict.scores)
    yield from _difference_lines("environment", conflict.environment)
    if not conflict.environment:
        yield "  The recorded environments are equal. They do not include the processor model."
    if conflict.taken is None:
        for run in conflict.runs:
            verb = "keeps" if run.folder == target.resolve() else "takes"
            yield f"  --prefer {shlex.quote(str(run.folder))} {verb} its run"


def _same_seed_lines(found: "SameSeed") -> Iterator[str]:
    yield "the same entry and seed under different conditions:"
    yield from (f"  {run.path}" for run in found.runs)
    yield from _difference_lines("conditions", found.conditions)


def _difference_lines(heading: str, differences: "Iterable[Difference]") -> Iterator[str]:
    """Yield the differences, in the order of the runs, with a hanging indent."""
    for each in differences:
        yield f"  {heading}: {each.name}: {' | '.join(map(_shown, each.values))}"


def _shown(value: Any) -> str:
    """Return a value for readers; of a digest the first characters, and `-` for none."""
    text = "-" if value is None else str(value)
    return text[:SHOWN] if len(text) == DIGEST else text

"""Show the runs that `zoo collect` has found and copied."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.text_tables import counted, finite

if TYPE_CHECKING:
    from harness.fleet.collect import Collection, Conflict, SharedCell
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
            {"runs": [str(run.path) for run in cell.runs], "differs": _data(cell.conditions)} for cell in found.twice
        ],
        "missing": [
            {"entry": unit.entry.name, "mode": unit.mode, "seed": unit.seed, "unit": unit.index}
            for unit in found.missing
        ],
    }  # fmt: skip


def collection_text(found: "Collection", copied: Sequence[Path] | None, target: Path) -> str:
    """Return what was collected as text.

    Args:
        found: The runs.
        copied: The new folders; None if nothing was to be copied.
        target: The folder that runs are copied into.
    """
    lines = [f"{counted(found.given, 'run')} in the given folders, as recorded"]
    lines += [f"{counted(len(found.already_there), 'run')} already in {target}"] * bool(found.already_there)
    lines += [f"{counted(len(found.copies), 'copy', 'copies')} in other given folders"] * bool(found.copies)
    lines += [f"damaged: {run.why}" for run in found.damaged]
    for conflict in found.conflicts:
        lines += _conflict_lines(conflict, target)
    for cell in found.twice:
        lines += _shared_lines(cell)
    if found.missing:
        names = [f"  unit {unit.index}: {unit.name}" for unit in found.missing]
        lines += [f"{counted(len(names), 'run')} of the plan missing:", *names[:LISTED]]
        lines += [f"  and {len(names) - LISTED:,} more"] * (len(names) > LISTED)
    lines += [f"{counted(len(copied), 'run')} copied to {target}"] if copied is not None else []
    return "\n".join(lines)


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
        yield ("  nothing that the records say of the environments differs; the model of the processor is not among it")
    if conflict.taken is None:
        yield f"  --prefer {conflict.runs[0].folder} takes the first"


def _shared_lines(cell: "SharedCell") -> Iterator[str]:
    yield "the same entry and seed under different conditions:"
    yield from (f"  {run.path}" for run in cell.runs)
    yield from _difference_lines("conditions", cell.conditions)


def _difference_lines(heading: str, differences: "Iterable[Difference]") -> Iterator[str]:
    """Yield the differences, in the order of the runs, with a hanging indent."""
    for each in differences:
        yield f"  {heading}: {each.name}: {' | '.join(map(_shown, each.values))}"


def _shown(value: Any) -> str:
    """Return a value for readers; of a digest the first characters, and `-` for none."""
    text = "-" if value is None else str(value)
    return text[:SHOWN] if len(text) == DIGEST else text

"""Find the recipe files of a plan on this machine, whose folders may differ from those of the machine that made it."""

from dataclasses import replace
from pathlib import Path

from harness.fleet.plan_file import Plan, Unit
from zoo.errors import UsageError
from zoo.progress import Report

LISTED = 3
"""The most files that a message names."""


def plan_here(plan: Plan, report: Report) -> Plan:
    """Return a plan with the working directory that its runs use on this machine, and with the recipes in it.

    That is the recorded directory if it exists and has the recipes, else the current one if that has the recipes.

    Args:
        plan: The plan, as it was read.
        report: Called with a message if the current directory is used instead of the recorded one.

    Raises:
        UsageError: The recorded directory does not exist, and the current one lacks recipes.
    """
    if plan.folder.is_dir() and not _missing_recipes(plan):
        return plan
    moved = _moved(plan, Path.cwd())
    missing = _missing_recipes(moved)
    if not missing:
        why = "lacks its recipes" if plan.folder.is_dir() else "does not exist on this machine"
        report(f"using the working directory {moved.folder}: {plan.folder}, where the plan was made, {why}")
        return moved
    if plan.folder.is_dir():  # each unit whose recipe is missing reports that
        return plan
    more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
    raise UsageError(
        f"{plan.file}: its working directory {plan.folder} does not exist on this machine, and neither does the recipe"
        f" {', '.join(map(str, missing[:LISTED]))}{more}; copy the recipes to these paths, or run this command in the"
        " folder that has them"
    )


def _moved(plan: Plan, folder: Path) -> Plan:
    return replace(plan, folder=folder, units=tuple(_moved_unit(unit, plan.folder, folder) for unit in plan.units))


def _moved_unit(unit: Unit, before: Path, after: Path) -> Unit:
    path = unit.entry.path
    if unit.entry.is_shipped or not path.is_relative_to(before):
        return unit
    return replace(unit, entry=replace(unit.entry, path=after / path.relative_to(before)))


def _missing_recipes(plan: Plan) -> list[Path]:
    paths = dict.fromkeys(unit.entry.path for unit in plan.units if not unit.entry.is_shipped)
    return [path for path in paths if not path.is_file()]

"""Find the recipes and data of a plan on this machine, whose folders may differ from where the plan was made."""

from dataclasses import replace
from pathlib import Path

from harness.fleet.plan_file import Plan, Unit, read_data
from zoo import paths
from zoo.errors import UsageError
from zoo.progress import Report
from zoo.text_tables import first_of

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
    moved = with_recipes(plan)
    if moved is not plan:
        why = "lacks its recipes" if plan.folder.is_dir() else "does not exist on this machine"
        report(f"using the working directory {moved.folder}: {plan.folder}, where the plan was made, {why}")
        return moved
    missing = _missing_recipes(_moved(plan, Path.cwd()))
    if plan.folder.is_dir():  # each unit whose recipe is missing reports that
        return plan
    raise UsageError(
        f"{plan.file}: its working directory {plan.folder} does not exist on this machine, and neither does the recipe"
        f" {first_of([*map(str, missing)], LISTED)}; copy the recipes to these paths, or run this command in the"
        " folder that has them"
    )


def with_recipes(plan: Plan) -> Plan:
    """Return a plan with the current directory as its working directory, if only that one has the recipes."""
    if plan.folder.is_dir() and not _missing_recipes(plan):
        return plan
    moved = _moved(plan, Path.cwd())
    return plan if _missing_recipes(moved) else moved


def check_data(file: Path) -> None:
    """Check that this machine has the data of a plan: in the folders of `--data`, or in ZOO_DATA.

    Raises:
        UsageError: A folder does not exist.
    """
    for name, folder in read_data(file)["sources"]["data"].items():
        if not Path(folder).is_dir() and name not in paths.data():
            raise UsageError(
                f"{file}: the plan reads the data set {name} from {folder}, which this machine does not have; put it"
                f" there, or set ZOO_DATA to a folder with {name} in it"
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

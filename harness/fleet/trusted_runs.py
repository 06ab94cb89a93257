"""Units with code that the user trusts: which of them earlier jobs have made with the code of now."""

from collections.abc import Iterable

from harness.fleet.journal import journal_of
from harness.fleet.plan_file import Plan
from harness.fleet.results import is_made
from harness.records.record import FILE, read_record
from harness.runs.trusted_modules import code_folders, has_same_code
from zoo.errors import ZooError


def made_by_same_code(plan: Plan, indexes: Iterable[int]) -> set[int]:
    """Return the units of a plan with `--trust` whose journals say that they are done, and whose code is unchanged.

    The run cache knows no such runs. The recipe is that of the plan. Data and weights are not looked at.
    """
    return {index for index in indexes if plan.sources.trust and _is_made_by_same_code(plan, index)}


def _is_made_by_same_code(plan: Plan, index: int) -> bool:
    last = journal_of(plan, index).last()
    if last is None or not is_made(plan, last):
        return False
    try:
        records = [read_record(plan.records / name / FILE) for name in last.get("records", ())]
    except ZooError:
        return False
    folders = code_folders(plan.units[index].entry, plan.folder)
    return all(has_same_code(record, folders) for record in records)

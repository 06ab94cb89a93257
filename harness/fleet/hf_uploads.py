"""The commands that copy runs of this machine into a bucket, for the Jobs of the Hugging Face Hub."""

import shlex
from collections.abc import Iterator, Sequence
from functools import partial

from harness.fleet.existing_units import runs_of_unit
from harness.fleet.plan_file import Plan, Unit
from harness.fleet.units import needed_teachers, unit_key
from harness.records.find_runs import FoundRun, find_runs
from harness.runs.existing_runs import ExistingRuns


def copy_commands(plan: Plan, units: Sequence[Unit], bucket: str) -> Iterator[str]:
    """Yield commands that copy the runs that exist of the units' entries and teachers, so that no job repeats them.

    Only runs that count for the plan are copied, such as those on its kind of device.

    Args:
        plan: The plan.
        units: The units to make.
        bucket: The bucket that the runs are copied into.
    """
    teachers, existing = needed_teachers(plan, units), ExistingRuns(partial(find_runs, plan.records))
    entries = {unit.entry.name for unit in units}
    entries |= {unit.entry.name for unit in plan.units if unit_key(unit, plan.options) in teachers}
    names: dict[str, list[str]] = {}
    for unit in plan.units:
        if unit.entry.name in entries:
            found = [run.name for run in runs_of_unit(plan, existing, unit) if _is_beside(run, plan, unit)]
            names.setdefault(unit.entry.name, []).extend(found)
    if any(names.values()):
        yield "# Runs that exist here and count for this plan, so that no job makes them again."
    for entry, runs in sorted(names.items()):
        if runs:
            target = f'"hf://buckets/$OWNER/{bucket}/"{shlex.quote(entry)}'
            included = " ".join(f"--include {shlex.quote(f'{run}/*')}" for run in dict.fromkeys(runs))
            yield f"hf buckets sync {shlex.quote(str(plan.records / entry))} {target} {included}"


def _is_beside(run: FoundRun, plan: Plan, unit: Unit) -> bool:
    """Return whether a run lies in the folder of all runs, and not in one that the user chose with `--out`."""
    return run.record.parent.parent == plan.records / unit.entry.name

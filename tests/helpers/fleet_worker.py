"""A worker of a fleet that imports no torch: `python -m tests.helpers.fleet_worker PLAN --index - --process 0/2`.

With a number instead of `-` it makes one unit, and ends with the code of its error. What a unit does is written in
`actions.json` in the plan's working directory: its number -> `kill` (each time), `kill once`, `kill once at the end`
(when the unit before it is done), `stop` (by SIGTERM, each time), `late` (if there is a --time-limit, it is over),
`error`, or `wait` (for the file `go`). Any other unit writes a record. With `end` -> `slowly`, the process takes a
second to end.
"""

import json
import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from harness.fleet.journal import journal_of
from harness.fleet.plan_file import Plan, Unit, read_plan
from harness.fleet.work import Messages, make_unit
from harness.fleet.worker import numbers_from, private_stdout
from harness.judging.judge_runs import EntryRuns
from harness.records.find_runs import find_runs
from harness.records.record import FILE, RecordedRun, read_record
from harness.records.run_folder import new_folder
from zoo import paths
from zoo.errors import SourceError, Terminated, TimeIsUp


def make(plan: Plan, unit: Unit, messages: Messages) -> EntryRuns:
    """Do what `actions.json` says."""
    action = action_of(plan, str(unit.index))
    attempts = sum(event["event"] == "started" for event in journal_of(plan, unit.index).events())
    while action == "kill once at the end" and (journal_of(plan, unit.index - 1).last() or {}).get("event") != "done":
        time.sleep(0.02)
    if action == "kill" or (str(action).startswith("kill once") and attempts == 1):
        time.sleep(0.3 * str(action).endswith("end"))
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "stop":
        os.kill(os.getpid(), signal.SIGTERM)
    if action == "late" and "--time-limit" in sys.argv:
        raise TimeIsUp
    if action == "error":
        raise SourceError("nothing there")
    while action == "wait" and not (plan.folder / "go").exists():
        time.sleep(0.02)
    messages(f"made {unit.name}")
    return EntryRuns(entry=unit.entry, mode=unit.mode, runs=(write_record(plan, unit),))


def action_of(plan: Plan, name: str) -> str | None:
    """Return what `actions.json` says of a unit, or of the end of the process."""
    actions = plan.folder / "actions.json"
    action: str | None = json.loads(actions.read_text()).get(name) if actions.is_file() else None
    return action


def write_record(plan: Plan, unit: Unit) -> RecordedRun:
    """Write a small record, unless it exists, and return it."""
    known = read_record(find_runs(paths.evidence(), "digits-resnet8")[0].record)
    identity = replace(known.identity, mode=unit.mode, digest=unit.recipe, seed=unit.seed)
    recipe = unit.entry.recipe.data()
    record = replace(known, entry=unit.entry.name, recipe=recipe, identity=identity).sealed({})
    folder = plan.records / unit.entry.name / identity.folder
    if not (folder / FILE).exists():
        with new_folder(folder, identity.key) as partial:
            (partial / FILE).write_text(record.to_json())
    return folder / FILE, record


def copy_predictions(folder: Path) -> None:
    """Copy the predictions that a record of `write_record` names into its folder, so that the run is complete."""
    for file in find_runs(paths.evidence(), "digits-resnet8")[0].record.parent.glob("predictions-*.npz"):
        shutil.copyfile(file, folder / file.name)


def plan_of(plan: Plan, count: int) -> Plan:
    """Return a plan with trainings of the first unit's entry with the seeds from 0 on."""
    units = (replace(plan.units[0], index=seed, seed=seed, mode="retrain") for seed in range(count))
    return replace(plan, units=tuple(units))


def _terminate(*_: object) -> None:
    raise Terminated


def main() -> None:
    """Make the units whose numbers are read from stdin, or the one that is named."""
    signal.signal(signal.SIGTERM, _terminate)
    arguments = [argument for argument in sys.argv[1:] if argument != "run-unit"]
    plan, messages = read_plan(Path(arguments[0])), Messages()
    index_text = arguments[arguments.index("--index") + 1]
    try:
        if index_text == "-":
            with private_stdout() as print_finished:
                for index in numbers_from(sys.stdin):
                    make_unit(plan, index, lambda unit: make(plan, unit, messages), messages)
                    print_finished(index)
        else:
            made = make_unit(plan, int(index_text), lambda unit: make(plan, unit, messages), messages)
            if made.result.error is not None:
                sys.exit(made.result.error.exit_code)
        time.sleep(action_of(plan, "end") == "slowly")
    except KeyboardInterrupt as error:
        sys.exit({Terminated: 143, TimeIsUp: 75}.get(type(error), 130))


if __name__ == "__main__":
    main()

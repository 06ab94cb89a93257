"""Show the state of a plan."""

import shlex
from time import time
from typing import TYPE_CHECKING, Any

from zoo.cli import render
from zoo.cli.plan import duration
from zoo.text_tables import counted, first_of

if TYPE_CHECKING:
    from harness.fleet.status import PlanStatus, UnitStatus

LISTED = 20
"""The most units of a state in a text; JSON has all of them."""
HEADINGS = {
    "running": "Running",
    "failed": "Failed",
    "killed": "Killed: the process ended without a word, perhaps because memory ran out or its machine went down",
    "stopped": "Stopped before the end; a training goes on from its last checkpoint",
}


def status_data(status: "PlanStatus") -> dict[str, Any]:
    """Return the JSON of a plan's status."""
    return {
        "plan": str(status.plan.file),
        "counts": status.counts,
        "seconds_left": status.seconds_left,
        "units": [
            {
                "unit": each.unit.index, "entry": each.unit.entry.name, "mode": each.unit.mode, "seed": each.unit.seed,
                "state": each.state, "where": each.where or None, "since": each.since, "seconds": each.seconds,
                "why": each.why or None,
            }
            for each in status.units
        ],
    }  # fmt: skip


def status_text(status: "PlanStatus") -> str:
    """Return a plan's status as text: counts, then the units that run, or that somebody should look at."""
    counts = ", ".join(f"{count:,} {state}" for state, count in status.counts.items() if count)
    lines = [render.wrapped(f"{counted(len(status.units), 'run')}: {counts}".removesuffix(": "), "")]
    if status.seconds_left is not None:
        lines.append(f"About {duration(status.seconds_left)} left.")
    for state, heading in HEADINGS.items():
        units = [unit for unit in status.units if unit.state == state]
        if units:
            listed = first_of([*map(_line, units)], LISTED, between="\n", last="\n  ")
            lines += ["", render.wrapped(f"{heading}:", ""), listed]
    if advice := _advice(status):
        lines += ["", render.wrapped(advice, "")]
    return "\n".join(lines)


def _line(status: "UnitStatus") -> str:
    parts = [status.where] if status.state in ("running", "killed") else []
    if status.state == "running" and status.since is not None:
        parts.append(f"for {duration(time() - status.since)}")
    parts += [status.why] if status.why else []
    text = f"unit {status.unit.index}, {status.unit.name}: {', '.join(parts)}".removesuffix(": ")
    return render.wrapped(text, "  ")


def _advice(status: "PlanStatus") -> str:
    """Return what to do next, if nothing runs and something is not done."""
    if status.counts["running"] or status.counts["done"] == len(status.units):
        return ""
    home = shlex.quote(str(status.plan.home))
    return (
        "No process works on this plan now; a scheduler may have jobs of it in its queue."
        f" `zoo run-unit {home} --all` makes the missing runs. If `zoo verify` or `zoo reproduce` wrote this plan, the"
        " same command makes them, too, and judges all."
    )

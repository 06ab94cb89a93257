"""The command that draws runs: plot."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.options import OUTPUT, WHAT, Json, Lock, Records, argument, option
from zoo.cli.progress import report, session_of
from zoo.errors import UsageError
from zoo.recipes.options import SourceOptions

DEFAULT = Path("plot.svg")
PICTURES = (".svg", ".png", ".pdf")


@command
def plot(
    runs: Annotated[
        list[str],
        argument(
            "RUN",
            "Folders of runs, also of trainings that were stopped, records, ENTRY:SEED, or entries with all their"
            " trainings.",
        ),
    ],
    out: Annotated[
        Path | None,
        option(
            "--out",
            "Write to this .svg, .png or .pdf file; an existing one is replaced. Default: plot.svg in this folder.",
            OUTPUT,
            "FILE",
        ),
    ] = None,
    only: Annotated[
        str | None,
        option(
            "--only",
            "Draw only these, separated by commas: loss, a loss term, lr, a metric, a split, or seeds. Default: all.",
            WHAT,
            "NAMES",
        ),
    ] = None,
    records: Records = None,
    lock: Lock = None,
    as_json: Json = False,
) -> None:
    """Draw training curves of one or more runs, and the seeds of an entry against its claimed score.

    Example: zoo plot digits-resnet8_from_digits-resnet14 --out seeds.png
    """
    from zoo.api import plots
    from zoo.api.plots import Plotted

    _check_runs(runs, out)
    target = out or DEFAULT
    plots.format_of(target)
    names = [name.strip() for name in (only or "").split(",") if name.strip()]
    plotted: Plotted = plots.plot_runs(runs, names, plots.folders_of(session_of(SourceOptions(lock=lock)), records))
    plotted.picture.write(target)
    data = {
        "out": str(target),
        "runs": [
            {"name": run.name, "entry": run.entry, "seed": run.seed, "folder": str(run.folder)} for run in plotted.runs
        ],
        "panels": list(plotted.panels),
        "without_log": [str(path) for path in plotted.without_log],
    }
    render.emit(data, "", as_json=as_json)
    if not as_json:
        report(f"written: {target}")
        if plotted.without_log:
            count = len(plotted.without_log)
            report(f"{count} of the runs {'has' if count == 1 else 'have'} no training log, and so no curves")


def _check_runs(runs: Sequence[str], out: Path | None) -> None:
    """Raise UsageError if the name of a picture stands where a run is expected."""
    pictures = [name for name in runs if Path(name).suffix.lower() in PICTURES]
    if pictures and out is None:
        others = shlex.join(name for name in runs if name not in pictures)
        raise UsageError(
            f"{pictures[0]} is the name of a picture, not a run: write"
            f" `zoo plot {others or 'RUN'} --out {shlex.quote(pictures[0])}`"
            f"{'' if others else '; RUN is the folder of a run, and `zoo runs` lists yours'}"
        )
    if pictures:
        raise UsageError(f"{pictures[0]} is the name of a picture, not a run; the picture is written to --out {out}")

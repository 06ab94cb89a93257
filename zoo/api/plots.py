"""Find the runs that a user wants to see, and draw them: training curves, and seeds against the claimed score."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.diagnosis.diff.find_record import RECIPES, find_record
from harness.judging.types import Judgement, not_run
from harness.pictures.curve_panels import NamedCurves, curve_panels, select_panels
from harness.pictures.curves import read_curves
from harness.pictures.picture import Panel, Picture, compose, format_of
from harness.records.find_runs import find_runs
from harness.records.record import FILE, Record, RecordedRun, read_record
from harness.records.recorded_entry import entry_of
from harness.records.training_log import LOG
from harness.runs.judged_runs import judged_runs
from harness.runs.unfinished import UNFINISHED, entry_of_work_folder
from leaderboard.entry_page import runs_plot
from leaderboard.strip_picture import strip_panel
from zoo import paths
from zoo.api.session import Session
from zoo.errors import UsageError
from zoo.recipes.catalogue import Entry

__all__ = ["Folders", "Plotted", "PlottedRun", "folders_of", "format_of", "plot_runs"]


@dataclass(frozen=True, kw_only=True)
class PlottedRun:
    """A run in a picture: its name there, its entry, its seed if it is finished, and its folder."""

    name: str
    entry: str
    seed: int | None
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Plotted:
    """A picture, the runs whose curves are in it, its panels, and runs that have no curves."""

    picture: Picture
    runs: tuple[PlottedRun, ...]
    panels: tuple[str, ...]
    without_log: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where runs are searched: those of the user first, then the committed ones."""

    runs: Path
    evidence: Path
    entry_of: Callable[[str], Entry]
    """Returns the entry of a name, a recipe file or a model of the Hub."""


def folders_of(session: Session, records: Path | None) -> Folders:
    """Return the folders in which a session searches runs; `records` takes the place of the user's."""
    return Folders(runs=paths.runs(records), evidence=paths.evidence(), entry_of=session.entries.select_one)


def plot_runs(targets: Sequence[str], only: Sequence[str], folders: Folders) -> Plotted:
    """Return the picture of runs.

    Args:
        targets: Folders of runs, also of unfinished ones, records, entries with all their trainings, or ENTRY:SEED.
        only: The panels to draw, see `harness.pictures.curve_panels.select_panels`; empty for all.
        folders: Where runs are searched.

    Raises:
        UsageError: A target names no run, or nothing can be drawn.
    """
    found, entries = list[PlottedRun](), dict[str, Entry]()
    for target in targets:
        runs, entry = _runs_of(target, folders)
        found += [run for run in runs if run.folder not in {other.folder for other in found}]
        if entry is not None:
            entries[entry.name] = entry
    with_log = _with_names([run for run in found if (run.folder / LOG).is_file()])
    for run in found:
        if run.entry not in entries and not (run.folder / LOG).is_file():
            entries |= _entry_of_record(run.folder / FILE)
    seeds = [panel for entry in entries.values() for panel in _seed_panels(entry, folders)]
    if not with_log and not seeds:
        raise UsageError(
            f"{', '.join(targets)}: nothing to draw: no training log ({LOG}) and no claim of retraining with runs;"
            " committed records have no log: train again with `zoo train`"
        )
    read = [NamedCurves(name=r.name, entry=r.entry, curves=read_curves(r.folder / LOG)) for r in with_log]
    panels, legend = curve_panels(read) if read else ([], [])
    chosen = select_panels([*panels, *seeds], only)
    shows_curves = any(panel.keys & set().union(*(p.keys for p in panels)) for panel in chosen) if panels else False
    return Plotted(
        picture=compose(chosen, legend if shows_curves else ()),
        runs=tuple(with_log),
        panels=tuple(panel.title for panel in chosen),
        without_log=tuple(run.folder for run in found if run not in with_log and not (run.folder / LOG).is_file()),
    )


def _runs_of(target: str, folders: Folders) -> tuple[list[PlottedRun], Entry | None]:
    """Return the runs that a target names, and the entry if the target names one without a run."""
    path = Path(target).expanduser()
    if (path / LOG).is_file() and not (path / FILE).is_file():
        return [_unfinished(path)], None
    is_run = (path / FILE).is_file() or (path.is_file() and path.suffix not in RECIPES)
    if not is_run and ":" not in target.removeprefix("hf:"):
        entry = _entry_of(target, folders)
        return _trainings(entry, folders), entry
    record = path / FILE if (path / FILE).is_file() else None
    record = record or find_record(
        target, folders.runs, folders.evidence, lambda name: folders.entry_of(name).recipe.name
    )
    return [_finished(record)], None


def _entry_of(target: str, folders: Folders) -> Entry:
    """Return the entry that a target names. Raise UsageError, which says where runs are listed, if there is none."""
    try:
        return folders.entry_of(target)
    except UsageError as error:
        raise UsageError(f"{error}; to draw a run, name its folder: `zoo runs` lists yours") from None


def _trainings(entry: Entry, folders: Folders) -> list[PlottedRun]:
    """Return the trainings of an entry that have a log: finished ones, each once, and those that were stopped."""
    found = dict[str, PlottedRun]()
    for root in (folders.runs, folders.evidence):
        for run in find_runs(root, entry.name):
            if run.name.startswith("retrain-") and (run.record.parent / LOG).is_file():
                found.setdefault(run.name, _finished(run.record))
    stopped = sorted((folders.runs / UNFINISHED).glob(f"*/{LOG}"))
    names = [log.parent for log in stopped if entry_of_work_folder(log.parent) == entry.name]
    return [*sorted(found.values(), key=lambda run: run.seed or 0), *map(_unfinished, names)]


def _finished(record: Path) -> PlottedRun:
    read = read_record(record)
    return PlottedRun(name="", entry=read.entry, seed=read.identity.seed, folder=record.parent)


def _unfinished(folder: Path) -> PlottedRun:
    name = entry_of_work_folder(folder) if folder.parent.name == UNFINISHED else folder.name
    return PlottedRun(name="", entry=name, seed=None, folder=folder)


def _with_names(runs: Sequence[PlottedRun]) -> list[PlottedRun]:
    """Return runs with short names that differ: the seed alone if all are of one entry."""
    is_one = len({run.entry for run in runs}) == 1
    short = [_short_name(run, is_one=is_one) for run in runs]
    names = [
        name if short.count(name) == 1 else f"{name} ({run.folder.name[-12:]})"
        for name, run in zip(short, runs, strict=True)
    ]
    names = [name if names.count(name) == 1 else f"{name} {n}" for n, name in enumerate(names, 1)]
    return [replace(run, name=name) for run, name in zip(runs, names, strict=True)]


def _short_name(run: PlottedRun, *, is_one: bool) -> str:
    if run.seed is None:
        return "unfinished" if is_one and run.folder.parent.name == UNFINISHED else run.entry
    return f"seed {run.seed}" if is_one else f"{run.entry}:{run.seed}"


def _entry_of_record(path: Path) -> dict[str, Entry]:
    """Return the entry of a record without a log, by its name; nothing if its recipe is not known."""
    try:
        entry = entry_of(path, read_record(path))
    except UsageError:
        return {}
    return {entry.name: entry}


def _seed_panels(entry: Entry, folders: Folders) -> Iterable[Panel]:
    """Yield a panel for each claim of retraining that has runs."""
    current = _runs_to_judge(entry, folders)
    for judgement in _judgements(entry, current, folders):
        drawn: dict[str, Any] | None = runs_plot(entry, judgement, current)
        if drawn is not None:
            yield strip_panel(entry.name, drawn)


def _runs_to_judge(entry: Entry, folders: Folders) -> list[RecordedRun]:
    """Return the trainings of the current recipe: reference runs, each seed once, and those that are judged.

    Those of the user are judged, as by `zoo verify`; without any of them the committed ones.
    """
    roots = [
        [
            (run.record, read_record(run.record))
            for run in find_runs(root, entry.name)
            if run.name.startswith("retrain-")
        ]
        for root in (folders.runs, folders.evidence)
    ]
    current = [
        [(path, record) for path, record in runs if record.identity.digest == entry.recipe.digest] for runs in roots
    ]
    references = {
        record.identity.seed: (path, record)
        for runs in reversed(current)
        for path, record in runs
        if record.identity.is_reference
    }
    judged = [[run for run in runs if not run[1].identity.is_reference] for runs in current]
    return [*references.values(), *(judged[0] or judged[1])]


def _judgements(entry: Entry, records: Sequence[tuple[Path, Record]], folders: Folders) -> Sequence[Judgement]:
    """Return the judgements of the claims of retraining, by the runs that are no reference runs."""
    judging = [path for path, record in records if not record.identity.is_reference]
    claims = [claim for claim in entry.recipe.claims if claim.of == "retrain"]
    if not judging or not claims:
        return [not_run(claim, "") for claim in claims]
    return judged_runs(judging, entry, folder=folders.runs, evidence=folders.evidence).judgements

"""From entries to the units of a plan. No record influences which units there are, and how they are numbered."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

from harness.fleet.plan_file import Plan, Unit, make_plan
from harness.fleet.schedule import Work, order_of
from harness.records.record import Mode
from harness.runs.expected_times import EarlierRuns
from harness.runs.plan import PlannedRuns, computed_like, required_teachers, teacher_options
from harness.runs.verify import mode_of, seeds_of
from zoo import paths
from zoo.errors import ZooError
from zoo.recipes.catalogue import Entry
from zoo.recipes.devices import kind_here
from zoo.recipes.options import RunOptions, SourceOptions

Key = tuple[str, str, str | None, Mode, int | None, bool]
"""What identifies a unit: the name, file and repository of its entry, its mode and seed, and whether it is a teacher's
run with other options than those of the plan."""


def plan_units(entries: Sequence[Entry], options: RunOptions, sources: SourceOptions) -> Plan:
    """Return the plan of all runs that claims of entries need, and of their teachers: by wave, entry and seed.

    Entries whose recipe cannot be read, and those with nothing to compare with, have no units.

    Args:
        entries: The entries.
        options: Which runs to judge, and how to make them.
        sources: Where the entries' files come from.
    """
    units: dict[Key, Unit] = {}
    for entry in entries:
        for unit in _units(entry, options):
            key = unit_key(unit, options)
            if key not in units or (units[key].teacher_of and not unit.teacher_of):
                units[key] = unit
    ordered = sorted(units.values(), key=lambda unit: unit.wave)
    earlier = EarlierRuns(paths.runs(options.records), kind_here(options.device))
    return make_plan(_with_sizes(ordered, earlier), options, sources)


def entry_key(entry: Entry) -> tuple[str, str, str | None]:
    """Return what identifies an entry, also if one command names its file by several paths."""
    return entry.name, str(entry.path.resolve()), entry.recipe_repo


def unit_key(unit: Unit, options: RunOptions) -> Key:
    """Return what identifies a unit of a plan with these options."""
    is_other = bool(unit.teacher_of) and computed_like(unit_options(unit, options)) != computed_like(options)
    return *entry_key(unit.entry), unit.mode, unit.seed, is_other


def unit_options(unit: Unit, options: RunOptions) -> RunOptions:
    """Return the options by which a unit is made: those of the plan, for a teacher those of `teacher_options`."""
    if not unit.teacher_of:
        return options
    return teacher_options(options)


def needed_teachers(plan: Plan, missing: Sequence[Unit]) -> set[Key]:
    """Return the keys of the teachers' runs that trainings of these units read.

    If the recipe of such a unit, or of its teacher, cannot be read any more, it may need any teacher of the plan.
    """
    entries = {entry_key(unit.entry): unit.entry for unit in missing if unit.mode == "retrain" and not unit.teacher_of}
    needed = set[Key]()
    for entry in entries.values():
        units = _teacher_units(entry)
        if not units:
            teachers = [unit for unit in plan.units if unit.teacher_of]
            is_unknown = not entry.is_readable or any(unit.teacher_of == entry.name for unit in teachers)
            units = teachers if is_unknown else []
        needed |= {unit_key(unit, plan.options) for unit in units}
    return needed


def in_order(planned: Sequence[PlannedRuns]) -> list[PlannedRuns]:
    """Return the runs of entries in the order in which a plan's units are handed out."""
    works: list[Work] = [
        (_wave(runs.entry) if runs.mode == "retrain" else 0, repr(runs.entry.recipe.task), runs.time.seconds)
        for runs in planned
    ]
    return [planned[position] for position in order_of(works)]


def _units(entry: Entry, options: RunOptions) -> Iterator[Unit]:
    """Yield the units of an entry, after those of its teachers. Without published weights nothing is evaluated."""
    if not entry.is_readable or (not options.train and (entry.not_compared or entry.recipe.weights is None)):
        return
    if options.train:
        yield from _teacher_units(entry)
    for seed in seeds_of(entry, options) if options.train else (None,):
        yield _unit(entry, mode_of(options), seed)


def _teacher_units(entry: Entry) -> list[Unit]:
    try:
        teachers = list(required_teachers(entry))
    except ZooError:  # a teacher that does not exist is reported where the entry is run
        return []
    return [_unit(teacher, "retrain", seed, teacher_of=student.name) for teacher, seed, student in teachers]


def _unit(entry: Entry, mode: Mode, seed: int | None, teacher_of: str = "") -> Unit:
    wave = _wave(entry) if mode == "retrain" else 0
    return Unit(
        index=0, entry=entry, mode=mode, seed=seed, recipe=entry.recipe.digest, wave=wave, teacher_of=teacher_of
    )


def _wave(entry: Entry) -> int:
    """Return how many trainings have to follow each other before that of an entry."""
    waves: dict[Entry, int] = {}
    with suppress(ZooError):  # a teacher that does not exist is reported where the entry is run
        for teacher, _, student in required_teachers(entry):
            waves[student] = max(waves.get(student, 0), 1 + waves.get(teacher, 0))
    return waves.get(entry, 0)


def _with_sizes(units: Iterable[Unit], earlier: EarlierRuns) -> list[Unit]:
    """Add to units what earlier runs took."""

    @cache
    def sizes(entry: str, mode: Mode) -> dict[str, Any]:
        memory, gpu_memory = earlier.memory(entry, mode)
        seconds = earlier.expected_time(entry, mode).seconds
        return {"seconds": seconds, "gigabytes": _gigabytes(memory), "gpu_gigabytes": _gigabytes(gpu_memory)}

    return [replace(unit, **sizes(unit.entry.name, unit.mode)) for unit in units]


def _gigabytes(size: int | None) -> float | None:
    return None if size is None else round(size / 1e9, 3)

"""A plan: the runs that a command needs, one unit each, in a file that every machine of a cluster can read."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path
from time import time
from typing import Any, get_args

from harness.records.record import Mode
from zoo import paths
from zoo.errors import SourceError, UsageError, ZooError
from zoo.files import is_disk_full, write_atomically
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import RunOptions, SourceOptions

FORMAT = "zoo-plan-1"
FOLDER = ".fleet"
"""The folder of all plans, beside the folders of the entries."""
FILE = "plan.json"
WHERE = ("jobs", "on", "ray_address", "slurm_config", "time_limit")
"""Options that say where runs are made, not which: they are no part of a plan."""
SIZES = ("seconds", "gigabytes", "gpu_gigabytes")
"""Expected time and memory of a unit, by earlier runs. They do not identify it."""
ENTRY_KEYS = ("name", "suite", "recipe_repo", "requested_repo", "card", "part_of_card", "is_generated", "not_compared")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One run: an entry's published weights, or its training with one seed."""

    index: int
    """Its number in the plan, from 0."""
    entry: Entry
    mode: Mode
    recipe: str
    """The digest of the recipe when the plan was made."""
    seed: int | None = None
    """The seed of a training; None for an evaluation of published weights."""
    teacher_of: str = ""
    """The entry that needs this run as its teacher; empty for a run that claims are judged by."""
    wave: int = 0
    """0 for a run that needs no other one; 1 for the student of a teacher of wave 0, and so on."""
    seconds: float | None = None
    """The expected time on this plan's device; None if it is unknown."""
    gigabytes: float | None = None
    """The largest memory of the process of an earlier run; None if it is unknown."""
    gpu_gigabytes: float | None = None
    """The largest memory of a GPU that an earlier run needed; None if it is unknown."""

    @property
    def name(self) -> str:
        """The unit for people, such as `digits-resnet8, seed 3`."""
        return self.entry.name if self.seed is None else f"{self.entry.name}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Units, and how to make them."""

    units: tuple[Unit, ...]
    options: RunOptions
    sources: SourceOptions
    folder: Path
    """The working directory, which relative paths in recipes refer to."""
    made: float = 0.0
    """With `--fresh` the time when the plan was made, which makes it another plan than earlier ones; else 0."""
    read_id: str = field(default="", compare=False)
    """The id of a plan that was read from a file. It stays the same on machines where paths differ."""

    @property
    def records(self) -> Path:
        """The folder of all runs."""
        return self.folder / paths.runs(self.options.records)

    @property
    def home(self) -> Path:
        """The folder of the plan's file and journals."""
        return self.records / FOLDER / self.id

    @property
    def file(self) -> Path:
        """The plan's file."""
        return self.home / FILE

    @cached_property
    def id(self) -> str:
        """The first digits of the SHA-256 of what is to be made.

        Times and sizes of runs, and the folder of their records, are not part of it.
        """
        return self.read_id or _digest(plan_data(self))

    def write(self, source: Path | None = None) -> Path:
        """Write the plan into its folder, unless it is there undamaged, and return the file.

        Args:
            source: The file that the plan was read from. Its content is copied except for the folder of the records,
                so that the copy is the same plan although this machine may find data elsewhere.

        Raises:
            SourceError: The folder cannot be written.
        """
        try:
            if not self._is_written():
                data = plan_data(self) if source is None else _with_records(read_data(source), self.records)
                write_atomically(self.file, json.dumps(data, indent=1))
        except OSError as error:
            advice = "free some space" if is_disk_full(error) else "make the folder writable"
            raise SourceError(
                f"{self.home}: the plan cannot be written into this folder: {error.strerror or error}; {advice}, or"
                " pass another folder to --records"
            ) from None
        return self.file

    def _is_written(self) -> bool:
        try:
            return _digest(read_data(self.file)) == self.id
        except (ZooError, KeyError, TypeError):  # the file does not exist, or is damaged
            return False


def plan_data(plan: Plan) -> dict[str, Any]:
    """Return the JSON of a plan. `read_plan` reads it."""
    return {
        "format": FORMAT,
        "folder": str(plan.folder),
        "made": plan.made,
        "options": {**_options_data(plan.options), "records": str(plan.records)},
        "sources": _options_data(plan.sources),
        "units": [_unit_data(unit, plan.folder) for unit in plan.units],
    }


def read_plan(path: Path, records: Path | None = None) -> Plan:
    """Read a plan.

    Args:
        path: The file, or the folder that it lies in.
        records: The folder of all runs. Default: DIR if the file is `DIR/.fleet/ID/plan.json`, so that a plan may be
            copied with its folder of runs; else the folder that the plan records.

    Raises:
        SourceError: There is no such file.
        UsageError: The file is no plan.
    """
    file = plan_file(path)
    is_in_place = (file.name, file.parent.parent.name) == (FILE, FOLDER)
    data, chosen = read_data(file), records or (file.parent.parent.parent if is_in_place else None)
    try:
        options = RunOptions(**data["options"])
        folder = Path(data["folder"])
        return Plan(
            units=tuple(_read_units(data["units"], folder)),
            options=replace(options, records=chosen.absolute()) if chosen else options,
            sources=_sources(data["sources"]), folder=folder, made=float(data["made"]),
            read_id=file.parent.name if is_in_place else _digest(data),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{file}: not a plan of zoo: {type(error).__name__}: {error}") from None


def plan_file(path: Path) -> Path:
    """Return the file of a plan that is named by its file, or by the folder that it lies in."""
    return (path / FILE if path.is_dir() else path).absolute()


def _with_records(data: Mapping[str, Any], records: Path) -> dict[str, Any]:
    return {**data, "options": {**data["options"], "records": str(records)}}


def read_data(file: Path) -> dict[str, Any]:
    """Return the JSON of a plan. Raise SourceError or UsageError if the file is no plan."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(
            f"{file}: no plan can be read there: {error.strerror or error}; `zoo plan` makes one"
        ) from None
    except ValueError as error:
        raise UsageError(f"{file}: not a plan of zoo, or damaged: {error}; `zoo plan` writes it again") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise UsageError(f"{file}: not a plan of this version of zoo: expected format {FORMAT!r}")
    return data


def _digest(data: Mapping[str, Any]) -> str:
    options = {key: value for key, value in data["options"].items() if key != "records"}
    units = [{key: value for key, value in unit.items() if key not in SIZES} for unit in data["units"]]
    content = {**data, "options": options, "units": units}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def make_plan(units: Sequence[Unit], options: RunOptions, sources: SourceOptions) -> Plan:
    """Return the plan of units, numbered in their order, for the working directory."""
    numbered = tuple(replace(unit, index=index) for index, unit in enumerate(units))
    made = time() if options.fresh else 0.0
    return Plan(units=numbered, options=options, sources=sources, folder=Path.cwd(), made=made)


def _options_data(options: RunOptions | SourceOptions) -> dict[str, Any]:
    chosen = {field.name: getattr(options, field.name) for field in fields(options) if field.name not in WHERE}
    return {name: _plain(value) for name, value in chosen.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _sources(data: Mapping[str, Any]) -> SourceOptions:
    """Return where files come from. A folder of `--data` that this machine lacks is left out, see `check_data`."""
    known = {name: Path(folder) for name, folder in data["data"].items() if Path(folder).is_dir()}
    return SourceOptions(**{**data, "data": known})


def _unit_data(unit: Unit, folder: Path) -> dict[str, Any]:
    entry = unit.entry
    described = {key: value for key in ENTRY_KEYS if (value := getattr(entry, key))}
    if not entry.is_shipped:  # the recipes of a package lie elsewhere on another machine
        path = folder / entry.path  # relative below the working directory, which may be another one elsewhere
        described["path"] = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
    data = {field.name: getattr(unit, field.name) for field in fields(unit) if field.name not in ("index", "entry")}
    return {"entry": described, **data}


def _read_units(rows: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[Unit]:
    entry_of = cache(catalogue.select_one)
    for index, row in enumerate(rows):
        described, rest = dict(row["entry"]), {key: value for key, value in row.items() if key != "entry"}
        if rest["mode"] not in get_args(Mode):
            raise ValueError(f"units[{index}]: mode {rest['mode']!r}")
        try:
            entry = (
                Entry(**{**described, "path": folder / described["path"]})
                if "path" in described
                else entry_of(described["name"])
            )
        except ZooError as error:
            raise ValueError(f"units[{index}]: {error}") from None
        yield Unit(index=index, entry=entry, **rest)

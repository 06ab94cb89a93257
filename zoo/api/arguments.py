"""The keyword arguments of the Python API, and the session and the options that they become."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from zoo.api.libraries import configure_libraries
from zoo.api.session import Session
from zoo.errors import UsageError, did_you_mean
from zoo.recipes.claim import Precision
from zoo.recipes.options import Backend, SourceOptions, TrackerName

Options = TypeVar("Options")


class SourceArguments(TypedDict, total=False):
    """Keyword arguments of every function. They mirror the command line's options and `SourceOptions`."""

    trust: Sequence[str]
    lock: str | Path | None
    mirror: str | Path | None
    cache: str | Path | None
    data: Mapping[str, str | Path]


class DeviceArguments(SourceArguments, total=False):
    """Keyword arguments of functions that run models. See `DeviceOptions`."""

    device: str | None
    precision: Precision


class EvaluationArguments(DeviceArguments, total=False):
    """Keyword arguments of functions that score models. See `EvaluationOptions`."""

    strict: bool


class TrainingArguments(EvaluationArguments, total=False):
    """Keyword arguments of functions that train. See `TrainingOptions`."""

    micro_batch: int | None
    save_every: float
    time_limit: str | None
    score_epochs: bool
    log_to: Sequence[TrackerName]
    fresh: bool
    records: str | Path | None


class RunArguments(TrainingArguments, total=False):
    """Keyword arguments of functions that judge claims. See `RunOptions`."""

    train: bool
    seeds: int | None
    first_seed: int
    jobs: int | None
    on: Backend | None
    ray_address: str | None
    slurm_config: str | Path | None


def session_of(options: Mapping[str, Any], kind: type[Any]) -> Session:
    """Return a session with the sources in `options`; raise UsageError for a name that `kind` does not have either."""
    known = [field.name for options_type in (SourceOptions, kind) for field in fields(options_type)]
    for name in options:
        if name not in known:
            raise UsageError(f"there is no option {name!r}{did_you_mean(name, known)}")
    configure_libraries()
    return Session(sources=pick(SourceOptions, options))


def pick(kind: type[Options], options: Mapping[str, Any]) -> Options:
    """Return the dataclass with those of the options that are its fields."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in options.items() if name in names})

"""The settings of a Slurm cluster: the table `[slurm]` of `zoo.toml` or of another TOML file."""

import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from math import ceil
from pathlib import Path
from typing import Any

from zoo.errors import SourceError, UsageError, did_you_mean
from zoo.files import is_of_stranger

FILE = "zoo.toml"
"""The file in the working directory that is read unless another one is named."""
TABLE = "slurm"
WORD = re.compile(r"[^\s'\"\\#]+")
TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
TIME_WITH_UNIT = re.compile(r"(\d+)(s|m|min|h|d)")
MINUTES: Mapping[str, float] = {"s": 1 / 60, "m": 1, "min": 1, "h": 60, "d": 1440}
MEMORY = re.compile(r"\d+[KMGTkmgt]?")
"""A size as `--mem` of sbatch reads it; without a letter it is in megabytes, and 0 is all memory of a node."""
VARIABLE = re.compile(r"[A-Za-z_]\w*")
_OWN_NAME, _OWN_LOG = "zoo finds its jobs by their name", "zoo names this file in its messages"
_OWN_TASKS, _OWN_REQUEUE = "zoo chooses the tasks", "zoo queues tasks again, from their checkpoints"
RESERVED: Mapping[str, str] = {
    "job-name": _OWN_NAME, "J": _OWN_NAME, "array": _OWN_TASKS, "a": _OWN_TASKS, "output": _OWN_LOG, "o": _OWN_LOG,
    "error": _OWN_LOG, "e": _OWN_LOG, "open-mode": _OWN_LOG, "requeue": _OWN_REQUEUE, "no-requeue": _OWN_REQUEUE,
    "signal": "zoo saves checkpoints when this signal comes; set grace", "dependency": "zoo chains the waves of a plan",
    "d": "zoo chains the waves of a plan", "clusters": "zoo looks for its jobs in this cluster",
    "M": "zoo looks for its jobs in this cluster", "chdir": "the logs lie in the plan's folder",
    "D": "the logs lie in the plan's folder", "time": "set time", "t": "set time", "mem": "set memory",
    "wait": "zoo waits for the jobs itself", "W": "zoo waits for the jobs itself",
}  # fmt: skip
"""The options of sbatch, long and short, that the configuration may not set, and why."""


@dataclass(frozen=True, kw_only=True)
class SlurmConfig:
    """How jobs are submitted to a cluster.

    Attributes:
        partition: The partition. Default: the cluster's.
        account: The account. Default: the user's.
        qos: The quality of service. Default: the user's.
        time: The time limit of a task, such as `2:00:00` or `90m`. Default: three times the expected time of the
            longest run, at least 10 minutes, at most `max_time`.
        max_time: The longest time limit to ask for.
        cpus: The CPUs of a task, which are its threads.
        memory: The memory of a task, such as `16G`. Default for each array: 1.5 times the most that earlier runs of its
            entries took, and 1 GB; at least 8G if that of a run is unknown.
        gpus: The GPUs of a task, such as `1` or `a100:1`. Default: 1 if `--device` is cuda, else none.
        throttle: The most tasks of a plan that run at once; `--jobs` comes first. Default: no limit.
        max_requeues: How often a task that was stopped with a checkpoint is queued again.
        grace: The seconds before the time limit at which a task is stopped, to save a checkpoint; less than `time`.
        max_array_size: Slurm's MaxArraySize: one more than the highest number in an array.
        options: More options of sbatch, such as `--constraint=a100`.
        setup: Lines of shell to run before zoo, such as `module load python`.
        environment: Environment variables to set.
        command: Starts zoo. Default: this Python with `-m zoo`.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str | None = None
    max_time: str = "24:00:00"
    cpus: int = 4
    memory: str | None = None
    gpus: str | None = None
    throttle: int | None = None
    max_requeues: int = 10
    grace: int = 120
    max_array_size: int = 1001
    options: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()


class _ReservedOption(ValueError):
    """An option of sbatch that zoo sets itself."""


def read_slurm_config(path: Path | None) -> SlurmConfig:
    """Return the settings of a file; without a file those of `zoo.toml`, or the defaults if that does not exist.

    Raises:
        SourceError: The file cannot be read.
        UsageError: The file is of a stranger, is malformed, lacks the table, or has an unknown key or a wrong value.
    """
    file = path or _file_of_folder()
    try:
        text = file.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError:
        if path is None:
            return SlurmConfig()
        raise SourceError(f"--slurm-config {file}: no such file") from None
    except OSError as error:
        raise SourceError(f"{file}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise UsageError(f"{file}: not a TOML file: {error}") from None
    if misspelled := get_close_matches(TABLE, content.keys() - {TABLE}, n=1):  # other tables are not ours
        raise UsageError(f"{file}: unknown table [{misspelled[0]}]; did you mean [{TABLE}]?")
    table = content.get(TABLE)
    if table is None and path is None:
        return SlurmConfig()
    if not isinstance(table, dict):
        raise UsageError(f"{file}: no table [{TABLE}]; docs/slurm.md has an example")
    config = SlurmConfig(
        **{key: _checked(key, value, f"{file}:{_line_of(key, text)}") for key, value in table.items()}
    )  # fmt: skip
    for key in ("time", "max_time"):
        limit = getattr(config, key)
        if limit is not None and config.grace >= 60 * parse_minutes(limit):
            where = f"{file}:{_line_of('grace' if 'grace' in table else key, text)}"
            raise UsageError(f"{where}: grace is {config.grace} s, which leaves no time of {key} = {limit!r}")
    return config


def _file_of_folder() -> Path:
    """Return the file in the working folder. Raise UsageError if a stranger put it there: its `setup` runs code."""
    file = Path(FILE)
    if file.exists() and is_of_stranger(file, file.parent):
        raise UsageError(f"{file}: belongs to a stranger, and could run code; `--slurm-config {file}` reads it")
    return file


def parse_minutes(text: str) -> int:
    """Return the minutes of a time limit: `90`, `2:00:00` or `1-12:00` as in sbatch, or `90m`. Raise ValueError."""
    if with_unit := TIME_WITH_UNIT.fullmatch(text):
        return ceil(int(with_unit[1]) * MINUTES[with_unit[2]])
    found = TIME.fullmatch(text)
    if found is None:
        raise ValueError(text)
    days, *rest = (int(part) if part else 0 for part in found.groups())
    if found[1] is not None or found[4] is not None:  # D-HH[:MM[:SS]] or HH:MM:SS
        hours, minutes, seconds = rest
    else:  # MM[:SS]
        hours, (minutes, seconds) = 0, rest[:2]
    return (days * 24 + hours) * 60 + minutes + (seconds > 0)


def time_option(text: str) -> str:
    """Return a time limit as sbatch reads it, which knows no `90m`."""
    return str(parse_minutes(text)) if TIME_WITH_UNIT.fullmatch(text) else text


def _checked(key: str, value: Any, where: str) -> Any:
    known = [field.name for field in fields(SlurmConfig)]
    if key not in known:
        raise UsageError(f"{where}: unknown key {key!r} in [{TABLE}]{did_you_mean(key, known)}")
    expected, convert = KINDS.get(key, WORDS)
    try:
        return convert(value)
    except _ReservedOption as error:
        raise UsageError(f"{where}: {key}: {error}") from None
    except (TypeError, ValueError):
        is_number = expected.startswith(("a number", "seconds")) and isinstance(value, str) and value.isdecimal()
        hint = ", without quotes" if is_number else ""
        raise UsageError(f"{where}: {key} = {value!r}: expected {expected}{hint}") from None


def _line_of(key: str, text: str) -> int:
    """Return the line of a key of the table; that of the table if the key is written in another way."""
    table = re.search(rf"(?m)^\s*\[\s*{TABLE}\s*[.\]]", text)
    start = table.start() if table else 0
    found = re.compile(rf"(?m)^\s*(\[{TABLE}\.)?[\"']?{re.escape(key)}[\"']?\s*[=.\]]").search(text, start)
    at = re.compile(r"\S").search(text, found.start() if found else start)
    return text.count("\n", 0, at.start() if at else 0) + 1


def _is(condition: object) -> None:
    if not condition:
        raise ValueError


def _word(value: Any) -> str:
    _is(isinstance(value, str) and WORD.fullmatch(value))
    return str(value)


def _count(least: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        _is(type(value) is int and value >= least)
        return int(value)

    return convert


def _time(value: Any) -> str:
    text = str(value) if type(value) is int else _word(value)
    _is(parse_minutes(text) > 0)
    return text


def _memory(value: Any) -> str:
    text = str(value) if type(value) is int else _word(value)
    _is(MEMORY.fullmatch(text))
    return text


def _gpus(value: Any) -> str:
    return str(value) if type(value) is int and value > 0 else _word(value)


def _lines(value: Any) -> tuple[str, ...]:
    _is(isinstance(value, list) and all(isinstance(line, str) and line.isprintable() for line in value))
    return tuple(value)


def _options(value: Any) -> tuple[str, ...]:
    lines = _lines(value)
    _is(all(line.startswith("-") for line in lines))
    for word in (word for line in lines for word in shlex.split(line) if word.startswith("-")):
        long = word.removeprefix("--").partition("=")[0]
        name = long if word.startswith("--") else word[1:2]
        if reserved := next((each for each in RESERVED if _is_option(name, each)), None):
            raise _ReservedOption(f"{word} is not possible: {RESERVED[reserved]}")
    return lines


def _is_option(name: str, reserved: str) -> bool:
    """Return whether sbatch may read a name as an option: it also reads the beginning of a long one."""
    return name == reserved or (len(reserved) > 1 and len(name) > 2 and reserved.startswith(name))


def _environment(value: Any) -> dict[str, str]:
    _is(isinstance(value, dict) and all(VARIABLE.fullmatch(name) for name in value))
    _is(all(isinstance(each, str) and "\0" not in each for each in value.values()))
    return dict(value)


Kind = tuple[str, Callable[[Any], Any]]
"""The expected value in words, and the function that checks and returns it."""
WORDS: Kind = ("text without spaces and quotes", _word)
DURATION = "a time such as '90' (minutes), '90m', '300s', '2:00:00' or '1-12:00:00'"
KINDS: dict[str, Kind] = {
    "time": (DURATION, _time),
    "max_time": (DURATION, _time),
    "memory": ("a size such as '16G': a number, then K, M, G or T; without a letter it is in megabytes", _memory),
    "gpus": ("a number from 1 on, or text such as 'a100:1'", _gpus),
    "cpus": ("a number from 1 on", _count(1)),
    "throttle": ("a number from 1 on", _count(1)),
    "max_requeues": ("a number from 0 on", _count(0)),
    "grace": ("seconds from 1 on", _count(1)),
    "max_array_size": ("a number from 2 on", _count(2)),
    "options": ("a list of options of sbatch such as '--constraint=a100'", _options),
    "setup": ("a list of lines of shell", _lines),
    "command": ("a list of words", _lines),
    "environment": ("a table of variables with text as values", _environment),
}

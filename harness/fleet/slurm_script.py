"""The batch script that makes one unit of a plan in a task of a Slurm array, and the calls of sbatch."""

import math
import os
import shlex
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby

from harness.fleet.plan_file import Plan
from harness.fleet.slurm_config import SlurmConfig, parse_minutes, time_option
from zoo.errors import UsageError
from zoo.recipes.devices import GPU, kind_of, parse_devices

SCRIPT = "slurm.sh"
LOGS = "slurm"
"""The folder of the tasks' outputs, in the plan's folder."""
COMMAND = (sys.executable, "-m", "zoo")
VARIABLES = (
    "ZOO_HOME", "ZOO_CACHE", "ZOO_DATA", "ZOO_LOCK", "ZOO_MIRROR", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME",
    "XDG_DATA_HOME", "PYTHONPATH",
)  # fmt: skip
"""Environment variables that the jobs get from the submitting command, also if sbatch passes no others."""
EXPECTED_FACTOR, LEAST_MINUTES, UNKNOWN_MINUTES = 3, 10, 240
"""The time limit: this many times the expected time, at least some minutes; and that of runs of unknown length."""
MEMORY_FACTOR, UNKNOWN_MEMORY = 1.5, 8
"""The memory: this many times that of earlier runs and 1 GB; and that of runs whose memory is unknown, in GB."""

TEMPLATE = """\
#!/bin/bash
# A task of this array makes one run of the plan in this folder. `zoo {{verify,reproduce}} --on slurm` writes this file.
{options}

# The number of the run: that of the task, plus the first argument, because Slurm limits the numbers of an array.
index=$(( ${{1:-0}} + SLURM_ARRAY_TASK_ID ))
task="${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"

# The last event of this run.
last_event() {{
    tail -n 1 {home}/units/"$(printf %05d "$index")".jsonl 2>/dev/null
}}
before=$(last_event)

# Slurm sends SIGTERM to this shell {grace} seconds before the time limit. zoo then saves a checkpoint and ends.
pid='' stopped=0
trap 'stopped=1; [ -z "$pid" ] || kill -TERM "$pid"' TERM

# All files were downloaded before the jobs were submitted.
{exports}

# The lines of `setup` in the configuration.
{setup}

cd {folder} || exit 4
{command} run-unit {plan} --index "$index" &
pid=$!
[ "$stopped" = 0 ] || kill -TERM "$pid"
wait "$pid"
code=$?
while [ "$stopped" = 1 ]; do  # a signal ends `wait` early
    stopped=0
    wait "$pid"
    status=$?
    [ "$status" = 127 ] || code=$status
done

# A signal may arrive when the run is already finished.
event=$(last_event)
if [ "$event" != "$before" ]; then
    case "$event" in
        '{{"event": "done"'*) exit 0 ;;
        '{{"event": "failed"'*) exit "$code" ;;
    esac
fi

# 143 and 75: stopped with a checkpoint, from which the next attempt goes on. 137: killed, for example for its memory.
case "$code" in
    143 | 75) cause=stopped most={max_requeues} ;;
    137) cause=killed most={max_restarts} ;;
    *) exit "$code" ;;
esac
# Slurm's commands below must not depend on these variables.
unset ${{!SBATCH_@}} ${{!SQUEUE_@}} SLURM_CLUSTERS
# Slurm itself also queues a task again, when its node dies. So this counts how often that is done here, by cause.
file={home}/{logs}/"$task.$cause"
count=$(cat "$file" 2>/dev/null)
# A task that is canceled or has reached its time limit is not RUNNING any more, and stays as it is.
if [ "${{count:-0}}" -lt "$most" ] && [ "$(squeue -h --all -j "$task" -o %T)" = RUNNING ]; then
    echo "$(( ${{count:-0}} + 1 ))" > "$file"
    echo "zoo ended with $code; task $task is queued again"
    scontrol requeue "$task"
fi
exit "$code"
"""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One array of tasks, all of the same wave."""

    wave: int
    first: int
    """The number of the unit that task 0 would make."""
    units: tuple[int, ...]
    options: tuple[str, ...]
    """The options of sbatch that only this array has."""
    is_throttled: bool
    """Whether the number of tasks at once is limited. Slurm limits each array alone, so arrays follow each other."""

    def waits_for(self, wave: int) -> bool:
        """Return whether the tasks start only when those of an earlier array, of this wave, have ended."""
        return wave < self.wave or self.is_throttled

    def command(self, dependencies: Sequence[str]) -> list[str]:
        """Return the call of sbatch, made in the plan's folder, for an array that starts after other jobs have ended.

        The call prints the number of the job.
        """
        after = [f"--dependency=afterany:{':'.join(dependencies)}"] if dependencies else []
        return ["sbatch", "--parsable", *self.options, *after, SCRIPT, str(self.first)]


@dataclass(frozen=True, kw_only=True)
class SlurmPreview:
    """The batch script of a plan, and the commands that submit it."""

    path: str
    """The file of the script."""
    script: str
    commands: tuple[str, ...]
    """Lines of shell."""
    tasks: int
    """The number of tasks that the commands submit."""
    confirming: int
    """How many of the tasks only confirm a run that exists, by its identity; they make nothing."""


def preview(plan: Plan, units: Collection[int], missing: Collection[int], config: SlurmConfig) -> SlurmPreview:
    """Return the script and the commands that make or confirm units. Nothing is written.

    Args:
        plan: The plan.
        units: The numbers of the units to submit.
        missing: The numbers of the units whose runs do not exist.
        config: The settings of the cluster.
    """
    commands = tuple(shell_commands(plan, submissions(plan, units, config)))
    return SlurmPreview(
        path=str(plan.home / SCRIPT), script=batch_script(plan, config), commands=commands, tasks=len(units),
        confirming=len(set(units).difference(missing)),
    )  # fmt: skip


def job_name(plan: Plan) -> str:
    """Return the name of all jobs of a plan. The same plan with another folder of records has other jobs."""
    return f"zoo-{plan.id}-{sha256(str(plan.records.resolve()).encode()).hexdigest()[:6]}"


def batch_script(plan: Plan, config: SlurmConfig) -> str:
    """Return the batch script of a plan. Raise UsageError for a device that a job cannot choose."""
    environment = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    environment |= {"HF_HUB_OFFLINE": "1", **config.environment}
    exports = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    exports.append("export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$SLURM_CPUS_PER_TASK}")
    return TEMPLATE.format(
        options="\n".join(f"#SBATCH {option}" for option in _options(plan, config)),
        grace=config.grace, exports="\n".join(exports), setup="\n".join(config.setup) or ":",
        folder=shlex.quote(str(plan.folder)), plan=shlex.quote(str(plan.file)), home=shlex.quote(str(plan.home)),
        logs=LOGS, command=shlex.join(config.command or COMMAND), max_requeues=config.max_requeues,
        max_restarts=min(1, config.max_requeues),
    )  # fmt: skip


def submissions(plan: Plan, units: Collection[int], config: SlurmConfig) -> list[Submission]:
    """Return the arrays that make units, wave by wave, none with a number above Slurm's limit."""
    size = config.max_array_size
    ordered = sorted(units, key=lambda index: (plan.units[index].wave, index))
    grouped = groupby(ordered, key=lambda index: (plan.units[index].wave, index // size))
    return [_submission(plan, wave, part * size, tuple(group), config) for (wave, part), group in grouped]


def shell_commands(plan: Plan, arrays: Sequence[Submission]) -> Iterator[str]:
    """Yield the commands that submit arrays, as lines of shell."""
    yield f"cd {shlex.quote(str(plan.home))}"
    for number, array in enumerate(arrays):
        waits_for = [f"$job{before}" for before, other in enumerate(arrays[:number]) if array.waits_for(other.wave)]
        yield f"job{number}=$({' '.join(array.command(waits_for))})"


def array_text(numbers: Sequence[int], throttle: int | None) -> str:
    """Return the numbers of an array as sbatch reads them, such as `0,3,7-12%4`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    text = ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"{text}%{throttle}" if throttle else text


def _submission(plan: Plan, wave: int, first: int, units: tuple[int, ...], config: SlurmConfig) -> Submission:
    throttle = plan.options.jobs or config.throttle
    array = array_text([index - first for index in units], throttle)
    options = [f"--array={array}", f"--time={time_option(config.time or str(_minutes(plan, units, config)))}"]
    if not any(option.startswith("--mem-per-") for option in config.options):
        options.append(f"--mem={config.memory or _memory(plan, units)}")
    return Submission(
        wave=wave, first=first, units=units, options=tuple(options), is_throttled=throttle is not None
    )  # fmt: skip


def _minutes(plan: Plan, units: Sequence[int], config: SlurmConfig) -> int:
    expected = [plan.units[index].seconds for index in units]
    known = [math.ceil(EXPECTED_FACTOR * seconds / 60) for seconds in expected if seconds is not None]
    minutes = max(
        [LEAST_MINUTES, math.ceil(2 * config.grace / 60), *known, *([UNKNOWN_MINUTES] if None in expected else [])]
    )
    return min(minutes, parse_minutes(config.max_time))


def _options(plan: Plan, config: SlurmConfig) -> Iterator[str]:
    """Yield the options of sbatch that all arrays have."""
    yield f"--job-name={job_name(plan)}"
    yield from ("--requeue", f"--signal=B:TERM@{config.grace}", "--open-mode=append", f"--output={LOGS}/%A_%a.log")
    yield f"--cpus-per-task={config.cpus}"
    if gpus := config.gpus or _gpus(plan):
        yield f"--gpus={gpus}"
    named: Mapping[str, str | None] = {
        "partition": config.partition, "account": config.account, "qos": config.qos
    }  # fmt: skip
    yield from (f"--{name}={value}" for name, value in named.items() if value)
    yield from config.options


def _memory(plan: Plan, units: Sequence[int]) -> str:
    sizes = [plan.units[index].gigabytes for index in units]
    known = [math.ceil(MEMORY_FACTOR * size) + 1 for size in sizes if size is not None]
    return f"{max([*known, *([UNKNOWN_MEMORY] if None in sizes else [])])}G"


def _gpus(plan: Plan) -> str:
    device = plan.options.device
    if any(GPU.fullmatch(name) for name in parse_devices(device)):
        raise UsageError(f"--device {device}: Slurm chooses the GPU of a job; pass --device cuda")
    return "1" if kind_of(device) == "cuda" else ""

"""The commands that make the runs of a plan as Jobs of the Hugging Face Hub. They are printed, never run."""

import math
import platform
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.fleet.hf_uploads import copy_commands
from harness.fleet.plan_file import Plan, Unit
from harness.models.provenance import RESULT_PACKAGES, package_versions
from zoo.errors import UsageError
from zoo.recipes.catalogue import LOCAL, Entry
from zoo.recipes.devices import kind_of
from zoo.text_tables import counted, fitted

BUCKET = "zoo-runs"
"""The bucket that all jobs copy their records to."""
RECORDS = "/tmp/runs"  # noqa: S108 - the disk of a job is its own
SETUP_SECONDS = 900.0
"""The time to install packages and to download a model and data."""
UNKNOWN_SECONDS = 3600.0
"""The assumed time of a run that nobody has timed."""
FACTOR = 3
"""A job may take this many times its expected time; the Hub ends it then. Without --timeout it does after 30 min."""


@dataclass(frozen=True)
class Flavor:
    """A kind of machine, with the memory of its GPU, 0 without one, and of the machine, in GB."""

    name: str
    gpu: float
    memory: float


FLAVORS = (
    Flavor("cpu-basic", 0, 16), Flavor("cpu-upgrade", 0, 32), Flavor("cpu-xl", 0, 124), Flavor("l4x1", 24, 30),
    Flavor("l40sx1", 48, 62), Flavor("a100-large", 80, 142), Flavor("h200", 141, 256),
)  # fmt: skip
"""From small to large, as the Hub's documentation lists them; `hf jobs hardware` shows them with their prices."""


def job_script(plan: Plan, missing: Sequence[int]) -> str:
    """Return a shell script that creates a bucket, starts one job for each entry, and says how the records come back.

    Args:
        plan: The plan.
        missing: The numbers of the units to make.

    Raises:
        UsageError: The runs need code or a tracker that a job does not have.
    """
    if plan.sources.trust:
        raise UsageError(
            "--on hf-jobs: a job does not have the package of --trust; publish the model's code on the Hub"
        )
    if plan.options.log_to:
        raise UsageError(
            "--on hf-jobs: a job does not have the account of --log-to; leave it out, and draw the runs with `zoo plot`"
        )
    units = [plan.units[index] for index in missing]
    lines = [
        *_table(plan, units),
        "# One job for each entry. Log in with `hf auth login`; `hf jobs hardware` shows flavors and their prices.",
        "OWNER=$(hf auth whoami --quiet)",
        f"PACKAGES={shlex.quote(shlex.join(_requirements()))}",
        f"hf buckets create {BUCKET} --private --exist-ok",
        *copy_commands(plan, units, BUCKET),
    ]
    for wave in sorted({unit.wave for unit in units}):
        if wave:
            lines.append("# Students: start these when the jobs above have ended (`hf jobs ps`), with their teachers.")
        lines += [job_command(plan, runs) for runs in _consecutive_of(units, wave)]
    return "\n".join([*lines, *_advice(plan)])


def job_command(plan: Plan, units: Sequence[Unit]) -> str:
    """Return the command that starts the job for units of one entry. `$OWNER` and `$PACKAGES` are set before it."""
    entry = units[0].entry
    volumes = [word for source, target in _volumes(plan, entry).items() for word in ("-v", f"{source}:{target}:ro")]
    words = [
        "hf", "jobs", "run", "--detach", "--name", _job_name(units), "--flavor", flavor_of(plan, units).name,
        "--timeout", f"{timeout_minutes(units)}m", "--secrets", "HF_TOKEN",
    ]  # fmt: skip
    start = shlex.join([*words, *volumes])
    variables, script = '-e "OWNER=$OWNER" -e "PACKAGES=$PACKAGES"', shlex.quote(_script(plan, units))
    return f"{start} {variables} {image()} bash -c {script}"


def image() -> str:
    """Return the image: that of this version of Python."""
    return f"python:{platform.python_version()}-slim"


def flavor_of(plan: Plan, units: Sequence[Unit]) -> Flavor:
    """Return the smallest kind of machine with enough memory, with a GPU unless the device is `cpu`.

    Raises:
        UsageError: There is no such machine.
    """
    needs_gpu = kind_of(plan.options.device) != "cpu"
    memory = max((unit.gigabytes or 0.0 for unit in units), default=0.0)
    of_gpu = max((unit.gpu_gigabytes or 0.0 for unit in units), default=0.0) if needs_gpu else -1.0
    fitting = [
        flavor for flavor in FLAVORS if bool(flavor.gpu) == needs_gpu and flavor.memory > memory and flavor.gpu > of_gpu
    ]
    if not fitting:
        memory = max(memory, of_gpu)
        raise UsageError(f"{units[0].name}: it takes {memory:.0f} GB, which no machine of the Hub with one GPU has")
    return fitting[0]


def timeout_minutes(units: Sequence[Unit]) -> int:
    """Return the time limit of a job: three times what its runs and the installation take."""
    seconds = SETUP_SECONDS + sum(UNKNOWN_SECONDS if unit.seconds is None else unit.seconds for unit in units)
    return math.ceil(FACTOR * seconds / 60)


def _table(plan: Plan, units: Sequence[Unit]) -> Iterator[str]:
    """Yield the jobs with the runs that they make, as comments."""
    jobs = [runs for wave in sorted({unit.wave for unit in units}) for runs in _consecutive_of(units, wave)]
    rows = [
        [runs[0].entry.name, _seeds(runs), len(runs), timeout_minutes(runs), flavor_of(plan, runs).name]
        for runs in jobs
    ]
    yield f"# {counted(len(units), 'run')} to make, in {counted(len(jobs), 'job')}:"
    headers = ["entry", "seeds", "runs", "time limit in min", "machine"]
    yield from (f"# {line}".rstrip() for line in fitted(rows, headers, None).splitlines())


def _seeds(runs: Sequence[Unit]) -> str:
    """Return the seeds of consecutive runs; `-` for an evaluation."""
    first, last = runs[0].seed, runs[-1].seed
    return "-" if first is None else str(first) if first == last else f"{first} to {last}"


def _advice(plan: Plan) -> Iterator[str]:
    """Yield commands that print how the records come back: into a new folder, because `hf` overwrites what is there."""
    folder = f"{BUCKET}-{plan.id}"
    collect = shlex.quote(f"zoo collect {folder} --to {shlex.quote(str(plan.records))}")
    where = "with --device cpu" if _device(plan) == "cpu" else "with --device cuda, on a machine with a GPU,"
    yield f"# The records come back in this way; the same command {where} and without --on then judges them."
    yield "echo 'When all jobs have ended (hf jobs ps), run:'"
    yield f'echo "hf buckets sync hf://buckets/$OWNER/{BUCKET} {folder}"'
    yield f"printf '%s\\n' {collect}"


def _consecutive_of(units: Sequence[Unit], wave: int) -> list[list[Unit]]:
    return _consecutive([unit for unit in units if unit.wave == wave])


def _consecutive(units: Sequence[Unit]) -> list[list[Unit]]:
    """Return units in groups of one entry with consecutive seeds: `--first-seed` and `--seeds` name them."""
    groups: list[list[Unit]] = []
    for unit in sorted(units, key=lambda unit: (unit.entry.name, unit.seed or 0)):
        before = groups[-1][-1] if groups else None
        follows = before is not None and before.entry == unit.entry and before.seed is not None
        if follows and before is not None and unit.seed == (before.seed or 0) + 1:
            groups[-1].append(unit)
        else:
            groups.append([unit])
    return groups


def _job_name(units: Sequence[Unit]) -> str:
    seed = "" if units[0].seed is None else f"-seed{units[0].seed}"
    return f"zoo-{units[0].entry.name}{seed}"


def _script(plan: Plan, units: Sequence[Unit]) -> str:
    """Return what a job does: install, fetch the records of other jobs, make the runs, and copy the records back."""
    bucket = f'"hf://buckets/$OWNER/{BUCKET}"'
    install = "pip install --quiet --root-user-action ignore $PACKAGES"
    make = shlex.join(["zoo", "verify", *_arguments(plan, units), "--fail-on", "none"])
    return (
        f"{install} && hf buckets sync {bucket} {RECORDS} && {make}; code=$?;"
        f" hf buckets sync {RECORDS} {bucket} && exit $code"
    )


def _requirements() -> list[str]:
    """Return zoo and the packages that can change a result, in the versions of this environment."""
    versions = package_versions(("zoo-reproduce", *RESULT_PACKAGES))
    return [f"{name}=={version.partition('+')[0]}" for name, version in versions.items() if version]


def _arguments(plan: Plan, units: Sequence[Unit]) -> list[str]:
    """Return the arguments of `zoo verify` that make these units, with paths as the job sees them."""
    options, entry, seen = plan.options, units[0].entry, _volumes(plan, units[0].entry)
    words = [f"{seen[entry.path.parent.absolute()]}/{entry.path.name}" if _is_file(entry) else entry.argument]
    if units[0].seed is not None:
        words += ["--train", "--first-seed", str(units[0].seed), "--seeds", str(len(units))]
    words += ["--device", _device(plan)]
    words += ["--precision", options.precision] if options.precision != "fp32" else []
    words += ["--micro-batch", str(options.micro_batch)] if options.micro_batch else []
    flags = {"--strict": options.strict, "--score-epochs": options.score_epochs, "--fresh": options.fresh}
    words += [flag for flag, is_set in flags.items() if is_set]
    sources = plan.sources
    words += ["--mirror", seen[sources.mirror.absolute()]] if sources.mirror else []
    words += ["--lock", f"{seen[sources.lock.parent.absolute()]}/{sources.lock.name}"] if sources.lock else []
    words += [word for name, path in sources.data.items() for word in ("--data", f"{name}={seen[path.absolute()]}")]
    return [*words, "--records", RECORDS]


def _device(plan: Plan) -> str:
    """Return the device of all jobs."""
    return "cpu" if kind_of(plan.options.device) == "cpu" else "cuda"


def _volumes(plan: Plan, entry: Entry) -> Mapping[Path, str]:
    """Return the folders of this machine that a job needs, and where it sees them. `hf` copies them into a bucket."""
    folders = [entry.path.parent] if _is_file(entry) else []
    sources = plan.sources
    folders += [sources.mirror] if sources.mirror else []
    folders += [sources.lock.parent] if sources.lock else []
    folders += sources.data.values()
    return {folder: f"/inputs/{number}" for number, folder in enumerate(dict.fromkeys(f.absolute() for f in folders))}


def _is_file(entry: Entry) -> bool:
    return entry.suite == LOCAL and entry.requested_repo is None

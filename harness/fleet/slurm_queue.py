"""The jobs of a plan in a Slurm cluster: those that were submitted, and those of their tasks that are queued."""

import json
import os
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from harness.fleet.journal import journal_of
from harness.fleet.plan_file import Plan
from harness.fleet.slurm_script import LOGS, SCRIPT, Submission, job_name
from harness.records.heartbeat_lock import HeartbeatLock
from zoo.errors import SourceError
from zoo.files import write_atomically
from zoo.progress import Report

JOBS = "slurm.json"
"""The file with the jobs of a plan, in its folder."""
WAIT = 1.0
"""Seconds to wait for the lock of the submission in one attempt."""
DEFEATING = ("SBATCH_", "SQUEUE_", "SLURM_CLUSTERS")
"""How the variables start that change what Slurm's commands do. Those of the user must not defeat the settings."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """An array that was submitted."""

    id: str
    """Its number; empty until sbatch has printed it."""
    wave: int
    first: int
    """The number of the unit that task 0 would make."""
    units: tuple[int, ...]
    before: tuple[float | None, ...]
    """The time of the last event in the journal of each unit before the job was submitted."""

    def task(self, index: int) -> str:
        """Return the name of the task that makes a unit, such as `1234_5`."""
        return f"{self.id}_{index - self.first}"

    def before_unit(self, index: int) -> float | None:
        """Return the time of a unit's last event before the job was submitted."""
        return self.before[self.units.index(index)]


@dataclass(frozen=True, kw_only=True)
class QueuedTask:
    """A task that is queued or runs."""

    job: Job
    is_running: bool
    reason: str
    """Why it does not run."""


@dataclass
class SlurmQueue:
    """All jobs of a plan."""

    plan: Plan
    jobs: list[Job]

    def tasks(self) -> dict[int, QueuedTask]:
        """Return the tasks that are queued or run, by their units. Raise SourceError if Slurm does not answer."""
        known, tasks = {job.id: job for job in self.jobs if job.id}, dict[int, QueuedTask]()
        for number, task, state, reason in self._rows():
            if number in known and task.isdigit():
                found = QueuedTask(job=known[number], is_running=state == "RUNNING", reason=reason)
                tasks.setdefault(found.job.first + int(task), found)
        return tasks

    def adopt(self) -> None:
        """Find the number of a job whose command was killed before it had written it, or forget that job.

        Slurm has such a job under the plan's name, or never got it. Call this with the lock of the submission.

        Raises:
            SourceError: Slurm does not answer, or the plan's folder cannot be written.
        """
        if all(job.id for job in self.jobs):
            return
        known = {job.id for job in self.jobs}
        unknown = {number for number, task, *_ in self._rows() if number not in known and task.isdigit()}
        found = [replace(job, id=max(unknown, key=int)) for job in self.jobs if not job.id] if unknown else []
        self.jobs = [*(job for job in self.jobs if job.id), *found[:1]]
        self._write()

    def submit(self, array: Submission, active: Collection[Job]) -> Job:
        """Submit an array, whose tasks start when the active jobs have ended that it has to wait for.

        The job is written down before it is submitted, so that one that Slurm has got is found again, see `adopt`.

        Raises:
            SourceError: Slurm refuses the job, or the plan's folder cannot be written.
        """
        before = tuple(_last_time(self.plan, index) for index in array.units)
        dependencies = sorted({job.id for job in active if array.waits_for(job.wave)}, key=_number)
        job = Job(id="", wave=array.wave, first=array.first, units=array.units, before=before)
        self.jobs.append(job)
        self._write()
        try:
            printed = self._call(array.command(dependencies))
        except SourceError:
            self.jobs.pop()
            self._write()
            raise
        self.jobs[-1] = replace(job, id=printed.strip().partition(";")[0])
        self._write()
        return self.jobs[-1]

    def job_of(self, index: int) -> Job:
        """Return the newest job of a unit."""
        return next(job for job in reversed(self.jobs) if index in job.units)

    def log_of(self, index: int) -> Path:
        """Return the file with the output of the newest task of a unit."""
        return self.plan.home / LOGS / f"{self.job_of(index).task(index)}.log"

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield the job, the number, the state and the reason of each task that squeue knows by the plan's name."""
        command = ["squeue", "-h", "-r", "--all", f"--name={job_name(self.plan)}", "-o", "%F %K %T %r"]
        for line in self._call(command).splitlines():
            number, task, state, reason = (*line.split(maxsplit=3), "", "", "", "")[:4]
            yield number, task, state, reason

    def _write(self) -> None:
        write_file(self.plan.home / JOBS, json.dumps({"jobs": [asdict(job) for job in self.jobs]}))

    def _call(self, command: Sequence[str]) -> str:
        """Return what a command of Slurm prints. Raise SourceError with its message if it fails."""
        script = self.plan.home / SCRIPT
        hint = f". The script is {script}" if script.is_file() else ""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(DEFEATING)}
        try:
            done = subprocess.run(  # noqa: S603 - a command of Slurm
                command, cwd=self.plan.home, env=environment, capture_output=True, text=True, errors="replace",
                check=False,
            )  # fmt: skip
        except OSError:
            raise SourceError(
                f"{command[0]}: Slurm's commands were not found on this machine; run this command on a login node of"
                " the cluster"
            ) from None
        if done.returncode:
            message = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            raise SourceError(f"{command[0]} failed: {message}{hint}")
        return done.stdout


def read_queue(plan: Plan) -> SlurmQueue:
    """Return the jobs that earlier commands have submitted. Raise SourceError if their file is damaged."""
    file = plan.home / JOBS
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["jobs"]
        return SlurmQueue(plan, [Job(**{**row, "units": tuple(row["units"])}) for row in rows])
    except FileNotFoundError:
        return SlurmQueue(plan, [])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{file}: cannot be read: {error}; delete it to submit all missing runs again") from None


@contextmanager
def submission_lock(plan: Plan, report: Report) -> Iterator[None]:
    """Let one command at a time read the jobs of a plan, submit others and write them. Raise SourceError."""
    lock, attempts = HeartbeatLock(plan.home / "locks" / "slurm"), 0
    while not lock.acquire(WAIT):
        attempts += 1
        if attempts == 1:
            report(f"waiting for {lock.owner or 'another process'}, which submits jobs of this plan")
    try:
        yield
    finally:
        lock.release()


def write_file(path: Path, text: str) -> None:
    """Write a file and its folder. Raise SourceError if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise SourceError(f"{path}: cannot write there: {error.strerror or error}") from None


def _number(job: str) -> tuple[int, str]:
    """Return a key that sorts the numbers of jobs."""
    return len(job), job


def _last_time(plan: Plan, index: int) -> float | None:
    last = journal_of(plan, index).last()
    return None if last is None else float(last["time"])

"""Make the units of a plan in jobs of a Slurm cluster, and wait for them."""

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from harness.fleet.journal import journal_of
from harness.fleet.plan_file import Plan
from harness.fleet.results import is_made
from harness.fleet.slurm_config import SlurmConfig
from harness.fleet.slurm_queue import QueuedTask, SlurmQueue, read_queue, submission_lock, write_file
from harness.fleet.slurm_script import LOGS, SCRIPT, batch_script, job_name, submissions
from harness.fleet.trusted_runs import made_by_same_code
from harness.fleet.work import unit_lock
from harness.records.lock_file import LockOwner
from zoo.error_translation import translate_errors
from zoo.errors import SourceError, ZooError
from zoo.progress import Report, ShowProgress, Step
from zoo.recipes.catalogue import Entry
from zoo.text_tables import counted

Fetch = Callable[[Sequence[Entry]], Mapping[Entry, ZooError]]
"""Downloads what the runs of entries read, and returns the errors."""
POLL_SECONDS = 15.0
FIRST_POLL = 1.0
SETTLE_SECONDS = 70.0
"""A task has ended without a result when it has been missing in the queue for so long: clients of a network file system
keep for 60 s what they know of a folder, and also that a file is not there."""
NEVER = re.compile(
    "[Hh]eld|JobHoldMaxRequeue|PartitionTimeLimit|PartitionNodeLimit|PartitionConfig|InvalidAccount|InvalidQOS"
    "|AccountNotAllowed|QOSNotAllowed|BadConstraints|MaxMemPerLimit|MaxWallDurationPerJob|(QOS|Assoc)Max\\w*PerJob"
    "|(QOS|Assoc)Grp\\w*Minutes|DependencyNeverSatisfied|ReservationDeleted"
)
"""Reasons for which a task does not start unless the user or an administrator acts."""
LATER = re.compile("PartitionDown|PartitionInactive|ReqNode")
"""Reasons that end when an administrator opens the partition or the nodes again. Others end by themselves."""


def run_slurm(
    plan: Plan,
    missing: Collection[int],
    config: SlurmConfig,
    fetch: Fetch,
    *,
    report: Report,
    show_progress: ShowProgress,
    poll: float = POLL_SECONDS,
    settle: float = SETTLE_SECONDS,
) -> None:
    """Make units in jobs of Slurm, and return when all of them are done or have failed.

    Units that an earlier command has submitted and that are still queued are waited for, and not submitted again.

    Args:
        plan: The plan; its file exists.
        missing: The numbers of the units to make.
        config: The settings of the cluster.
        fetch: Downloads what the jobs read, which have no network.
        report: Called with messages, and with those of a unit once it is finished.
        show_progress: Shows how many units are finished.
        poll: The most seconds between two looks at the queue.
        settle: The seconds after which a task that is not in the queue any more, and has no result, has ended.

    Raises:
        KeyboardInterrupt: The command is to end. The jobs go on.
        SourceError: Slurm is not here, or refuses the jobs.
    """
    script, queued = batch_script(plan, config), read_queue(plan).tasks()
    missing = _not_made(plan, missing, report)
    ready = _fetched(plan, [index for index in missing if index not in queued], fetch)
    try:
        with submission_lock(plan, report):
            queue = read_queue(plan)
            queue.adopt()
            write_file(plan.home / SCRIPT, script)
            queued = queue.tasks()
            _submit(queue, [index for index in ready if index not in queued], config, queued, report)
        waiting = {*ready, *(index for index in missing if index in queued)}
        with show_progress("all runs", "runs") as progress:
            _Watch(queue, waiting, len(missing), settle, report, progress).wait(poll)
    except KeyboardInterrupt:
        report(
            "jobs that are submitted go on; the same command waits again. To cancel them: scancel"
            f" --name={job_name(plan)}"
        )
        raise


def _not_made(plan: Plan, missing: Collection[int], report: Report) -> list[int]:
    """Return the units that no earlier job has made. Only with trusted code the others are not known to be made."""
    made = made_by_same_code(plan, missing)
    if made:
        report(f"{counted(len(made), 'run')} of earlier jobs will be judged; --fresh makes them again")
    return [index for index in missing if index not in made]


def _fetched(plan: Plan, units: list[int], fetch: Fetch) -> list[int]:
    """Download what units read, and return those that have everything. The others get the error in their journals."""
    errors = fetch(list(dict.fromkeys(plan.units[index].entry for index in units))) if units else {}
    for index in units:
        if error := errors.get(plan.units[index].entry):
            journal_of(plan, index).fail(error)
    return [index for index in units if plan.units[index].entry not in errors]


def _submit(
    queue: SlurmQueue, units: list[int], config: SlurmConfig, queued: Mapping[int, QueuedTask], report: Report
) -> None:
    with translate_errors(str(queue.plan.home)):
        (queue.plan.home / LOGS).mkdir(exist_ok=True)
    active = [task.job for task in queued.values()]
    for array in submissions(queue.plan, units, config):
        job, tasks = queue.submit(array, active), len(array.units)
        active.append(job)
        report(f"submitted job {job.id} with {tasks} task{'s' * (tasks != 1)}; logs: {queue.plan.home / LOGS}")


@dataclass
class _Watch:
    """Waits for the units of a plan that have been submitted."""

    queue: SlurmQueue
    waiting: set[int]
    """The units that are not finished."""
    total: int
    settle: float
    """The seconds that a task is missing in the queue before it counts as ended."""
    report: Report
    progress: Step
    reported: set[str] = field(default_factory=set)
    """Messages that are reported once."""

    def wait(self, poll: float) -> None:
        """Return when each unit is made or has failed, or its task has ended."""
        delay, missing_since = min(FIRST_POLL, poll), dict[int, float]()
        while self.waiting:
            tasks, now = self._tasks(), time.monotonic()
            for index in sorted(self.waiting):
                if tasks is None or index in tasks:
                    missing_since.pop(index, None)
                else:
                    missing_since.setdefault(index, now)
                has_ended = now - missing_since.get(index, now) >= self.settle
                if self._has_result(index) or (has_ended and self._write_end(index)):
                    self.waiting.discard(index)
                    self._report_messages(index)
            self._show(tasks or {})
            if self.waiting:
                time.sleep(delay)
                delay = min(1.2 * delay, poll)

    def _tasks(self) -> dict[int, QueuedTask] | None:
        """Return the queued tasks, or None if Slurm does not answer, as it may while it is busy or restarts."""
        try:
            return self.queue.tasks()
        except SourceError as error:
            self._report_once(f"{error}. Asking again")
            return None

    def _has_result(self, index: int) -> bool:
        news = self._news(index)
        return news is not None and (news["event"] == "failed" or is_made(self.queue.plan, news))

    def _news(self, index: int) -> Mapping[str, Any] | None:
        """Return the last event of a unit, unless it is older than its job."""
        last = journal_of(self.queue.plan, index).last()
        return None if last is None or last["time"] == self.queue.job_of(index).before_unit(index) else last

    def _show(self, tasks: Mapping[int, QueuedTask]) -> None:
        running = sum(task.is_running for task in tasks.values())
        done = self.total - len(self.waiting)
        self.progress(done, self.total, f"{running} running, {len(tasks) - running} queued")
        for task in tasks.values():
            job, reason = task.job.id, task.reason.partition(",")[0]
            if NEVER.search(reason):
                self._report_once(f"tasks of job {job} do not start: {reason}; `squeue -j {job}` lists them")
            elif LATER.search(reason):
                self._report_once(f"tasks of job {job} wait until the cluster is open again: {reason}")

    def _report_once(self, message: str) -> None:
        if message not in self.reported:
            self.reported.add(message)
            self.report(message)

    def _report_messages(self, index: int) -> None:
        for message in (self._news(index) or {}).get("messages", ()):
            self.report(message)

    def _write_end(self, index: int) -> bool:
        """Write into the journal of a unit that its task has ended without a result.

        Nothing is written if there is a result after all, or if a process elsewhere makes the unit.

        Returns:
            Whether the unit is finished; not while another process makes it.
        """
        _refresh(self.queue.plan, index)
        lock, news = unit_lock(self.queue.plan, index), self._news(index) or {}
        with translate_errors(str(lock.path)):
            if not lock.acquire(0.0) and not self._is_of(lock.owner, news) and lock.is_held:
                return False
            try:
                news = self._news(index) or {}  # a process may have written it before it released the lock
                if not news or news["event"] == "stopped" or (news["event"] == "started" and self._is_ours(news)):
                    self._append_end(index, news)
                return True
            finally:
                lock.release()

    def _is_ours(self, event: Mapping[str, Any]) -> bool:
        """Return whether a task of this plan has written an event, and not a process elsewhere, which may go on."""
        return str(event.get("job")).partition("_")[0] in {job.id for job in self.queue.jobs}

    def _is_of(self, owner: LockOwner | None, event: Mapping[str, Any]) -> bool:
        """Return whether the owner of a lock is the process of a task, which Slurm says has ended."""
        if owner is None or not self._is_ours(event):
            return False
        return (owner.process.host, owner.process.pid) == (event.get("host"), event.get("pid"))

    def _append_end(self, index: int, news: Mapping[str, Any]) -> None:
        match news.get("event"):
            case "started":
                where = f"on {news.get('host')} in attempt {news.get('attempt')}"
                end = f"was killed {where}; it may need more memory or time"
            case "stopped":
                end = f"was stopped by {news.get('why')}; the same command goes on from its checkpoint"
            case _:
                end = "ended before zoo started"
        name, task = self.queue.plan.units[index].name, self.queue.job_of(index).task(index)
        error = SourceError(f"{name}: not run: Slurm's task {task} {end}; its log is {self.queue.log_of(index)}")
        journal_of(self.queue.plan, index).fail(error)


def _refresh(plan: Plan, index: int) -> None:
    """List the folders of a unit's journal and records: a network file system then looks for new files in them."""
    journal = journal_of(plan, index)
    records = [plan.records / name for name in (journal.last() or {}).get("records", ())]
    for folder in (journal.path.parent, *(each for record in records for each in (record.parent, record))):
        with suppress(OSError):
            list(folder.iterdir())

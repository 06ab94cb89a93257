"""Make runs in other processes or on clusters, and show what would be submitted there."""

import os
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from zoo.api.session import Session
from zoo.errors import UsageError, ZooError
from zoo.recipes.catalogue import Entry
from zoo.recipes.devices import kind_of, number_of_gpus
from zoo.recipes.options import RunOptions
from zoo.stopping import deadline_of

if TYPE_CHECKING:
    from harness.fleet.plan_file import Plan
    from harness.fleet.slurm_script import SlurmPreview
    from harness.fleet.worker import UnitMaker

_HF_JOBS = "--on hf-jobs: zoo starts no Jobs itself; add --dry-run, which prints the commands to start them with"


def make_elsewhere(session: Session, options: RunOptions, plan: "Plan", missing: "Collection[int]") -> None:
    """Have the units of a plan made where the options say."""
    if options.on == "hf-jobs":
        raise UsageError(_HF_JOBS)
    deadline = deadline_of(options.time_limit, session.started)
    seconds = None if deadline is None else deadline - time.monotonic()
    if options.on == "ray":
        from harness.fleet.ray_cluster import run_ray

        address = options.ray_address or os.environ.get("RAY_ADDRESS") or None
        run_ray(
            plan, missing, options.jobs, address=address, report=session.report, show_progress=session.show_progress,
            seconds=seconds,
        )  # fmt: skip
        return
    if options.on == "slurm":
        from harness.fleet.slurm import run_slurm
        from harness.fleet.slurm_config import read_slurm_config

        config, fetch = read_slurm_config(options.slurm_config), partial(_prefetch, session, train=options.train)
        run_slurm(plan, missing, config, fetch, report=session.report, show_progress=session.show_progress)
        return
    from harness.fleet.local import run_local

    jobs = options.jobs or number_of_gpus(options.device) or 1
    if options.train and jobs > 1:
        session.report(f"{jobs} processes share the threads. Training results depend on their number; records name it.")
    run_local(plan, missing, jobs, report=session.report, show_progress=session.show_progress, seconds=seconds)


def hf_jobs_script(session: Session, entries: Sequence[Entry], options: RunOptions, *, dry_run: bool) -> str:
    """Return the script that makes the missing runs of entries as Jobs of the Hub. Raise UsageError to run it.

    Without `--device` the Jobs have GPUs, whatever this machine has.
    """
    from harness.fleet.existing_units import missing_units
    from harness.fleet.hf_jobs import job_script
    from harness.fleet.units import plan_units

    if not dry_run:
        raise UsageError(_HF_JOBS)
    of_jobs = replace(options, device="cuda") if kind_of(options.device) is None else options
    plan = plan_units(entries, of_jobs, session.sources)
    return job_script(plan, missing_units(plan))


def slurm_preview(session: Session, entries: Sequence[Entry], options: RunOptions) -> "SlurmPreview":
    """Return the script and the commands that `verify` would submit to Slurm."""
    from harness.fleet.dispatch import open_units
    from harness.fleet.existing_units import missing_units
    from harness.fleet.fresh_plans import current_plan
    from harness.fleet.slurm_config import read_slurm_config
    from harness.fleet.slurm_script import preview
    from harness.fleet.trusted_runs import made_by_same_code

    plan = current_plan(entries, options, session.sources)
    units = set(open_units(plan))
    submitted = units - made_by_same_code(plan, units)
    return preview(plan, submitted, missing_units(plan), read_slurm_config(options.slurm_config))


def unit_maker(session: Session, plan: "Plan", number: int = 0, processes: int = 1) -> "UnitMaker":
    """Return what makes the units of a plan in one of several processes on this machine."""
    from harness.fleet.worker import UnitMaker

    entries = [unit.entry for unit in plan.units]
    return UnitMaker(plan, partial(session.context, entries, plan.options), number=number, processes=processes)


def _prefetch(session: Session, entries: Sequence[Entry], *, train: bool) -> dict[Entry, ZooError]:
    """Download everything that runs of entries read, and return the error of each entry that lacks something."""
    from zoo.recipes.prefetch import DownloadSize, prefetch_entries

    def report_size(size: DownloadSize) -> None:
        session.report(f"before the jobs are submitted, their files are fetched: {size}")

    return prefetch_entries(entries, session.builder(entries, train=train), train=train, started=report_size)

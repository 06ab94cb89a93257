"""How long a run may take and what memory it needs, by earlier runs. Never imports torch."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median

from harness.records.find_runs import find_runs
from harness.records.record import Mode, Record, read_record
from zoo import paths
from zoo.errors import ZooError

HERE = "here"


@dataclass(frozen=True, kw_only=True)
class ExpectedTime:
    """The expected time of one run."""

    seconds: float | None = None
    """The median of earlier runs, scaled if `scale` is not None; None if there is no earlier run."""
    measured_on: str = ""
    """Where the earlier runs were made: `here`, or the device."""
    scale: float | None = None
    """How many times as long runs of other entries took here, if the time was measured elsewhere."""
    scaled_by: int = 0
    """The number of those entries."""


@dataclass
class EarlierRuns:
    """The user's runs and the committed ones.

    A time of this machine and device is the best. Otherwise the time of another device is scaled by the median ratio
    over the entries that were run on both. Without any such entry, the time is that of the other device.
    """

    runs: Path
    """The folder of the user's runs."""
    device: str | None = None
    """The kind of the device of the new runs; None for any."""
    _by_entry: dict[str, Sequence[tuple[str, Record]]] = field(default_factory=dict)

    def expected_time(self, entry: str, mode: Mode) -> ExpectedTime:
        """Return the expected time of a run of an entry."""
        times = self._times(entry, mode)
        if HERE in times:
            return ExpectedTime(seconds=times[HERE], measured_on=HERE)
        ratios = {machine: self._ratios(mode, machine) for machine in times}
        if not times:
            return ExpectedTime()
        machine = max(sorted(times), key=lambda name: len(ratios[name]))
        scale = median(ratios[machine]) if ratios[machine] else None
        return ExpectedTime(
            seconds=times[machine] * (scale or 1.0), measured_on=machine, scale=scale, scaled_by=len(ratios[machine])
        )

    def memory(self, entry: str, mode: Mode) -> tuple[int | None, int | None]:
        """Return the largest memory of earlier runs in bytes: of the process, and of a GPU. None if it is unknown."""
        runs = [(machine, record) for machine, record in self._records(entry) if record.identity.mode == mode]
        costs = [record.cost for machine, record in runs if machine == HERE] or [record.cost for _, record in runs]
        host = [int(cost["peak_memory_bytes"]) for cost in costs]
        gpu = [int(size) for cost in costs if (size := cost.get("device_peak_memory_bytes"))]
        return max(host, default=None), max(gpu, default=None)

    def _times(self, entry: str, mode: Mode) -> dict[str, float]:
        """Return the median time of an entry's runs on each machine."""
        times: dict[str, list[float]] = {}
        for machine, record in self._records(entry):
            if record.identity.mode == mode and record.cost["seconds"]:
                times.setdefault(machine, []).append(record.cost["seconds"])
        return {machine: median(seconds) for machine, seconds in times.items()}

    def _ratios(self, mode: Mode, machine: str) -> list[float]:
        """Return how many times as long each entry took here as on another machine, if it was run on both."""
        times = [self._times(entry, mode) for entry in self._entries]
        return [both[HERE] / both[machine] for both in times if HERE in both and machine in both]

    @cached_property
    def _entries(self) -> Sequence[str]:
        """The names of the entries that the user has run."""
        if not self.runs.is_dir():
            return ()
        return sorted(folder.name for folder in self.runs.iterdir() if folder.is_dir() and folder.name[0] != ".")

    def _records(self, entry: str) -> Sequence[tuple[str, Record]]:
        """Return all runs of an entry, each with where it was made."""
        if entry not in self._by_entry:
            own = [
                (HERE if self._is_on_device(record) else _machine(record), record) for record in _read(self.runs, entry)
            ]
            committed = [(_machine(record), record) for record in _read(paths.evidence(), entry)]
            self._by_entry[entry] = [*own, *committed]
        return self._by_entry[entry]

    def _is_on_device(self, record: Record) -> bool:
        return self.device in (None, record.identity.numerics["device"])


def _machine(record: Record) -> str:
    device, threads = str(record.environment.get("device", "cpu")), record.environment.get("threads")
    return f"{device}, {threads} thread{'s' * (threads != 1)}" if device == "cpu" and threads else device


def _read(runs: Path, entry: str) -> Iterator[Record]:
    """Yield the runs of an entry that can be read, except those of other tools."""
    for run in find_runs(runs, entry):
        with suppress(ZooError):  # a damaged record is reported where it is judged
            record = read_record(run.record)
            if not record.imported:
                yield record

"""The files of one run of a tool that writes samples and results apart, such as lm-eval and lighteval."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.imported_logs.collect import Collector
from harness.imported_logs.reading import read_document
from harness.imported_logs.types import Sample
from zoo.fetch.checksum import sha256

ReadSamples = Callable[[str, Path], Iterator[tuple[Mapping[str, Any], Sample]]]
"""A task and its file -> the values of all metrics of each sample, and the sample."""


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """The files of one run."""

    samples: Mapping[str, Path]
    """Task -> the file of its samples."""
    results: Path | None
    """The file with the scores of whole tasks, if there is one."""

    def read_results(self) -> Mapping[str, Any]:
        """Return the content of the file with the scores of whole tasks; an empty object if there is none."""
        return read_document(self.results) if self.results is not None else {}

    def collect(self, path: Path, read: ReadSamples) -> Collector:
        """Return the scores of all samples; `path` is the log that the user named."""
        collector = Collector(where=str(path))
        for task, file in self.samples.items():
            for metrics, sample in read(task, file):
                collector.add(task, metrics, sample)
        return collector

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each file by its name."""
        files = [*self.samples.values(), *([self.results] if self.results else [])]
        return {file.name: sha256(file) for file in files}

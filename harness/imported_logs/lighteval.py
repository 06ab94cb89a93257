"""Logs of lighteval: `details_TASK_DATE.parquet` for each task, and `results_DATE.json` beside the folder `details`.

As lighteval 0.11 to 0.13 write them with `--save-details` (`lighteval/logging/evaluation_tracker.py`).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.imported_logs.collect import Collector
from harness.imported_logs.reading import MAX_BYTES as MAX_FILE
from harness.imported_logs.reading import (
    MAX_SAMPLES,
    check_size,
    digest,
    group_of,
    identifier,
    mapping,
    number,
    part,
    read_document,
    seconds_of,
    text_of,
)
from harness.imported_logs.types import ImportedLog, Sample
from zoo.errors import UsageError, first_line
from zoo.fetch.checksum import sha256
from zoo.tasks.parquet import read_table

_DETAILS = re.compile(r"details_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.parquet")
_RESULTS = re.compile(r"results_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.json")


def read_log(path: Path, group_by: str) -> ImportedLog:
    """Return the log of a run of lighteval.

    Args:
        path: A file of details, the folder of one run with them, or the file of results.
        group_by: See `harness.imported_logs.reading.group_of`.

    Raises:
        UsageError: The files are no logs of one run.
        SourceError: A file cannot be read, or would fill the memory.
    """
    details, results = _files(path)
    data = read_document(results) if results is not None else {}
    collector = Collector(where=str(path))
    for task, file in details.items():
        for metrics, sample in _samples(task, file, group_by):
            collector.add(task, metrics, sample)
    findings: list[str] = []
    scores = tuple(collector.scores(_reported(data), findings, has_reported="results" in data))
    general = mapping(data.get("config_general"))
    config = mapping(general.get("model_config"))
    files = [*details.values(), *([results] if results else [])]
    sets = {task: text_of(part(data, "config_tasks", task, "hf_repo")) for task in details}
    return ImportedLog(
        tool="lighteval", version=_version(general),
        model=text_of(general.get("model_name")) or text_of(config.get("model_name")) or "unknown",
        revision=text_of(config.get("revision")), precision=text_of(config.get("dtype")).removeprefix("torch."),
        device=text_of(config.get("device")), created=_created(files[0].name),
        seconds=seconds_of(general.get("total_evaluation_time_secondes")),
        scores=scores, files={file.name: sha256(file) for file in files},
        data_sets={task: name for task, name in sets.items() if name},
        subsets={task: _subset(mapping(part(data, "config_tasks", task))) for task in details},
        findings=tuple(findings),
    )  # fmt: skip


def _subset(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the split that a task scores, if it is one, and the configuration of its data set."""
    splits = config.get("evaluation_splits")
    split = text_of(splits[0]) if isinstance(splits, list) and len(splits) == 1 else ""
    found = {"split": split, "config": text_of(config.get("hf_subset"))}
    return {name: value for name, value in found.items() if value}


def _files(path: Path) -> tuple[dict[str, Path], Path | None]:
    """Return the files of details of one run by task, and the file of results."""
    named = _DETAILS.fullmatch(path.name)
    if path.is_file() and named is not None:
        return {named["task"]: path}, _results_of(path.parent, named["date"])
    folder, results = path, None
    if path.is_file():
        if (match := _RESULTS.fullmatch(path.name)) is None:
            raise UsageError(f"{path}: not details_TASK_DATE.parquet or results_DATE.json of lighteval")
        parts = ["details" if part_ == "results" else part_ for part_ in path.parent.parts]
        folder, results = Path(*parts) / match["date"], path
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    matches = [(file, match) for file in found if (match := _DETAILS.fullmatch(file.name))]
    if not matches:
        raise UsageError(f"{folder}: no file details_TASK_DATE.parquet; run lighteval with --save-details")
    if len(dates := {match["date"] for _, match in matches}) > 1:
        raise UsageError(f"{folder}: {len(dates)} runs; name one file, or the folder of one run")
    return {match["task"]: file for file, match in matches}, results or _results_of(folder, next(iter(dates)))


def _results_of(folder: Path, date: str) -> Path | None:
    """Return the file of results of a folder `OUT/details/MODEL/DATE`, or one beside the details."""
    parts = folder.absolute().parts
    moved = Path(*("results" if name == "details" else name for name in parts[:-1]))
    candidates = [folder / f"results_{date}.json", moved / f"results_{date}.json"]
    return next((file for file in candidates if file.is_file()), None)


def _samples(task: str, file: Path, group_by: str) -> Iterator[tuple[Mapping[str, Any], Sample]]:
    for row, data in enumerate(_rows(file)):
        where = f"{file}, row {row}"
        doc, metrics = data.get("doc"), data.get("metric")
        if not isinstance(doc, dict) or not isinstance(metrics, dict):
            raise UsageError(f"{where}: no details of lighteval: it has no 'doc' or no 'metric'")
        document = identifier(doc.get("id")) or str(row)
        fields = {**mapping(doc.get("specific")), **doc}
        query = doc.get("original_query") or doc.get("query")
        yield (
            {text_of(name): value for name, value in metrics.items() if value is not None},
            Sample(
                document=document,
                content=digest(query, doc.get("choices"), doc.get("gold_index")),
                score=0.0,
                group=group_of(group_by, task=task, document=document, fields=fields, where=where),
            ),
        )


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the columns `doc` and `metric` of each row, a batch at a time."""
    check_size(file, MAX_FILE)
    try:
        table = read_table(file)
        if table.num_rows > MAX_SAMPLES:
            raise UsageError(f"{file}: more than {MAX_SAMPLES:,} rows")
        chosen = table.select([name for name in ("doc", "metric") if name in table.column_names])
        for batch in chosen.to_batches(max_chunksize=1000):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{file}: cannot be read as parquet: {first_line(error)}") from None


def _reported(data: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    return {
        (task, text_of(name)): score
        for task, metrics in mapping(data.get("results")).items()
        for name, value in mapping(metrics).items()
        if not name.endswith("_stderr") and (score := number(value)) is not None
    }


def _version(general: Mapping[str, Any]) -> str:
    sha = text_of(general.get("lighteval_sha"))
    return "unknown" if sha in ("", "?") else sha


def _created(name: str) -> float:
    """Return the time in the name of a file, in which colons are hyphens; 0 if it is none."""
    match = re.search(r"_(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)", name)
    try:
        text = f"{match[1]}T{match[2]}:{match[3]}:{match[4]}+00:00" if match else ""
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0

"""Small logs of other evaluation tools, made by hand from the source of their writers.

lm_eval 0.4.13 (`loggers/evaluation_tracker.py`), lighteval 0.13.0 (`logging/evaluation_tracker.py`) and inspect_ai
0.3.285 (`log/_recorders/eval.py`, `log/_log.py`).
"""

import io
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pyarrow as pa
import pyarrow.parquet as pq

DATE = "2026-11-27T10-57-04.203304"
RIGHT = (1.0, 0.0, 1.0, 1.0)
"""Whether a model is right, for each of four documents."""


def lm_eval_sample(number: int, right: float, **fields: Any) -> dict[str, Any]:
    """A line of `samples_TASK_DATE.jsonl` for a multiple-choice task."""
    return {
        "doc_id": number,
        "doc": {"query": f"question {number}", "passage": f"passage {number // 2}", "gold": number % 2},
        "target": str(number % 2),
        "arguments": {"gen_args_0": {"arg_0": f"question {number}", "arg_1": " yes"}},
        "resps": [[["-1.5", "False"]], [["-2.5", "False"]]],
        "filtered_resps": [["-1.5", "False"], ["-2.5", "False"]],
        "filter": "none",
        "metrics": ["acc", "acc_norm"],
        "doc_hash": f"{number:064x}",
        "prompt_hash": f"{number:064x}",
        "target_hash": f"{number % 2:064x}",
        "acc": right,
        "acc_norm": 1.0,
        **fields,
    }


def write_lm_eval(
    folder: Path,
    rights: Mapping[str, Sequence[float]] | None = None,
    *,
    samples: Sequence[Mapping[str, Any]] | None = None,
    **results: Any,
) -> Path:
    """Write a folder of lm-evaluation-harness with tasks, each with the correctness of its documents."""
    tasks = rights or {"boolq": RIGHT}
    folder.mkdir(parents=True, exist_ok=True)
    others = {"sample_len": 4, "acc_stderr,none": 0.1, "acc_norm,none": 1.0}
    means = {task: {"alias": task, "acc,none": sum(r) / len(r), **others} for task, r in tasks.items()}
    data = {
        "results": means, "group_subtasks": {task: [] for task in tasks}, "configs": {
            task: {"task": task, "dataset_path": "google/boolq", "validation_split": "validation"} for task in tasks
        },
        "versions": dict.fromkeys(tasks, 2.0), "n-shot": dict.fromkeys(tasks, 0), "config": {
            "model": "hf", "model_args": "pretrained=EleutherAI/pythia-14m", "model_dtype": "torch.float32",
            "model_sha": "a" * 40, "device": "cuda:0",
        },
        "date": 1795777024.2, "lm_eval_version": "0.4.13", "transformers_version": "5.23.0",
        "model_name": "EleutherAI/pythia-14m", "total_evaluation_time_seconds": "12.5", **results,
    }  # fmt: skip
    (folder / f"results_{DATE}.json").write_text(json.dumps(data, indent=2))
    for task, rights_of_task in tasks.items():
        lines = samples or [lm_eval_sample(number, right) for number, right in enumerate(rights_of_task)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"samples_{task}_{DATE}.jsonl").write_text(text)
    return folder


def write_lighteval(folder: Path, rights: Sequence[float] = RIGHT, **metrics: Sequence[Any]) -> Path:
    """Write the folders `details` and `results` of lighteval; return that of the details."""
    details = folder / "details" / "someone" / "tiny" / DATE
    results = folder / "results" / "someone" / "tiny"
    details.mkdir(parents=True)
    results.mkdir(parents=True)
    rows = [
        {
            "doc": {
                "query": f"prompt {number}", "choices": ["A", "B"], "gold_index": number % 2, "id": str(number),
                "task_name": "arc:easy|0", "original_query": f"question {number}", "specific": None,
            },
            "metric": {"acc": right, **{name: values[number] for name, values in metrics.items()}},
            "model_response": {"text": ["A"], "logprobs": [-1.0, -2.0]},
        }
        for number, right in enumerate(rights)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), details / f"details_arc:easy|0_{DATE}.parquet")
    data = {
        "config_general": {
            "lighteval_sha": "?", "model_name": "someone/tiny", "total_evaluation_time_secondes": "3.5",
            "model_config": {"model_name": "someone/tiny", "dtype": "bfloat16", "revision": "main"},
        },
        "results": {"arc:easy|0": {"acc": sum(rights) / len(rights), "acc_stderr": 0.1}, "all": {"acc": 0.75}},
        "config_tasks": {"arc:easy|0": {"hf_repo": "allenai/ai2_arc"}},
    }  # fmt: skip
    (results / f"results_{DATE}.json").write_text(json.dumps(data))
    return details


def inspect_log(
    rights: Sequence[Any] = ("C", "I", "C", "C"),
    *,
    epochs: int = 1,
    status: str = "success",
    reducer: str | None = None,
) -> dict[str, Any]:
    """The content of a `.json` log of inspect-ai."""
    is_right = [right == "C" for right in rights]
    value = sum(is_right) / len(is_right)
    samples = [
        {
            "id": number + 1, "epoch": epoch, "input": f"question {number}", "target": "yes", "choices": None,
            "scores": {"match": {"value": right, "answer": "yes", "history": []}} if right is not None else {},
            "metadata": {"topic": f"t{number // 2}"}, "output": {"model": "x", "choices": []},
        }
        for epoch in range(1, epochs + 1)
        for number, right in enumerate(rights)
    ]  # fmt: skip
    return {
        "version": 2, "status": status, "eval": {
            "created": "2026-11-27T10:57:04+00:00", "task": "gsm8k", "task_version": 1, "model": "openai/gpt-4o-mini",
            "dataset": {"name": "gsm8k", "location": "openai/gsm8k", "samples": len(rights), "shuffled": False},
            "config": {"epochs": epochs}, "packages": {"inspect_ai": "0.3.285"}, "model_args": {},
        },
        "plan": {"name": "plan", "steps": []},
        "results": {
            "total_samples": len(samples), "completed_samples": len(samples), "scores": [
                {"name": "match", "scorer": "match", "reducer": reducer, "params": {}, "metrics": {
                    "accuracy": {"name": "accuracy", "value": value}, "stderr": {"name": "stderr", "value": 0.1},
                }},
            ],
        },
        "stats": {"started_at": "2026-11-27T10:57:04+00:00", "completed_at": "2026-11-27T10:58:04+00:00"},
        "samples": samples,
    }  # fmt: skip


def inspect_members(log: Mapping[str, Any]) -> dict[str, bytes]:
    """The members of an `.eval` log."""
    header = {name: value for name, value in log.items() if name != "samples"}
    samples = {f"samples/{s['id']}_epoch_{s['epoch']}.json": json.dumps(s).encode() for s in log["samples"]}
    return {"_journal/start.json": b"{}", **samples, "header.json": json.dumps(header).encode()}


def write_eval(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write an `.eval` log as versions before 2025 did: with Deflate."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_zstandard(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write an `.eval` log as versions since 2025 do: with Zstandard, method 93, which zipfile does not know."""
    body, index = io.BytesIO(), io.BytesIO()
    for name, content in members.items():
        packed = pa.Codec("zstd").compress(content, asbytes=True)
        sizes = (zlib.crc32(content), len(packed), len(content), len(name.encode()), 0)
        where = body.tell()
        body.write(struct.pack("<4s5H3L2H", b"PK\x03\x04", 63, 0, 93, 0, 33, *sizes) + name.encode() + packed)
        index.write(struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 63, 63, 0, 93, 0, 33, *sizes, 0, 0, 0, 0, where))
        index.write(name.encode())
    count, start, length = len(members), body.tell(), index.tell()
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, length, start, 0)
    path.write_bytes(body.getvalue() + index.getvalue() + end)
    return path

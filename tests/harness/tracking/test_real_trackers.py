"""Trainings in the real packages of the trackers, without network.

They are skipped without $ZOO_TRACKERS, a folder for Python's path that has the packages.
"""

import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest

from harness.tracking.log_to import numbers
from tests.helpers.project import ROOT, TINY, Write

FOLDER = os.environ.get("ZOO_TRACKERS", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.process,
    pytest.mark.skipif(not FOLDER, reason="ZOO_TRACKERS names no folder with the packages"),
]
Steps = dict[int, float]
"""The total loss by step."""


def total_losses(log: Path) -> Steps:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return {line["step"]: numbers(line)["losses/total"] for line in lines}


def in_trackio(folder: Path) -> Iterator[tuple[str, Steps]]:
    for database in folder.glob("trackio/**/*.db"):
        with closing(sqlite3.connect(database)) as connection:
            rows = connection.execute("SELECT run_name, step, metrics FROM metrics ORDER BY id").fetchall()
        for run in sorted({name for name, _, _ in rows}):
            of_run = [(step, json.loads(metrics)) for name, step, metrics in rows if name == run]
            yield run, {step: values["losses/total"] for step, values in of_run if "losses/total" in values}


def in_mlflow(folder: Path) -> Iterator[tuple[str, Steps]]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        runs = connection.execute("SELECT run_uuid, name, status FROM runs").fetchall()
        for run, name, status in runs:
            assert status == "FINISHED"
            query = "SELECT step, value FROM metrics WHERE run_uuid = ? AND key = ?"
            found = dict(connection.execute(query, (run, "losses/total")).fetchall())
            ((last, _),) = connection.execute(query, (run, "results/test/accuracy")).fetchall()
            assert last == max(found)
            yield name, found


def records_of_wandb(data: bytes) -> Iterator[bytes]:
    """The records of an offline run: a log of LevelDB, in blocks of 32 KiB, after a header of 7 bytes."""
    block, parts, position = 32768, b"", 7
    while position + 7 <= len(data):
        if block - position % block < 7:
            position += block - position % block
            continue
        length, kind = struct.unpack_from("<HB", data, position + 4)
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or its last part
            yield parts
            parts = b""


def in_wandb(folder: Path) -> Iterator[tuple[str, Steps]]:
    sys.path.append(FOLDER)
    record = import_module("wandb.proto.wandb_internal_pb2").Record
    for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        records = [record.FromString(data) for data in records_of_wandb(file.read_bytes())]
        (name,) = {one.run.display_name for one in records if one.WhichOneof("record_type") == "run"}
        found = {}
        for one in records:
            values = {"/".join(item.nested_key) or item.key: item.value_json for item in one.history.item}
            if "losses/total" in values:
                found[one.history.step.num] = json.loads(values["losses/total"])
        yield name, found


READERS = {"trackio": in_trackio, "mlflow": in_mlflow, "wandb": in_wandb}


@pytest.mark.parametrize("name", READERS)
def test_a_training_that_is_stopped_and_resumed_is_one_run_with_every_step(
    name: str, recipe_file: Write, tmp_path: Path
) -> None:
    path = recipe_file(TINY.replace("epochs: 1", "epochs: 20"))
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), FOLDER]),
        "ZOO_HOME": str(tmp_path / "home"), "WANDB_MODE": "offline", "TRACKIO_DIR": str(tmp_path / "trackio"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
    }  # fmt: skip
    command = [sys.executable, "-m", "zoo", "train", path, "--log-to", name, "--records", "runs", "--save-every", "0"]
    messages = tmp_path / "stderr.txt"
    with (
        messages.open("w") as stderr,
        subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=stderr) as process,
    ):
        while not any(log.stat().st_size for log in tmp_path.glob("runs/.unfinished/*/log.jsonl")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)
    errors = messages.read_text()
    assert process.returncode == 130, errors
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "resuming after step" in done.stderr
    assert "nothing more is sent" not in errors + done.stderr
    ((folder, _, _),) = [each for each in os.walk(tmp_path / "runs" / "tiny") if "log.jsonl" in each[2]]
    runs = list(READERS[name](tmp_path))
    assert runs, done.stderr
    steps: Steps = {}
    for title, found in runs:  # W&B keeps a resumed offline run in two files
        assert title.startswith(f"tiny/{Path(folder).name}")
        steps |= found
    assert len({title for title, _ in runs}) == 1
    assert steps == pytest.approx(total_losses(Path(folder) / "log.jsonl"))

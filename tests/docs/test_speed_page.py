"""docs/speed.md shows the numbers of docs/speed.json, docs/speed-gpu.md those of docs/speed-gpu.json."""

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import page as gpu
from tests.helpers.project import ROOT

PAGE = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def report() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        yield importlib.import_module("benchmarks.speed.report")


def test_the_tables_show_the_numbers(report: Any) -> None:
    numbers = json.loads((ROOT / "docs" / "speed.json").read_text(encoding="utf-8"))
    assert all((ROOT / "docs" / path).is_file() for path in re.findall(r"!\[.*\]\((.*)\)", PAGE))
    assert PAGE.partition(report.BEGIN)[2].partition(report.END)[0].strip() == report.page(numbers).strip()
    assert all("+" not in case["commit"] for case in numbers["cases"].values()), "measured in a changed checkout"


def test_the_page_on_gpus_shows_its_record_or_says_not_run() -> None:
    record = json.loads(gpu.RECORD.read_text(encoding="utf-8")) if gpu.RECORD.exists() else {}
    shown = gpu.PAGE.read_text(encoding="utf-8").partition(gpu.BEGIN)[2].partition(gpu.END)[0]
    assert shown.strip() == gpu.generated(record).strip()


def test_the_summary_quotes_the_numbers() -> None:
    cases = json.loads((ROOT / "docs" / "speed.json").read_text(encoding="utf-8"))["cases"]

    def both(case: str, ratio: str = "ratio") -> str:
        _, *others = [row for row in cases[case]["rows"] if not row["contender"].startswith("peak")]
        return " and ".join(f"{row[ratio]:.2f}" for row in others[:2])

    evaluated = {task: both(f"evaluate-{task}") for task in ("rte", "sst2", "mrpc")}
    trained = {task: both(f"finetune-{task}", "step_ratio") for task in ("rte", "sst2", "mrpc")}
    whole = {task: both(f"finetune-{task}") for task in ("rte", "sst2", "mrpc")}
    same = [row["ratio"] for row in cases["grow-length"]["rows"] if not row["contender"].startswith("zoo")]
    distilled, images = cases["distil-kd"]["rows"][1]["ratio"], cases["train-cifar"]["rows"][1]["step_ratio"]
    summary = (
        f"evaluation of a MiniLM-L6 {evaluated['rte']} on RTE, {evaluated['sst2']} on SST-2, {evaluated['mrpc']} on"
        f" MRPC; a step of its fine-tuning {trained['rte']}, {trained['sst2']}, {trained['mrpc']} (twelve steps with"
        f" building and saving {whole['rte']}, {whole['sst2']}, {whole['mrpc']}); a whole distillation from 12"
        f" layers {distilled:.2f}; a step of a ResNet-20 on CIFAR-10 {images:.2f}; an evaluation of rows of"
        f" equal length, where no padding is saved, {min(same):.2f} to {max(same):.2f}."
    )
    assert summary in " ".join(PAGE.split())


def test_plots_have_a_line_for_each_contender(report: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "PAGE", tmp_path / "speed.md")
    points = {
        "grow-rows": ["mnli:100", "mnli:200"], "grow-length": ["length-16:64", "length-128:64"],
        "verify-tiny": ["1", "200"],
    }  # fmt: skip
    rows = {
        case: [
            {"contender": name, "point": point, "seconds": [1.0, 2.0, 3.0], "peak_bytes": 2**30}
            for point in of_case
            for name in ("zoo", "other")
        ]
        for case, of_case in points.items()
    }
    report.draw({"verify-tiny": rows["verify-tiny"]})
    assert [path.name for path in tmp_path.iterdir()] == ["speed-verify.svg"]
    report.draw(rows)
    drawn = (tmp_path / "speed-evaluate.svg").read_text(encoding="utf-8")
    assert all(text in drawn for text in ("zoo", "other", "tokens in each row", "number of pairs"))
    assert [report._size(point) for point in points["grow-length"] + points["grow-rows"]] == [16, 128, 100, 200]

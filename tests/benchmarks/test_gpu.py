"""The benchmark on a device: its parts, its record and its page."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.gpu import command, methods, page
from benchmarks.gpu.contests import BERT, LOOP, PEAK, ZOO
from benchmarks.gpu.session import NotRunError, Session
from benchmarks.gpu.timed_verify import PHASES, Clocks, owner_of
from benchmarks.speed import settings
from benchmarks.speed.arena import Contender, TimedRun, Tolerance, take_turns
from tests.helpers.project import ROOT
from zoo.recipes.schema import load_recipe

POINT = BERT.points[0]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    made = Session(device="cpu", quick=False, seconds=60, folder=tmp_path, out=tmp_path / "r.json", logs=tmp_path)
    made.load_record()
    return made


def test_without_a_device_one_line_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert command.main([]) == 1
    assert capsys.readouterr().out == f"{command.NO_DEVICE}\n"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_given_interpreter_is_used_without_a_virtual_environment() -> None:
    for python in ("python3", sys.executable):
        shown = subprocess.run(
            ["make", "-n", "gpu", f"PYTHON={python}"],
            cwd=ROOT, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert shown.stdout.strip() == f"{python} -m benchmarks.gpu --write"


@pytest.mark.parametrize("options", [["--device", "cpu"], ["--device", "cpu", "--quick", "--write"]])
def test_the_page_is_never_written_from_the_cpu(options: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(options)
    assert end.value.code == 2


def test_a_part_without_time_or_with_a_fault_is_not_run_and_the_others_go_on(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Session) -> None:
        raise NotRunError("there is no pytest")

    def crash(_: Session) -> None:
        raise ValueError("a bug")

    parts = {
        "tests": command.Part("", fail), "methods": command.Part("", crash), "bert": command.Part("", fail, least=1000),
        "resnet": command.Part("", lambda s: s.save("resnet", rows=[])),
    }  # fmt: skip
    monkeypatch.setattr(command, "PARTS", parts)
    command.run_parts(session, list(parts))
    written = json.loads(session.out.read_text(encoding="utf-8"))["parts"]
    assert written["tests"]["not_run"] == "there is no pytest"
    assert written["methods"]["not_run"] == "ValueError: a bug"
    assert written["bert"]["not_run"].startswith("it needs 1000 s or more, and ")
    assert written["resnet"]["rows"] == []


def test_a_later_use_replaces_only_its_parts_unless_the_machine_is_another(session: Session) -> None:
    session.save("bert", rows=[1])
    session.load_record()
    session.begin("resnet")
    assert set(session.record["parts"]) == {"bert", "resnet"}
    session.record["machine"]["torch"] = "1.0"
    session.save("bert")
    session.load_record()
    assert session.record["parts"] == {}


@pytest.mark.process
def test_a_command_ends_when_the_time_is_used_up(session: Session) -> None:
    session.seconds = 0
    code, seconds = session.run(["this"], session.folder / "log")
    assert (code, seconds < 5) == (None, True)


@pytest.fixture
def contenders() -> Iterator[tuple[list[Contender], list[Connection]]]:
    """A contender that answers, one that fails, and one that never answers."""
    answers: list[Any] = [(1.0, 0, {}), "Traceback\nRuntimeError: no kernel", None]
    pairs = [Pipe() for _ in answers]

    def serve(connection: Connection, answer: Any) -> None:
        while connection.recv() != "end":
            if answer is not None:
                connection.send(answer)

    threads = [Thread(target=serve, args=(there, answer)) for (_, there), answer in zip(pairs, answers, strict=True)]
    for thread in threads:
        thread.start()
    yield [Contender(name, "") for name in ("zoo", "fails", "hangs")], [here for here, _ in pairs]
    for here, _ in pairs:
        here.send("end")
    for thread in threads:
        thread.join()


def test_contenders_that_fail_or_are_late_are_left_out(contenders: tuple[list[Contender], list[Connection]]) -> None:
    tolerance = Tolerance(time.monotonic() + 60, longest=0.3)
    assert [name for name, _ in take_turns(*contenders, POINT, 0, tolerance)] == ["zoo"]
    assert tolerance.failures[POINT, "fails"].endswith("RuntimeError: no kernel")
    assert tolerance.failures[POINT, "hangs"] == "out of time"
    assert [name for name, _ in take_turns(*contenders, "another point", 1, tolerance)] == ["zoo"]
    assert tolerance.failures["another point", "hangs"] == "out of time"
    assert list(take_turns(*contenders, "a third point", 1, Tolerance(time.monotonic()))) == []
    with pytest.raises(RuntimeError, match="no kernel"):
        list(take_turns(*contenders, POINT, 0))


def test_a_point_may_name_model_and_precision() -> None:
    chosen = settings.Setting(model="base")
    assert chosen.at("mnli:64") == settings.Setting(model="base", rows="mnli:64")
    at = settings.Setting(model="minilm6", precision="bf16", rows="mnli:64")
    assert chosen.at("minilm6 bf16 mnli:64") == at


def test_steps_on_a_device_are_timed_from_a_warm_step_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[int] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append(1))
    clock = settings.StepClock("cuda", 40)
    for done in (4, 8, 12, 40):  # a program may report its steps in blocks
        clock.mark(done)
    assert [done for done, _ in clock.marks] == [12, 40]
    assert len(waits) == 2
    assert TimedRun(0.0, 0, {"marks": [(12, 3.0), (40, 17.0)]}).steps == 0.5


def test_a_model_in_bf16_gives_outputs_in_fp32() -> None:
    model, inputs = nn.Linear(4, 2), torch.randn(3, 4)
    exact = model(inputs)
    half = settings.in_precision(model, "cpu", "bf16")(inputs)
    assert half.dtype == torch.float32
    assert 0 < (half - exact).abs().max() < 0.1


def test_recipes_of_methods_are_shortened_in_every_stage(tmp_path: Path) -> None:
    short = methods.write_recipes(tmp_path / "short", 2, None)
    assert len(short) == 39
    (stages,) = [load_recipe(path).stages for path in short if path.stem == "factor_transfer"]
    assert [stage.epochs for stage in stages] == [2] * len(stages) and len(stages) > 1


def test_an_error_and_a_score_that_is_no_number_are_failures() -> None:
    def entry(name: str, measured: float | None, error: str | None = None) -> dict[str, Any]:
        return {"entry": name, "error": error, "claims": [{"tested": True, "measured": measured}]}

    entries = [entry("kd", 0.9), entry("dist", float("nan")), entry("crd", None), entry("fsp", None, "no memory")]
    failed = methods.failures({"entries": entries})
    assert failed == {"dist": "its score is not a number", "crd": "its score is not a number", "fsp": "no memory"}


def test_every_phase_of_a_verification_is_a_function_and_is_timed_without_the_inner_ones() -> None:
    assert [name for name in PHASES if not callable(getattr(*owner_of(name)))] == []
    clocks = Clocks()
    inner = clocks._timed(lambda: time.sleep(0.05), "inner")
    clocks._timed(inner, "outer")()
    assert clocks.seconds["outer"]["main"] < 0.04 < clocks.seconds["inner"]["main"]


def test_the_page_shows_the_numbers_of_the_record_and_calls_the_others_not_run() -> None:
    measured = {"point": POINT, "seconds": [0.5, 0.25, 0.5], "device_bytes": 2**31}
    of_bert = {"useful_flops": 15e12, "tokens": 64_000, "rows": 1600}
    rows = [
        {**measured, **of_bert, "contender": ZOO, "ratio": 1.0},
        {**measured, **of_bert, "contender": LOOP, "ratio": 6.5, "differing_predictions": 1, "logit_difference": 1e-5},
        {**measured, "contender": PEAK, "flops_per_second": [5e13, 6e13]},
        {"point": BERT.points[1], "contender": ZOO, "not_run": "zoo has no precision tf32"},
    ]
    machine = {
        "card": "A card", "memory_gib": 80.0, "driver": "1.2", "cuda": "13.0", "cudnn": 91002, "cpu": "x", "cores": 16,
        "python": "3.12", "torch": "2.11",
    }  # fmt: skip
    text = page.generated({"machine": machine, "parts": {"bert": {"commit": "abc", "rows": rows}}})
    assert "A card with 80.0 GiB" in text
    assert "driver 1.2, CUDA 13.0, cuDNN 91002, Python 3.12, torch 2.11. Commits: abc." in text
    assert "| BERT-base in fp32, TFLOP/s useful " in text and "| 30 (55% of the products') " in text
    assert "| 6.50 " in text and "1 predictions, logits 1e-05" in text and "| 2.00 " in text
    assert "- zoo, base tf32: zoo has no precision tf32" in text
    assert text.count("not run") == page.generated({}).count("not run") - 6  # the sentence, three rows, two aims


@pytest.mark.slow
@pytest.mark.process
def test_every_part_runs_at_a_tiny_size_on_the_cpu(tmp_path: Path) -> None:
    out = tmp_path / "record.json"
    options = ["--device", "cpu", "--quick", "--seconds", "900", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    parts = json.loads(out.read_text(encoding="utf-8"))["parts"]
    assert list(parts) == list(command.PARTS), done.stderr
    assert done.returncode == 0
    assert not [part["not_run"] for name, part in parts.items() if "not_run" in part and name != "tests"]
    assert [row["finished"] for row in parts["methods"]["rows"] if "not_run" not in row] == [2, 2]
    assert [row["finished"] for row in parts["entries"]["rows"]] == [6, 6]
    for name in ("bert", "resnet", "finetune"):
        assert {row["contender"] for row in parts[name]["rows"] if "seconds" in row} >= {ZOO}

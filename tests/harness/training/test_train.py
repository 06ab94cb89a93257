"""Training: the same seed gives the same bytes, steps are logged, schedules are their formulas, folders are safe."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness import schedules
from tests.helpers.project import TINY, Write, Zoo
from zoo.fetch.checksum import sha256

DISTILLED = TINY.replace("{loss: CrossEntropy}", "{loss: {use: KD, temperature: 4, alpha: 0.1}}").replace(
    "    criterion:",
    """\
    teacher:
      model: {use: cifar_resnet, depth: 14, width: 16, num_classes: 10, in_channels: 1}
      weights: embedded:digits-resnet14.safetensors
    criterion:""",
)


@pytest.mark.parametrize("text", [TINY, DISTILLED], ids=["plain", "distilled"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(text: str, zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(text)
    for out, seed in (("a", 5), ("b", 5), ("c", 6)):
        ended = zoo("train", path, "--seed", seed, "--out", out, "--device", "cpu")
        assert ended.code == 0, ended.err
    a, b, c = (sha256(Path(out, "model.safetensors")) for out in "abc")
    assert a == b != c
    assert Path("a/log.jsonl").read_bytes() == Path("b/log.jsonl").read_bytes()


def test_a_run_leaves_all_that_tells_what_it_was(zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file()
    ended = zoo("train", path, "--out", "out", "--json")
    assert ended.code == 0
    assert sorted(file.name for file in Path("out").iterdir()) == [
        "README.md", "cifar_resnet.py", "log.jsonl", "model.safetensors", "predictions-test.npz", "recipe.yaml",
        "record.json",
    ]  # fmt: skip
    steps = [json.loads(line) for line in Path("out/log.jsonl").read_text().splitlines()]
    assert [step["step"] for step in steps] == list(range(1, math.ceil(899 / 64) + 1))
    assert all(set(step["losses"]) == {"ce", "total"} for step in steps)
    assert steps[0]["rate"] < steps[3]["rate"] > steps[-1]["rate"] > 0
    record = json.loads(Path("out/record.json").read_text())
    assert record["weights"] == sha256(Path("out/model.safetensors"))
    assert record["recipe"]["name"] == "tiny"
    assert Path("out/recipe.yaml").read_bytes() == path.read_bytes()
    assert str(Path.cwd()) not in Path("out/record.json").read_text()


def test_a_copied_and_edited_recipe_trains_where_the_user_stands(zoo: Zoo, recipe_file: Write) -> None:
    shown = zoo("show", "digits-resnet8").out
    assert "epochs: 20" in shown
    recipe_file(
        shown.replace("epochs: 20", "epochs: 1").replace("name: digits-resnet8", "name: mine"), name="mine.yaml"
    )
    ended = zoo("train", "mine.yaml")
    assert ended.code == 0, ended.err
    assert "home/runs/mine/retrain-seed0-" in ended.out


def test_a_folder_with_something_in_it_is_never_written_into(zoo: Zoo, recipe_file: Write) -> None:
    Path("out").mkdir()
    Path("out/mine.txt").write_text("keep")
    ended = zoo("train", recipe_file(), "--out", "out")
    assert (ended.code, ended.lines) == (2, ["out exists and is not empty; --out needs a new folder"])
    assert [file.name for file in Path("out").iterdir()] == ["mine.txt"]


def test_a_diverging_run_says_so_and_leaves_nothing(zoo: Zoo, recipe_file: Write) -> None:
    ended = zoo(
        "train", recipe_file(TINY, ("lr: 0.1", "lr: 1e30"), ("clip_norm: 1.0", "clip_norm: 1e30")), "--out", "out"
    )
    assert ended.code == 2
    assert "the loss is" in ended.err
    assert "Traceback" not in ended.err
    assert not Path("out").exists()


def test_several_stages_continue_one_student(zoo: Zoo, recipe_file: Write) -> None:
    stage = TINY[TINY.index("  - epochs") :]
    ended = zoo("train", recipe_file(TINY + stage.replace("lr: 0.1", "lr: 0.0")), "--out", "two", "--json")
    assert ended.code == 0, ended.err
    zoo("train", recipe_file(), "--out", "one", "--json")
    steps = [json.loads(line) for line in Path("two/log.jsonl").read_text().splitlines()]
    alone = [json.loads(line) for line in Path("one/log.jsonl").read_text().splitlines()]
    assert steps[: len(alone)] == alone
    assert {step["rate"] for step in steps[len(alone) :]} == {0.0}
    assert steps[len(alone)]["losses"]["ce"] < alone[0]["losses"]["ce"]


@given(step=st.integers(0, 99), warmup=st.floats(0, 0.9))
def test_schedules_warm_up_to_one_and_decay(step: int, warmup: float) -> None:
    progress = step / 100
    for schedule in (schedules.constant, schedules.linear, schedules.cosine):
        factor = schedule(progress, 100, warmup=warmup)
        assert 0 < factor <= 1 + 1e-12
    if progress >= warmup:
        left = (1 - progress) / (1 - warmup)
        assert schedules.linear(progress, 100, warmup=warmup) == pytest.approx(left)
        expected = 0.5 * (1 + math.cos(math.pi * (1 - left)))
        assert schedules.cosine(progress, 100, warmup=warmup) == pytest.approx(expected)


def test_multistep_falls_at_its_milestones() -> None:
    factors = [schedules.multistep(p, 4, milestones=[0.5, 0.75]) for p in (0, 0.25, 0.5, 0.75)]
    assert factors == pytest.approx([1, 1, 0.1, 0.01])


def test_training_leaves_the_switches_of_torch_as_it_found_them(zoo: Zoo, recipe_file: Write) -> None:
    zoo("train", recipe_file(), "--out", "out")
    assert not torch.are_deterministic_algorithms_enabled()

"""Several stages: parameters that one passes on to the next, a task for one stage, and the best epoch."""

import json
import re
from pathlib import Path

import pytest

from tests.helpers.project import TINY, Write, Zoo
from tests.helpers.training import DISTILLED, log_lines, logged_losses


def test_a_second_stage_continues_with_the_student_of_the_first(zoo: Zoo, recipe_file: Write) -> None:
    stage = TINY[TINY.index("  - epochs") :]
    completed = zoo("train", recipe_file(TINY + stage.replace("lr: 0.1", "lr: 0.0")), "--out", "two", "--json")
    assert completed.code == 0, completed.err
    zoo("train", recipe_file(), "--out", "one", "--json")
    steps, alone = log_lines("two"), log_lines("one")
    assert steps[: len(alone)] == alone
    assert {step["rate"] for step in steps[len(alone) :]} == {0.0}
    assert steps[len(alone)]["losses"]["ce"] < alone[0]["losses"]["ce"]


@pytest.mark.slow
def test_a_kept_term_starts_the_next_stage_with_its_trained_parameters(zoo: Zoo, recipe_file: Write) -> None:
    """The second stage has a learning rate of 0, so its losses show the parameters that it starts with."""
    hint = "    criterion: {hint: {loss: {use: Hint, student: layer1, teacher: layer1}}}\n"
    first = DISTILLED.replace("    criterion: {kd: {loss: LogitMSE}}\n", hint)
    stage = first[first.index("  - epochs") :].replace("lr: 0.1, momentum: 0.9", "lr: 0.0")
    losses = {}
    for name, text in (("kept", first + "    keep: [hint]\n" + stage), ("new", first + stage)):
        assert zoo("train", recipe_file(text), "--out", name).code == 0
        losses[name] = [loss for (loss,) in logged_losses(name, "hint")]
    steps = len(losses["new"]) // 2
    assert losses["kept"][:steps] == losses["new"][:steps]
    assert max(losses["kept"][steps:]) < min(losses["kept"][:3])
    assert losses["new"][steps] > 1.2 * losses["kept"][steps]


@pytest.mark.slow
def test_a_teacher_trained_in_one_stage_teaches_in_the_next(zoo: Zoo, recipe_file: Write) -> None:
    model = "{use: cifar_resnet, depth: 8, width: 8, num_classes: 10, in_channels: 1}"
    teacher = f"    teacher: {{model: {model}, trainable: [%s]}}\n"
    frozen = f"    teacher: {{model: {model}}}\n"
    head = TINY[: TINY.index("    criterion")]
    one = head + teacher % '"*"' + "    criterion: {own: {loss: CrossEntropy, student: teacher}}\n    keep: [teacher]\n"
    two = head[head.index("  - epochs") :] + frozen + "    criterion: {kd: {loss: {use: KL, temperature: 2}}}\n"
    completed = zoo(
        "train",
        recipe_file(one.replace("epochs: 1", "epochs: 4") + two.replace("epochs: 1", "epochs: 6")),
        "--out",
        "a",
    )
    assert completed.code == 0, completed.err
    accuracy = json.loads(Path("a/record.json").read_text())["results"][0]["metrics"]["accuracy"]["value"]
    assert accuracy > 0.4  # the student sees no label: it learns from the teacher, which was trained in the first stage


BEST = (
    TINY.replace("epochs: 1", "epochs: 4").replace("schedule: {use: linear, warmup: 0.2}", "schedule: {use: constant}")
    + """\
    selection: best
claims:
  - {of: retrain, split: test, metric: accuracy, value: 0.5, sigma: 0.3, selection: best, source: here}
  - {of: retrain, split: test, metric: accuracy, value: 0.5, sigma: 0.3, selection: last, source: here}
"""
)


def test_the_best_epoch_is_saved_and_the_scores_of_both_epochs_are_recorded(zoo: Zoo, recipe_file: Write) -> None:
    completed = zoo("train", recipe_file(BEST), "--seed", "1", "--out", "run")
    assert completed.code == 0, completed.err
    epochs = [line for line in log_lines("run") if "scores" in line]
    scores = [line["scores"]["test"]["accuracy"] for line in epochs]
    assert [(line["step"], line["epoch"], line["epochs"]) for line in epochs] == [(15 * e, e, 4) for e in (1, 2, 3, 4)]
    assert completed.err.splitlines()[-1].startswith("tiny: epoch 4 of 4 (")
    assert f"accuracy on test {scores[-1]:.4f}" in completed.err.splitlines()[-1]
    lines = [line.removesuffix(", the best so far") for line in completed.lines if ": epoch " in line]
    assert len(lines) == 4
    assert len({(len(line), *(found.start() for found in re.finditer("[.:,]", line))) for line in lines}) == 1
    results = {r["selection"]: r for r in json.loads(Path("run/record.json").read_text())["results"]}
    assert len(scores) == 4
    assert scores[-1] < max(scores)  # else the best epoch would be the last
    assert results["best"]["metrics"]["accuracy"]["value"] == max(scores)
    assert results["last"]["metrics"]["accuracy"]["value"] == scores[-1]
    assert results["best"]["predictions"]["file"] == "predictions-test-best.npz"
    scored = zoo("evaluate", "run", "--as", "tiny.yaml", "--json")
    assert json.loads(scored.out)["results"][0]["measured"] == max(scores)
    judged = json.loads(zoo("reproduce", "tiny.yaml", "--train", "--seeds", "1", "--first-seed", "1", "--json").out)
    measured = [claim["measured"] for claim in judged["entries"][0]["claims"]]
    assert measured == [max(scores), scores[-1]]


def test_scoring_every_epoch_is_logged_with_the_mean_loss_and_changes_no_bit(zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(TINY.replace("epochs: 1", "epochs: 2"))
    plain, scored = (
        zoo("train", path, "--out", "plain"),
        zoo("train", path, "--out", "scored", "--score-epochs", "--fresh"),
    )
    assert (plain.err, len(scored.lines)) == ("", 2)
    assert Path("plain/model.safetensors").read_bytes() == Path("scored/model.safetensors").read_bytes()
    lines = log_lines("scored")
    epochs = [lines.pop(15), lines.pop(30)]
    assert lines == log_lines("plain")
    assert {key: lines[19][key] for key in ("step", "stage", "epoch", "epochs")} == {
        "step": 20, "stage": 1, "epoch": 1.3333, "epochs": 2,
    }  # fmt: skip
    assert epochs[1]["mean_loss"] == pytest.approx(sum(line["losses"]["total"] for line in lines[15:]) / 15)
    record = json.loads(Path("scored/record.json").read_text())
    assert epochs[1]["scores"] == {"test": {"accuracy": record["results"][0]["metrics"]["accuracy"]["value"]}}
    assert record["key"] == json.loads(Path("plain/record.json").read_text())["key"]


def test_a_stage_can_train_on_another_task(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("from zoo.tasks import digits\n\ndef flipped():\n    return digits()\n")
    text = TINY.replace("    clip_norm: 1.0\n", "    task: other.flipped\n    split: test\n")
    completed = zoo("train", recipe_file(text), "--trust", "other", "--out", "run")
    assert completed.code == 0, completed.err
    data = json.loads(Path("run/record.json").read_text())["sources"]["data"]
    assert sorted(data) == ["stage 1: test", "test"]
    assert data["stage 1: test"] == data["test"]


@pytest.mark.parametrize(("order", "code"), [("jihgfedcba", 2), ("ABCDEFGHIJ", 0)])
def test_a_stage_with_the_classes_in_another_order_is_refused(
    order: str, code: int, zoo: Zoo, recipe_file: Write, tmp_path: Path
) -> None:
    lines = ["from dataclasses import replace", "from zoo.tasks import digits", "def named(names):"]
    (tmp_path / "names.py").write_text("\n".join([*lines, "    return replace(digits(), label_names=tuple(names))"]))
    text = TINY.replace("task: digits", "task: {use: names.named, names: abcdefghij}")
    text = text.replace("    clip_norm: 1.0\n", f"    task: {{use: names.named, names: {order}}}\n")
    completed = zoo("train", recipe_file(text), "--trust", "names", "--out", "run")
    assert completed.code == code, completed.err
    assert (f"the classes have another order: {', '.join(order)} in this task, but a, b, c" in completed.err) == bool(
        code
    )


LATE = TINY + TINY[TINY.index("  - epochs") :].replace("    criterion", "    trainable: [fcc]\n    criterion")


def test_an_error_in_a_later_stage_is_reported_before_the_first_is_trained(zoo: Zoo, recipe_file: Write) -> None:
    completed = zoo("train", recipe_file(LATE), "--out", "run")
    assert completed.code == 2
    assert "there is nothing to train at 'fcc'; did you mean fc?" in completed.err
    assert not list(Path().rglob("log.jsonl"))


def test_checking_later_stages_early_changes_no_bit(
    zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe_file(LATE.replace("fcc", "fc"))
    assert zoo("train", path, "--out", "one").code == 0
    monkeypatch.setattr("harness.training.train.check_stages", lambda run, student: None)
    assert zoo("train", path, "--out", "two").code == 0
    assert Path("one/model.safetensors").read_bytes() == Path("two/model.safetensors").read_bytes()

"""Teachers: frozen or trained; from weights, entries and runs; with their own task or tokenizer."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from harness.losses import Hint
from harness.training.objective import ModelReads, Objective, TermRoles
from harness.training.teacher import LiveTeachers
from harness.training.teacher_cache import cache_teacher_outputs
from tests.helpers.project import TINY, Write, Zoo
from tests.helpers.training import DISTILLED, RECIPES, TEACHER, batch_of, stage_of, training_of
from zoo.fetch import weights_file
from zoo.fetch.sources import Sources
from zoo.models import cifar_resnet
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.needs import needs
from zoo.tasks.base import Batch, read_batch


def test_two_objectives_can_hook_the_same_model() -> None:
    """In torchdistill a second box overwrites the hooks of the first."""
    torch.manual_seed(0)
    model = cifar_resnet(depth=8, in_channels=1)
    teacher = cifar_resnet(depth=8, width=8, in_channels=1).eval()
    data = Batch(inputs=torch.randn(4, 1, 8, 8), labels=torch.arange(4), ids=torch.arange(4))

    def hinted(layer: str) -> Objective:
        objective = Objective(
            {"student": model},
            {"hint": Hint(student=layer, teacher=layer)},
            {"hint": TermRoles("student", "teacher", 1.0)},
        )
        objective.build_adapters(data, LiveTeachers({"teacher": teacher}, objective.needs, data.labels.device)(data))
        return objective

    def loss(objective: Objective) -> tuple[float, list[Tensor]]:
        model.zero_grad()
        teachers = LiveTeachers({"teacher": teacher}, objective.needs, data.labels.device)
        total = objective(data, teachers(data))["total"]
        total.backward()
        return total.item(), [p.grad.clone() for p in model.parameters() if p.grad is not None]

    model.eval()
    first = hinted("layer1")
    alone = loss(first)
    second = hinted("layer3")
    other = loss(second)
    again = loss(first)
    assert again[0] == alone[0] != other[0]
    assert all(torch.equal(a, b) for a, b in zip(alone[1], again[1], strict=True))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_batchnorm_statistics_change_in_a_trained_teacher_and_not_in_a_frozen_one(
    recipe_file: Write,
) -> None:
    """torchdistill (since 1.0) leaves the teacher in train mode, so its statistics drift away from its weights."""
    published = weights_file.read(Sources().fetch("embedded:digits-resnet14.safetensors").path)
    stage = stage_of(recipe_file(DISTILLED))
    assert isinstance(stage.teachers, LiveTeachers)
    teacher = stage.teachers.models["teacher"]
    stage.objective.train()
    for step in range(3):
        rows = batch_of(stage, step)
        stage.objective(rows, stage.teachers(rows))["total"].backward()
    assert all(torch.equal(value.cpu(), published[name]) for name, value in teacher.state_dict().items())
    learning = DISTILLED.replace(".safetensors\n", ".safetensors\n      trainable: [bn1]\n").replace(
        "{kd: {loss: LogitMSE}}", "{kd: {loss: LogitMSE}, own: {loss: CrossEntropy, student: teacher}}"
    )
    stage = stage_of(recipe_file(learning))
    rows = batch_of(stage)
    stage.objective(rows, stage.teachers(rows))["total"].backward()
    stage.optimizer.step()
    moved = {
        n for n, v in stage.objective.teachers["teacher"].state_dict().items() if not torch.equal(v.cpu(), published[n])
    }
    assert moved == {f"bn1.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}


def test_no_gradient_reaches_the_model_in_the_teacher_role(recipe_file: Write) -> None:
    """Deep mutual learning (Zhang et al., CVPR 2018): two students, each the other's teacher."""
    mutual = TINY.replace(
        "    criterion:\n      ce: {loss: CrossEntropy}\n",
        """\
    teacher: {model: {use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}, trainable: ["*"]}
    criterion:
      first: {loss: KL}
      second: {loss: KL, student: teacher, teacher: student, weight: 0}
""",
    )
    stage = stage_of(recipe_file(mutual))
    rows = batch_of(stage)
    stage.objective(rows, stage.teachers(rows))["total"].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in stage.objective.student.parameters())
    assert not any(p.grad is not None and p.grad.abs().sum() > 0 for p in stage.objective.teachers.parameters())


def test_a_forward_pass_stops_at_the_last_feature_that_is_read() -> None:
    stage = stage_of(RECIPES / "three_stages.yaml")
    ran: list[str] = []
    models = {"student": stage.objective.student, "teacher": stage.teachers.models["teacher"]}
    for name, model in models.items():
        model.layer3.register_forward_hook(lambda *_, name=name: ran.append(name))
        model.layer2[-1].register_forward_hook(lambda *_, name=name: ran.append(f"{name} layer2"))
    rows = batch_of(stage)
    stage.objective(rows, stage.teachers(rows))
    assert ran == ["teacher layer2", "student layer2"]


RUN_TEACHER = DISTILLED.replace(TEACHER, "    teacher: {run: teaches.yaml, seed: 5}\n")


def test_a_teacher_that_is_a_run_is_trained_first_and_only_once(zoo: Zoo, recipe_file: Write) -> None:
    recipe_file(TINY, ("name: tiny", "name: teaches"), name="teaches.yaml")
    for seed in (0, 1):
        completed = zoo("train", recipe_file(RUN_TEACHER), "--seed", seed, "--json")
        assert completed.code == 0, completed.err
    (teacher,) = Path("home/runs/teaches").iterdir()
    record = json.loads(Path(json.loads(completed.out)["record"]).read_text())
    teacher_record = json.loads((teacher / "record.json").read_text())
    assert teacher_record["seed"] == 5
    assert record["sources"]["files"] == {"run:teaches:5": teacher_record["weights"]}
    (teacher / "model.safetensors").write_bytes(b"damaged")
    refused = zoo("train", "tiny.yaml", "--seed", "2")
    assert (refused.code, "expected sha256" in refused.err) == (5, True)


def test_a_run_that_was_trained_elsewhere_is_the_teacher_of_a_recipe_beside_it(
    zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = Path("recipes")
    recipes.mkdir()
    recipe_file(TINY, ("name: tiny", "name: teaches"), name="recipes/teaches.yaml")
    recipe_file(RUN_TEACHER, name="recipes/student.yaml")
    monkeypatch.chdir(recipes)
    assert zoo("train", "teaches.yaml", "--seed", 5, "--out", "../trained").code == 0
    monkeypatch.chdir("..")
    assert zoo("verify", "recipes/student.yaml", "--train", "--seeds", 1, "--dry-run").out.count("1 run to make") == 1
    Path("teaches.yaml").write_text("name: another")
    completed = zoo("train", "recipes/student.yaml")
    assert completed.code == 0, completed.err
    (record,) = Path("home/runs").glob("*/*/record.json")
    teacher = json.loads(Path("trained/record.json").read_text())
    assert json.loads(record.read_text())["sources"]["files"] == {"run:teaches:5": teacher["weights"]}
    assert zoo("fetch", "--train", "recipes/student.yaml").code == 0
    assert "in /" in zoo("check", recipe_file(RUN_TEACHER, ("teaches.yaml", "absent.yaml"))).err


def test_a_teacher_can_be_the_published_weights_of_another_entry(zoo: Zoo, recipe_file: Write) -> None:
    completed = zoo(
        "train", recipe_file(DISTILLED, (TEACHER, "    teacher: {entry: digits-resnet14}\n")), "--out", "entry"
    )
    assert completed.code == 0, completed.err
    assert zoo("train", recipe_file(DISTILLED), "--out", "weights").code == 0
    assert Path("entry/model.safetensors").read_bytes() == Path("weights/model.safetensors").read_bytes()
    files = [json.loads(Path(run, "record.json").read_text())["sources"]["files"] for run in ("entry", "weights")]
    assert files[0] == files[1] == {"embedded:digits-resnet14.safetensors": files[0].popitem()[1]}


INVERTED = '''"""The digits with dark and light swapped."""
from dataclasses import replace
from zoo.tasks import digits
from zoo.tasks.base import Task
from zoo.tasks.splits import TensorSplit

def swapped(*, rows: int = 899) -> Task:
    def train() -> TensorSplit:
        split = digits().load("train")
        return TensorSplit(-split.inputs[:rows], split.labels[:rows])

    return replace(digits(), name="inverted", splits={"train": train})
'''


def test_a_teacher_can_read_the_same_rows_with_its_own_task(
    zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outputs are cached like those of any other teacher."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "inverted.py").write_text(INVERTED)
    text = DISTILLED.replace("      weights:", "      task: inverted.swapped\n      weights:")
    run = training_of(recipe_file(text), tmp_path / "work", trust=["inverted"])
    (split,), (splits,) = run.splits, run.teacher_splits
    live = LiveTeachers({"teacher": nn.Flatten()}, {"teacher": ModelReads((), True)}, run.device, splits)
    batch = read_batch(split, [5, 3], run.device)
    for outputs in (live(batch), cache_teacher_outputs(live, split, run.accelerator)(batch)):
        assert torch.equal(outputs["teacher"].logits, -batch.inputs.flatten(1))  # type: ignore[union-attr]
    completed = zoo("train", recipe_file(text), "--trust", "inverted", "--out", "run")
    assert completed.code == 0, completed.err
    data = json.loads(Path("run/record.json").read_text())["sources"]["data"]
    assert data["stage 1, teacher: train"]["sha256"] != data["train"]["sha256"]
    short = recipe_file(text.replace("task: inverted.swapped", "task: {use: inverted.swapped, rows: 100}"))
    refused = zoo("train", short, "--trust", "inverted")
    assert refused.code == 2
    assert "inverted has no split 'train' with the 899 rows that the stage trains on" in refused.err
    learns = recipe_file(text.replace("      task: inverted.swapped\n", '      task: digits\n      trainable: ["*"]\n'))
    assert "'task' and 'tokenizer' go with a teacher that is frozen" in zoo("check", learns).err


ENTAILMENT = """\
name: two-tokenizers
task: entailment
tokenizer: {use: wordpiece, vocab: embedded:entail-vocab.txt, lowercase: false}
model: {use: bert_classifier, layers: 1, hidden: 8, heads: 2, intermediate: 8, vocab_size: 70, num_labels: 3}
stages:
  - epochs: 1
    batch_size: 64
    optimizer: {use: SGD, lr: 0.1}
    teacher:
      entry: entail-bert-l2h64
      tokenizer: {use: wordpiece, vocab: embedded:entail-vocab.txt, lowercase: true}
    criterion: {kd: {loss: LogitMSE}}
"""


def test_a_teacher_can_read_the_same_texts_with_its_own_tokenizer(recipe_file: Write, tmp_path: Path) -> None:
    path = recipe_file(ENTAILMENT)
    run = training_of(path, tmp_path / "work")
    student_split, teacher_split = run.splits[0], run.teacher_splits[0]["teacher"]
    student_inputs, teacher_inputs = (split.batch(range(20)).inputs for split in (student_split, teacher_split))
    assert not torch.equal(student_inputs["input_ids"], teacher_inputs["input_ids"])  # type: ignore[call-overload]
    assert torch.equal(student_split.labels, teacher_split.labels)
    entry, builder = catalogue.local(path), Builder()
    needed = [need.want for need in needs(entry, builder, train=True)]
    assert needed.count("tokenizer") == 3  # the student's, the teacher's, and that of the teacher's entry
    assert [need.want for need in needs(entry, builder, train=False)].count("tokenizer") == 1


OTHER_ROWS = """
from dataclasses import replace
from zoo.tasks import digits
from zoo.tasks.base import Task
from zoo.tasks.splits import TensorSplit

def backwards() -> Task:
    def train() -> TensorSplit:
        split = digits().load("train")
        return TensorSplit(split.inputs.flip(0), split.labels.flip(0))

    return replace(digits(), name="backwards", splits={"train": train})
"""


@pytest.mark.parametrize(
    ("task", "criterion", "message"),
    [
        ("other_rows.backwards", "kd: {loss: LogitMSE}", "backwards has no split 'train' with the 899 rows"),
        ("digits", 'self: {loss: {use: SelfSupervision, teacher: "fc:input"}}', "self changes the rows, but a teacher"),
    ],
)
def test_a_teacher_task_with_other_rows_is_an_error(
    task: str, criterion: str, message: str, zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path = Path.cwd()
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "other_rows.py").write_text(OTHER_ROWS)
    text = DISTILLED.replace("      weights:", f"      task: {task}\n      weights:")
    text = text.replace("kd: {loss: LogitMSE}", criterion)
    completed = zoo("train", recipe_file(text), "--trust", "other_rows")
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert message in completed.err

"""Stages: what learns and what is frozen, whose settings, which teacher, what lives on, which epoch is kept."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import resnet34

import harness.training.train
from harness.losses import CrossEntropy, Hint
from harness.models.environment import accelerator_on
from harness.models.outputs import run_model
from harness.runs.experiment import Experiment, RunContext, trained_weights
from harness.training.objective import ModelReads, Objective, TermRoles
from harness.training.stage import ActiveStage
from harness.training.teacher import CachedTeachers, LiveTeachers, cache_teacher_outputs
from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.fetch import weights_file
from zoo.fetch.sources import Sources
from zoo.models import cifar_resnet
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.prefetch import needs
from zoo.recipes.schema import STUDENT, load_recipe
from zoo.tasks import digits
from zoo.tasks.base import Batch, TensorSplit

RECIPES = ROOT / "tests" / "recipes"
TEACHER = """\
    teacher:
      model: {use: cifar_resnet, depth: 14, width: 16, num_classes: 10, in_channels: 1}
      weights: embedded:digits-resnet14.safetensors
"""
DISTILLED = TINY.replace(
    "    criterion:\n      ce: {loss: CrossEntropy}\n", TEACHER + "    criterion: {kd: {loss: LogitMSE}}\n"
)


def stage_of(path: Path, number: int = 0) -> ActiveStage:
    """A stage of a recipe, ready to be trained and looked into."""
    builder, accelerator = Builder(), accelerator_on("cpu")
    study = Experiment(
        catalogue.local(path), RunContext(builder=builder, accelerator=accelerator, runs=path.parent / "runs")
    )
    torch.manual_seed(0)
    return ActiveStage(
        study.recipe.stages[number], builder.build(study.recipe.model, "model"), study.splits()[number],
        number, 0, [], {}, views=study.views[number], builder=builder, accelerator=accelerator,
        resolve=study.checkpoint,
    )  # fmt: skip


class Layers(nn.Module):
    """Names that begin alike."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.layer10 = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer10(self.layer1(x))
        return out


def objective(model: nn.Module, **terms: nn.Module) -> Objective:
    terms = terms or {"ce": CrossEntropy()}
    return Objective({"student": model}, terms, {name: TermRoles("student", None, 1.0) for name in terms})


def batch(*shape: int) -> Batch:
    return Batch(inputs=torch.randn(*shape), labels=torch.arange(shape[0]) % 4, ids=torch.arange(shape[0]))


def test_a_path_ends_at_its_boundary_and_what_is_frozen_stays_as_it_is() -> None:
    """torchdistill's `startswith` freezes layer10 with layer1. Frozen BatchNorm keeps its statistics."""
    torch.manual_seed(0)
    model = Layers()
    whole = objective(model)
    whole.freeze({"student": ["layer10"]})
    whole.train()
    assert [module.training for module in model.layer1] == [False] * 3
    assert [module.training for module in model.layer10] == [True] * 3
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(whole.parameter_groups({})[0]["params"], lr=0.1)
    for _ in range(3):
        whole(batch(8, 4), {})["total"].backward()
        optimizer.step()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("layer1."), name
    assert all(parameter.grad is None for parameter in model.layer1.parameters())


def test_a_single_parameter_can_learn_and_a_pattern_names_many() -> None:
    model = Layers()
    whole = objective(model)
    whole.freeze({"student": ["*.0.bias"]})
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["layer1.0.bias", "layer10.0.bias"]


def test_a_stage_after_a_frozen_one_learns_all_again(zoo: Zoo, recipe_file: Write) -> None:
    stage = TINY[TINY.index("  - epochs") :]
    frozen = TINY.replace("    criterion:", "    trainable: [fc]\n    criterion:")
    assert zoo("train", recipe_file(frozen), "--out", "head").code == 0
    assert zoo("train", recipe_file(frozen + stage), "--out", "then").code == 0
    torch.manual_seed(0)
    start = cifar_resnet(depth=8, width=2, in_channels=1).state_dict()
    head, then = (load_file(Path(run, "model.safetensors")) for run in ("head", "then"))
    for name, value in start.items():
        assert torch.equal(head[name], value) == (not name.startswith("fc.")), name
        assert not torch.equal(then[name], value), name


def test_a_setting_written_once_applies_once(recipe_file: Write) -> None:
    """torchdistill scales a stage's rate twice. Here the first step of SGD is the rate times the gradient."""
    text = TINY.replace("    clip_norm: 1.0\n", "").replace(", momentum: 0.9", "")
    text = text.replace(
        "    schedule: {use: linear, warmup: 0.2}\n", "    groups: {fc: {lr: 0.025}, '*.bias': {lr: 0.5}}\n"
    )
    stage = stage_of(recipe_file(text))
    before = {name: p.detach().clone() for name, p in stage.objective.student.named_parameters()}
    stage.objective(stage.split.batch(stage.rows(0)), {})["total"].backward()
    stage.optimizer.step()
    for name, p in stage.objective.student.named_parameters():
        rate = 0.5 if name.endswith(".bias") else 0.025 if name.startswith("fc.") else 0.1
        assert p.grad is not None
        torch.testing.assert_close(p.detach(), before[name] - rate * p.grad, rtol=0, atol=1e-7)
    assert sorted({group["lr"] for group in stage.optimizer.param_groups}) == [0.025, 0.1, 0.5]


def test_two_objectives_of_one_model_alive_do_not_touch_each_other() -> None:
    """torchdistill hooks the model itself, so a second box overwrites what the first reads."""
    torch.manual_seed(0)
    model = cifar_resnet(depth=8, in_channels=1)
    teacher = cifar_resnet(depth=8, width=8, in_channels=1).eval()
    data = Batch(inputs=torch.randn(4, 1, 8, 8), labels=torch.arange(4), ids=torch.arange(4))

    def hinted(layer: str) -> Objective:
        made = Objective(
            {"student": model},
            {"hint": Hint(student=layer, teacher=layer)},
            {"hint": TermRoles("student", "teacher", 1.0)},
        )
        made.build_adapters(data, LiveTeachers({"teacher": teacher}, made.needs, data.labels.device)(data))
        return made

    def loss(one: Objective) -> tuple[float, list[Tensor]]:
        model.zero_grad()
        found = one(data, LiveTeachers({"teacher": teacher}, one.needs, data.labels.device)(data))["total"]
        found.backward()
        return found.item(), [p.grad.clone() for p in model.parameters() if p.grad is not None]

    model.eval()
    first = hinted("layer1")
    alone = loss(first)
    second = hinted("layer3")
    other = loss(second)
    again = loss(first)
    assert again[0] == alone[0] != other[0]
    assert all(torch.equal(a, b) for a, b in zip(alone[1], again[1], strict=True))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_frozen_teachers_statistics_do_not_move_and_a_trained_ones_do(recipe_file: Write, tmp_path: Path) -> None:
    """torchdistill (1.0 on) leaves the teacher in train mode, so its BatchNorm drifts away from its weights."""
    published = weights_file.read(Sources().fetch("embedded:digits-resnet14.safetensors").path)
    stage = stage_of(recipe_file(DISTILLED))
    assert isinstance(stage.teachers, LiveTeachers)
    teacher = stage.teachers.models["teacher"]
    stage.objective.train()
    for step in range(3):
        rows = stage.split.batch(stage.rows(step))
        stage.objective(rows, stage.teachers(rows))["total"].backward()
    assert all(torch.equal(value, published[name]) for name, value in teacher.state_dict().items())
    learning = DISTILLED.replace(".safetensors\n", ".safetensors\n      trainable: [bn1]\n").replace(
        "{kd: {loss: LogitMSE}}", "{kd: {loss: LogitMSE}, own: {loss: CrossEntropy, student: teacher}}"
    )
    stage = stage_of(recipe_file(learning))
    rows = stage.split.batch(stage.rows(0))
    stage.objective(rows, stage.teachers(rows))["total"].backward()
    stage.optimizer.step()
    moved = {n for n, v in stage.objective.teachers["teacher"].state_dict().items() if not torch.equal(v, published[n])}
    assert moved == {f"bn1.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}


def test_nothing_flows_from_a_student_into_what_stands_in_the_teachers_place(recipe_file: Write) -> None:
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
    rows = stage.split.batch(stage.rows(0))
    stage.objective(rows, stage.teachers(rows))["total"].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in stage.objective.student.parameters())
    assert not any(p.grad is not None and p.grad.abs().sum() > 0 for p in stage.objective.teachers.parameters())


def test_a_forward_goes_no_further_than_what_is_read() -> None:
    stage = stage_of(RECIPES / "three_stages.yaml")
    ran: list[str] = []
    models = {"student": stage.objective.student, "teacher": stage.teachers.models["teacher"]}
    for name, model in models.items():
        model.layer3.register_forward_hook(lambda *_, name=name: ran.append(name))
        model.layer2[-1].register_forward_hook(lambda *_, name=name: ran.append(f"{name} layer2"))
    rows = stage.split.batch(stage.rows(0))
    stage.objective(rows, stage.teachers(rows))
    assert ran == ["teacher layer2", "student layer2"]


def test_what_is_kept_goes_on_where_it_ended(zoo: Zoo, recipe_file: Write) -> None:
    """The second stage, which learns nothing, has the first one's hint as it was left."""
    hint = "    criterion: {hint: {loss: {use: Hint, student: layer1, teacher: layer1}}}\n"
    first = DISTILLED.replace("    criterion: {kd: {loss: LogitMSE}}\n", hint)
    stage = first[first.index("  - epochs") :].replace("lr: 0.1, momentum: 0.9", "lr: 0.0")
    found = {}
    for name, text in (("kept", first + "    keep: [hint]\n" + stage), ("new", first + stage)):
        assert zoo("train", recipe_file(text), "--out", name).code == 0
        lines = [json.loads(line)["losses"]["hint"] for line in Path(name, "log.jsonl").read_text().splitlines()]
        found[name] = lines
    steps = len(found["new"]) // 2
    assert found["kept"][:steps] == found["new"][:steps]
    assert max(found["kept"][steps:]) < min(found["kept"][:3])
    assert found["new"][steps] > 1.2 * found["kept"][steps]


def test_a_trained_teacher_lives_on_as_a_frozen_one(zoo: Zoo, recipe_file: Write) -> None:
    model = "{use: cifar_resnet, depth: 8, width: 8, num_classes: 10, in_channels: 1}"
    teacher = f"    teacher: {{model: {model}, trainable: [%s]}}\n"
    frozen = f"    teacher: {{model: {model}}}\n"
    head = TINY[: TINY.index("    criterion")]
    one = head + teacher % '"*"' + "    criterion: {own: {loss: CrossEntropy, student: teacher}}\n    keep: [teacher]\n"
    two = head[head.index("  - epochs") :] + frozen + "    criterion: {kd: {loss: {use: KL, temperature: 2}}}\n"
    ended = zoo(
        "train",
        recipe_file(one.replace("epochs: 1", "epochs: 4") + two.replace("epochs: 1", "epochs: 6")),
        "--out",
        "a",
    )
    assert ended.code == 0, ended.err
    accuracy = json.loads(Path("a/record.json").read_text())["results"][0]["metrics"]["accuracy"]["value"]
    assert accuracy > 0.4  # the student saw no label: what it knows it has from the teacher, that learned in stage one


BEST = (
    TINY.replace("epochs: 1", "epochs: 4").replace("schedule: {use: linear, warmup: 0.2}", "schedule: {use: constant}")
    + """\
    selection: best
claims:
  - {of: retrain, split: test, metric: accuracy, value: 0.5, sigma: 0.3, selection: best, source: here}
  - {of: retrain, split: test, metric: accuracy, value: 0.5, sigma: 0.3, selection: last, source: here}
"""
)


def test_the_best_epoch_is_kept_and_both_scores_are_recorded(zoo: Zoo, recipe_file: Write) -> None:
    ended = zoo("train", recipe_file(BEST), "--seed", "1", "--out", "run")
    assert ended.code == 0, ended.err
    lines = [json.loads(line) for line in Path("run/log.jsonl").read_text().splitlines()]
    scores = [line["accuracy"] for line in lines if "epoch" in line]
    results = {r["selection"]: r for r in json.loads(Path("run/record.json").read_text())["results"]}
    assert len(scores) == 4
    assert scores[-1] < max(scores)  # or this test would show nothing
    assert results["best"]["metrics"]["accuracy"]["value"] == max(scores)
    assert results["last"]["metrics"]["accuracy"]["value"] == scores[-1]
    assert results["best"]["predictions"]["file"] == "predictions-test-best.npz"
    scored = zoo("evaluate", "run", "--as", "tiny.yaml", "--json")
    assert json.loads(scored.out)["results"][0]["measured"] == max(scores)
    judged = json.loads(zoo("reproduce", "tiny.yaml", "--train", "--seeds", "1", "--first-seed", "1", "--json").out)
    measured = [claim["measured"] for claim in judged["entries"][0]["claims"]]
    assert measured == [max(scores), scores[-1]]


RUN_TEACHER = DISTILLED.replace(TEACHER, "    teacher: {run: teaches.yaml, seed: 5}\n")


def test_a_teacher_that_is_a_run_is_trained_first_and_only_once(zoo: Zoo, recipe_file: Write) -> None:
    recipe_file(TINY, ("name: tiny", "name: teaches"), name="teaches.yaml")
    for seed in (0, 1):
        ended = zoo("train", recipe_file(RUN_TEACHER), "--seed", seed, "--json")
        assert ended.code == 0, ended.err
    (teacher,) = Path("home/runs/teaches").iterdir()
    record = json.loads(Path(json.loads(ended.out)["record"]).read_text())
    taught = json.loads((teacher / "record.json").read_text())
    assert taught["seed"] == 5
    assert record["sources"]["files"] == {"run:teaches:5": taught["weights"]}
    (teacher / "model.safetensors").write_bytes(b"damaged")
    refused = zoo("train", "tiny.yaml", "--seed", "2")
    assert (refused.code, "expected sha256" in refused.err) == (5, True)


def test_another_entrys_published_weights_teach(zoo: Zoo, recipe_file: Write) -> None:
    ended = zoo("train", recipe_file(DISTILLED, (TEACHER, "    teacher: {entry: digits-resnet14}\n")), "--out", "entry")
    assert ended.code == 0, ended.err
    assert zoo("train", recipe_file(DISTILLED), "--out", "weights").code == 0
    assert Path("entry/model.safetensors").read_bytes() == Path("weights/model.safetensors").read_bytes()
    files = [json.loads(Path(run, "record.json").read_text())["sources"]["files"] for run in ("entry", "weights")]
    assert files[0] == files[1] == {"embedded:digits-resnet14.safetensors": files[0].popitem()[1]}


@pytest.fixture
def teacher() -> nn.Module:
    model = cifar_resnet(depth=14, width=16, in_channels=1)
    weights_file.load_into(model, Sources().fetch("embedded:digits-resnet14.safetensors").path)
    return model


def test_what_is_computed_once_is_what_a_live_teacher_says(teacher: nn.Module) -> None:
    split, accelerator = digits().load("train"), accelerator_on("cpu")
    live = LiveTeachers({"t": teacher}, {"t": ModelReads(("layer2:output", "fc:input"), True)}, accelerator.device)
    once = cache_teacher_outputs(live, split, accelerator)
    assert isinstance(once, CachedTeachers)
    rows = split.batch([898, 3, 3, 500])
    for path in ("layer2:output", "fc:input"):
        torch.testing.assert_close(once(rows)["t"][path], live(rows)["t"][path], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(once(rows)["t"].logits, live(rows)["t"].logits, rtol=1e-4, atol=1e-4)
    assert not once(rows)["t"].logits.requires_grad
    assert not once(rows)["t"].logits.is_inference()


INVERTED = '''"""The digits with dark and light swapped."""
from dataclasses import replace
from zoo.tasks import digits
from zoo.tasks.base import Task, TensorSplit

def inverted(*, rows: int = 899) -> Task:
    def train() -> TensorSplit:
        seen = digits().load("train")
        return TensorSplit(-seen.inputs[:rows], seen.labels[:rows])

    return replace(digits(), name="inverted", splits={"train": train})
'''


def test_a_teacher_reads_the_rows_in_its_own_way(
    zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its inputs are of the same rows, and of its own task; what it says is computed once as for any other."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_way.py").write_text(INVERTED)
    text = DISTILLED.replace("      weights:", "      task: own_way.inverted\n      weights:")
    builder, accelerator = Builder(trust=frozenset({"own_way"})), accelerator_on("cpu")
    setup = RunContext(builder=builder, accelerator=accelerator, runs=tmp_path / "runs")
    study = Experiment(catalogue.local(recipe_file(text)), setup)
    (split,), (views,) = study.splits(), study.views
    teacher = nn.Flatten()
    live = LiveTeachers({"teacher": teacher}, {"teacher": ModelReads((), True)}, torch.device("cpu"), views)
    batch = split.batch([5, 3])
    for observed in (live(batch), cache_teacher_outputs(live, split, accelerator)(batch)):
        assert torch.equal(observed["teacher"].logits, -batch.inputs.flatten(1))  # type: ignore[union-attr]
    ended = zoo("train", recipe_file(text), "--trust", "own_way", "--out", "run")
    assert ended.code == 0, ended.err
    data = json.loads(Path("run/record.json").read_text())["sources"]["data"]
    assert data["stage 1, teacher: train"]["sha256"] != data["train"]["sha256"]
    short = recipe_file(text.replace("task: own_way.inverted", "task: {use: own_way.inverted, rows: 100}"))
    refused = zoo("train", short, "--trust", "own_way")
    assert refused.code == 2
    assert "inverted has no split 'train' of the 899 rows that are trained on" in refused.err
    learns = recipe_file(text.replace("      task: own_way.inverted\n", '      task: digits\n      trainable: ["*"]\n'))
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


def test_a_teacher_reads_the_same_texts_with_its_own_tokenizer(recipe_file: Write, tmp_path: Path) -> None:
    builder = Builder()
    entry = catalogue.local(recipe_file(ENTAILMENT))
    study = Experiment(entry, RunContext(builder=builder, accelerator=accelerator_on("cpu"), runs=tmp_path / "runs"))
    (split,), view = study.splits(), study.views[0]["teacher"]
    rows = range(20)
    given, own = (one.batch(rows).inputs["input_ids"] for one in (split, view))  # type: ignore[call-overload]
    assert not torch.equal(given, own)  # Rose keeps the rose
    assert torch.equal(split.labels, view.labels)
    needed = [need.want for need in needs(entry, builder, train=True)]
    assert needed.count("tokenizer") == 3  # its own, the student's, and that of the teacher's entry
    assert [need.want for need in needs(entry, builder, train=False)].count("tokenizer") == 1


ROWS_OF_OTHERS = """
from dataclasses import replace
from zoo.tasks import digits
from zoo.tasks.base import Task, TensorSplit

def backwards() -> Task:
    def train() -> TensorSplit:
        seen = digits().load("train")
        return TensorSplit(seen.inputs.flip(0), seen.labels.flip(0))

    return replace(digits(), name="backwards", splits={"train": train})
"""


@pytest.mark.parametrize(
    ("task", "criterion", "message"),
    [
        ("own_rows.backwards", "kd: {loss: LogitMSE}", "backwards has no split 'train' of the 899 rows"),
        ("digits", 'self: {loss: {use: SelfSupervision, teacher: "fc:input"}}', "self changes the rows, which"),
    ],
)
def test_other_rows_than_the_students_are_refused(
    task: str, criterion: str, message: str, zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path = Path.cwd()
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_rows.py").write_text(ROWS_OF_OTHERS)
    text = DISTILLED.replace("      weights:", f"      task: {task}\n      weights:")
    text = text.replace("kd: {loss: LogitMSE}", criterion)
    ended = zoo("train", recipe_file(text), "--trust", "own_rows")
    assert (ended.code, len(ended.lines)) == (2, 1)
    assert message in ended.err


@pytest.mark.parametrize(
    "loss",
    [
        '{use: SSKD, student: "fc:input", teacher: "fc:input"}',
        "{use: FactorTransfer, student: layer3, teacher: layer3}",
        "{use: KnowledgeAdaptation, student: layer3, teacher: layer3}",
    ],
)  # fmt: skip
def test_what_an_earlier_stage_must_have_trained_is_asked_for(loss: str, zoo: Zoo, recipe_file: Write) -> None:
    ended = zoo("check", recipe_file(DISTILLED.replace("kd: {loss: LogitMSE}", f"kd: {{loss: {loss}}}")))
    assert (ended.code, len(ended.lines)) == (2, 1)
    assert "from an earlier stage that keeps 'kd': there is none" in ended.err


def test_a_last_batch_of_one_row_is_told_of_before_the_first(zoo: Zoo, recipe_file: Write) -> None:
    alone = DISTILLED.replace("batch_size: 64", "batch_size: 449")
    text = alone.replace("kd: {loss: LogitMSE}", 'pad: {loss: {use: PAD, student: "fc:input", teacher: "fc:input"}}')
    ended = zoo("train", recipe_file(text))
    assert (ended.code, len(ended.lines)) == (2, 1)
    assert "pad cannot do with a batch of one row, as the last of an epoch; `drop_last` leaves that out" in ended.err
    assert zoo("train", recipe_file(text.replace("batch_size: 449", "batch_size: 449\n    drop_last: true"))).code == 0


class Noisy(TensorSplit):
    """Another image at every call."""

    fixed = False


def test_nothing_is_kept_of_what_changes(teacher: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    split, accelerator = digits().load("train"), accelerator_on("cpu")
    assert isinstance(split, TensorSplit)
    live = LiveTeachers({"t": teacher}, {"t": ModelReads((), True)}, accelerator.device)
    assert cache_teacher_outputs(live, Noisy(split.inputs, split.labels), accelerator) is live
    tokens = LiveTeachers({"t": nn.Flatten(0)}, {"t": ModelReads((), True)}, accelerator.device)
    assert cache_teacher_outputs(tokens, split, accelerator) is tokens
    monkeypatch.setattr("harness.training.teacher.CACHE_BYTES", 1000)
    assert cache_teacher_outputs(live, split, accelerator) is live


def problem(zoo: Zoo, path: Path, command: str = "train") -> tuple[int, str]:
    ended = zoo(command, path)
    assert len(ended.lines) == 1, ended.err
    assert ended.code == 2
    _, line, _, message = ended.err.split(":", 3)
    return int(line), message.strip()


CHECKED = [
    ("    keep: [teach]\n", 5, "keep: no term or trained teacher 'teach'; known: ce"),
    ("    keep: [ce]\n", 12, "'ce' is kept, and no later stage has a term or teacher of that name"),
    ("    groups: {fc: {rate: 1}}\n", 12, "fc: SGD takes no argument 'rate'"),
    ("    teacher: {run: digits-resnet9}\n", 12, "no entry 'digits-resnet9'; did you mean digits-resnet8"),
    ("    teacher: {run: tiny.yaml}\n", 12, "tiny <- tiny: an entry cannot be its own teacher's teacher"),
    ("    teacher: {seed: 1}\n", 12, "a teacher has one of the keys 'model', 'entry' and 'run'"),
    ("    teacher: {model: {use: cifar_resnet, depth: 8}}\n", 12, "teacher lacks the key 'weights', and no earlier"),
    ("    selected_by: [accuracy]\n", 5, "'selected_on' and 'selected_by' go with 'selection: best'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("added", "line", "message"), CHECKED, ids=[added.split(":")[0].strip() for added, *_ in CHECKED]
)
def test_check_finds_what_no_stage_can_be(added: str, line: int, message: str, zoo: Zoo, recipe_file: Write) -> None:
    where, said = problem(zoo, recipe_file(TINY + added), "check")
    assert said.startswith(message)
    assert where == line


HINT = "{loss: {use: Hint, student: %s, teacher: %s}}"
TRAINED = [
    (DISTILLED, "{loss: LogitMSE}", HINT % ("layer4", "layer2"), "CifarResNet has no module 'layer4'; did you mean"),
    (DISTILLED, "{loss: LogitMSE}", HINT % ("layer2", "'layer2:in'"), "'layer2:in' is not a feature path"),
    (DISTILLED, "{loss: LogitMSE}", HINT % ("layer2", "fc"), "no regressor maps"),
    (TINY, "    clip_norm: 1.0", "    trainable: [layer4]", "there is nothing to train at 'layer4'; did you mean"),
    (TINY, "    clip_norm: 1.0", "    groups: {layer: {lr: 1}}", "there is nothing to train at 'layer'"),
    (TINY, "    clip_norm: 1.0", "    split: trian", "digits has no split 'trian'; it has train, test"),
    (TINY, "    clip_norm: 1.0", "    {selection: best, selected_by: [f1]}", "selected_by cannot be 'f1'; known: acc"),
    (TINY, "{use: linear, warmup: 0.2}", "torch.optim.lr_scheduler.ReduceLROnPlateau", "ReduceLROnPlateau waits for"),
    (TINY, "ce:", "type:", "no term or teacher can have this name"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "before", "after", "message"), TRAINED, ids=[after[:40] for _, _, after, _ in TRAINED]
)
def test_what_only_the_models_can_tell_is_told_at_its_line(
    text: str, before: str, after: str, message: str, zoo: Zoo, recipe_file: Write
) -> None:
    if after.startswith("    {"):
        after = "\n".join(f"    {setting}" for setting in after.strip(" {}").split(", "))
    path = recipe_file(text, (before, after))
    line, said = problem(zoo, path)
    assert said.startswith(message)
    first = next(number for number, row in enumerate(path.read_text().splitlines(), 1) if after.splitlines()[-1] in row)
    assert abs(line - first) <= 1


def rates(zoo: Zoo, path: Path) -> list[float]:
    ended = zoo("train", path, "--out", "rates")
    assert ended.code == 0, ended.err
    return [json.loads(line)["rate"] for line in Path("rates/log.jsonl").read_text().splitlines()]


SCHEDULES = [
    ("{use: multistep, milestones: [0.5]}", "epoch", lambda step: 0.1 if step < 15 else 0.01),
    ("{use: linear}", "step", lambda step: 0.1 * (1 - step / 30)),
    ("{use: torch.optim.lr_scheduler.ExponentialLR, gamma: 0.5}", "epoch", lambda step: 0.1 if step < 15 else 0.05),
    (
        "{use: transformers.get_linear_schedule_with_warmup, num_warmup_steps: 0}",
        "step", lambda step: 0.1 * (1 - step / 30),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("use", "per", "expected"), SCHEDULES, ids=[use.split(",")[0] for use, *_ in SCHEDULES])
def test_a_schedule_moves_by_step_or_by_epoch(
    use: str, per: str, expected: object, zoo: Zoo, recipe_file: Write
) -> None:
    text = TINY.replace("epochs: 1", "epochs: 2").replace(
        "{use: linear, warmup: 0.2}", f"{use}\n    schedule_per: {per}"
    )
    found = rates(zoo, recipe_file(text))
    assert callable(expected)
    assert found == pytest.approx([expected(step) for step in range(30)])


def test_a_stage_can_have_a_task_of_its_own(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("from zoo.tasks import digits\n\ndef flipped():\n    return digits()\n")
    text = TINY.replace("    clip_norm: 1.0\n", "    task: other.flipped\n    split: test\n")
    ended = zoo("train", recipe_file(text), "--trust", "other", "--out", "run")
    assert ended.code == 0, ended.err
    data = json.loads(Path("run/record.json").read_text())["sources"]["data"]
    assert sorted(data) == ["stage 1: test", "test"]
    assert data["stage 1: test"] == data["test"]


def without_this_project(code: str, folder: Path) -> str:
    blocked = "import sys\nfor room in ('zoo', 'harness', 'leaderboard'):\n    sys.modules[room] = None\n"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", blocked + code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_text_model_of_ours_loads_with_from_pretrained(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    text = (ROOT / "configs" / "starter" / "entail-bert-l2h32.yaml").read_text()
    text = text[: text.index("claims:")].replace("epochs: 6", "epochs: 1")
    ended = zoo(
        "train",
        recipe_file(text.replace("    batch_size: 64\n", "    batch_size: 64\n    split: test\n")),
        "--out",
        "run",
    )
    assert ended.code == 0, ended.err
    assert sorted(file.name for file in Path("run").iterdir()) == [
        "README.md", "config.json", "log.jsonl", "model.safetensors", "predictions-test.npz", "recipe.yaml",
        "record.json", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    code = Path("run/README.md").read_text().split("```python\n")[1].split("```")[0]
    shown = without_this_project(
        code + "inputs = tokenizer('Rose keeps the rose.', 'Rose keeps the plant.', return_tensors='pt')\n"
        "print(inputs['input_ids'].tolist(), model.config.id2label[0], model(**inputs).logits.tolist())",
        tmp_path / "run",
    )
    assert "entailment" in shown
    assert "[UNK]" not in shown
    logits = json.loads(shown.split("entailment ")[1])
    study = Experiment(
        catalogue.local(tmp_path / "tiny.yaml"),
        RunContext(builder=Builder(), accelerator=accelerator_on("cpu"), runs=tmp_path),
    )
    model = study.model_with(trained_weights(tmp_path / "run", "run:tiny:0")).eval()
    ids = study.tokenizer("Rose keeps the rose.", "Rose keeps the plant.", return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(run_model(model, dict(ids)).logits, torch.tensor(logits), rtol=1e-5, atol=1e-5)


def test_an_image_model_of_ours_loads_without_this_project(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    assert zoo("train", recipe_file(), "--out", "run").code == 0
    snippet = Path("run/README.md").read_text().split("```python\n")[1].split("```")[0]
    shown = without_this_project(
        f"import torch\n{snippet}\nprint(model.eval()(torch.ones(1, 1, 8, 8)).tolist()[0])", tmp_path / "run"
    )
    model = Builder().build(load_recipe(tmp_path / "tiny.yaml").model, "model")
    weights_file.load_into(model, tmp_path / "run" / "model.safetensors")
    with torch.no_grad():
        assert json.loads(shown) == pytest.approx(model.eval()(torch.ones(1, 1, 8, 8)).tolist()[0], rel=1e-5)


@pytest.fixture
def imagenet(tmp_path: Path) -> Iterator[Path]:
    """ImageNet's layout: two classes of four noisy images each, and a ResNet-34's weights."""
    generator = torch.Generator().manual_seed(0)
    for split in ("train", "val"):
        for number, name in enumerate(("n01440764", "n01443537")):
            folder = tmp_path / "ilsvrc2012" / split / name
            folder.mkdir(parents=True)
            for image in range(4):
                pixels = torch.randint(0, 128, (3, 40, 48), generator=generator, dtype=torch.uint8) + 100 * number
                Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / f"{image}.png")
    torch.save(resnet34(num_classes=2).state_dict(), tmp_path / "resnet34-b627a593.pth")
    return tmp_path


def test_the_imagenet_experiment_is_a_third_of_torchdistills_and_runs(
    zoo: Zoo, recipe_file: Write, imagenet: Path
) -> None:
    """149 lines in torchdistill's configs/sample/ilsvrc2012/kd/resnet18_from_resnet34.yaml."""
    text = (RECIPES / "ilsvrc2012-resnet18_from_resnet34.yaml").read_text()
    assert len(text.splitlines()) <= 45
    small = (
        ("https://download.pytorch.org/models", f"file:{imagenet}"),
        ("classes: 1000", "classes: 2"),
        ("size: 224", "size: 32"),
        ("epochs: 20", "epochs: 1"),
        ("batch_size: 32", "batch_size: 4"),
    )
    data = ("--data", f"ilsvrc2012={imagenet / 'ilsvrc2012'}")
    ended = zoo("train", recipe_file(text, *small), *data, "--out", "run", "--device", "cpu")
    assert ended.code == 0, ended.err
    record = json.loads(Path("run/record.json").read_text())
    assert {split: data["rows"] for split, data in record["sources"]["data"].items()} == {"train": 8, "val": 8}
    snippet = Path("run/README.md").read_text().split("```python\n")[1].split("```")[0]
    assert "from torchvision.models import resnet18\n" in snippet
    without_this_project(snippet, Path("run"))
    missing = zoo("train", recipe_file(text, *small))
    assert (missing.code, len(missing.lines)) == (4, 1)
    assert "the data set 'ilsvrc2012' is not here: it is a folder that holds train/*/*, val/*/*" in missing.err


LATE = TINY + TINY[TINY.index("  - epochs") :].replace("    criterion", "    trainable: [fcc]\n    criterion")


def test_what_is_wrong_with_a_late_stage_is_told_before_the_first_is_trained(zoo: Zoo, recipe_file: Write) -> None:
    ended = zoo("train", recipe_file(LATE), "--out", "run")
    assert ended.code == 2
    assert "there is nothing to train at 'fcc'; did you mean fc?" in ended.err
    assert not list(Path().rglob("log.jsonl"))


def test_later_stages_made_early_change_no_bit(zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe_file(LATE.replace("fcc", "fc"))
    assert zoo("train", path, "--out", "one").code == 0
    monkeypatch.setattr(harness.training.train, "_rehearse", lambda run, student: None)
    assert zoo("train", path, "--out", "two").code == 0
    assert Path("one/model.safetensors").read_bytes() == Path("two/model.safetensors").read_bytes()


def test_a_term_and_a_teacher_have_names_of_their_own_and_nothing_is_compared_with_itself(
    zoo: Zoo, recipe_file: Write
) -> None:
    trained = "    teacher: {model: {use: cifar_resnet, depth: 8, in_channels: 1}, trainable: [fc]}\n    criterion:\n"
    same = TINY.replace("    criterion:\n", trained).replace("ce: {loss", "teacher: {loss")
    assert "cannot both be named 'teacher'" in zoo("check", recipe_file(same)).err
    itself = TINY.replace("    criterion:\n", trained + "      back: {loss: KL, student: teacher}\n")
    assert "KL compares with a teacher, and the stage has none for it" in zoo("check", recipe_file(itself)).err
    itself = TINY.replace("    criterion:\n", trained + "      back: {loss: KL, student: teacher, teacher: teacher}\n")
    assert "back: compares 'teacher' with itself" in zoo("check", recipe_file(itself)).err


def test_a_tied_parameter_learns_where_any_of_its_names_does_and_is_saved(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.b.weight = self.a.weight

    model = Tied()
    objective = Objective({STUDENT: model}, {}, {})
    objective.freeze({STUDENT: ["b"]})
    assert model.b.weight.requires_grad
    assert model.b.bias.requires_grad
    assert not model.a.bias.requires_grad
    groups = objective.parameter_groups({"b": {"lr": 1}})
    assert [len(group["params"]) for group in groups] == [2]
    weights_file.save(model, tmp_path / "tied.safetensors")
    weights_file.load_into(Tied(), tmp_path / "tied.safetensors")


MISTAKES = [
    (("depth: 8", "depth: 9"), "depth must be 6n + 2"),
    (("depth: 8", "depth: eight"), "depth must be a number, not 'eight'"),
    (("lr: 0.1", "lr: 1e-3x"), "lr must be a number, not '1e-3x'"),
    (("lr: 0.1", "lr: -1"), "Invalid learning rate: -1"),
    (("warmup: 0.2", "warmup: 5"), "warmup must be a share"),
    (("{use: SGD, lr: 0.1, momentum: 0.9}", "{use: LBFGS, lr: 0.1}"), "evaluates the loss several times a step"),
    (("task: digits", "task: digits\nweights: embedded:digits-resnet15.safetensors"), "did you mean digits-resnet1"),
    (("task: digits", "task: digits\nweights: mine.pt"), "'mine.pt' is not a source"),
]


@pytest.mark.parametrize(("replaced", "message"), MISTAKES, ids=[message[:20] for _, message in MISTAKES])
def test_check_finds_what_would_refuse_its_arguments(
    replaced: tuple[str, str], message: str, zoo: Zoo, recipe_file: Write
) -> None:
    ended = zoo("check", recipe_file(TINY, replaced))
    assert ended.code == 2
    assert message in ended.err

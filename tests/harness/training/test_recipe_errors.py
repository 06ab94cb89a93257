"""Mistakes in a recipe's training are reported with their line."""

from pathlib import Path

import pytest

from tests.helpers.device import device
from tests.helpers.project import TINY, Write, Zoo
from tests.helpers.training import DISTILLED, PERCEPTRON
from tests.helpers.user_module import USER_MODULE


def problem(zoo: Zoo, path: Path, command: str = "train") -> tuple[int, str]:
    completed = zoo(command, path)
    assert len(completed.lines) == 1, completed.err
    assert completed.code == 2
    _, line, _, message = completed.err.split(":", 3)
    return int(line), message.strip()


CHECKED = [
    ("    keep: [teach]\n", 5, "keep: no term or trained teacher 'teach'; known: ce"),
    ("    keep: [ce]\n", 12, "'ce' is in `keep`, but no later stage has a term or teacher of that name"),
    ("    groups: {fc: {rate: 1}}\n", 12, "fc: SGD takes no argument 'rate'"),
    ("    groups: {fc: {lr: fast}}\n", 12, "fc: lr must be a number, not 'fast'"),
    ("    groups: {fc: {nesterov: 1}}\n", 12, "fc: nesterov must be true or false, not 1"),
    ("    teacher: {run: digits-resnet9}\n", 12, "no entry 'digits-resnet9'; did you mean digits-resnet8"),
    ("    teacher: {run: tiny.yaml}\n", 12, "tiny <- tiny: an entry cannot be its own teacher's teacher"),
    ("    teacher: {seed: 1}\n", 12, "a teacher has one of the keys 'model', 'entry' and 'run'"),
    ("    teacher: {model: {use: cifar_resnet, depth: 8}}\n", 12, "teacher lacks the key 'weights', and no earlier"),
    ("    selected_by: [accuracy]\n", 5, "'selected_on' and 'selected_by' go with 'selection: best'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("added", "line", "message"), CHECKED, ids=[added.split(":")[0].strip() for added, *_ in CHECKED]
)
def test_check_reports_an_impossible_stage(added: str, line: int, message: str, zoo: Zoo, recipe_file: Write) -> None:
    line_number, reported = problem(zoo, recipe_file(TINY + added), "check")
    assert reported.startswith(message)
    assert line_number == line


HINT = "{loss: {use: Hint, student: %s, teacher: %s}}"


TRAINED = [
    (DISTILLED, "{loss: LogitMSE}", HINT % ("layer4", "layer2"), "CifarResNet has no module 'layer4'; did you mean"),
    (DISTILLED, "{loss: LogitMSE}", HINT % ("layer2", "'layer2:in'"), "'layer2:in' is no"),
    (DISTILLED, "{loss: LogitMSE}", HINT % ("layer2", "fc"), "no regressor maps"),
    (TINY, "    clip_norm: 1.0", "    trainable: [layer4]", "there is nothing to train at 'layer4'; did you mean"),
    (TINY, "    clip_norm: 1.0", "    groups: {layer: {lr: 1}}", "there is nothing to train at 'layer'"),
    (TINY, "{use: linear, warmup: 0.2}", "torch.optim.lr_scheduler.ReduceLROnPlateau", "ReduceLROnPlateau needs"),
    (
        TINY, "{use: linear, warmup: 0.2}",
        "{use: torch.optim.lr_scheduler.SequentialLR, milestones: [1], schedulers: [{use: linear}]}",
        "torch.optim.lr_scheduler.SequentialLR: its schedulers are written {use: torch.optim.lr_scheduler.NAME, ...}",
    ),
    (TINY, "{use: SGD, lr: 0.1, momentum: 0.9}", "transformers.Adafactor", "transformers.Adafactor: write lr, and rel"),
    (TINY, "{use: linear, warmup: 0.2}", "{use: transformers.get_scheduler, name: reduce_lr_on_plateau}", "ReduceLROn"),
    (TINY, "ce:", "type:", "no term or teacher can have this name"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "before", "after", "message"), TRAINED, ids=[after[:40] for _, _, after, _ in TRAINED]
)
def test_an_error_that_only_the_built_models_show_is_reported_with_its_line(
    text: str, before: str, after: str, message: str, zoo: Zoo, recipe_file: Write
) -> None:
    path = recipe_file(text, (before, after))
    line, reported = problem(zoo, path)
    assert reported.startswith(message)
    first = next(number for number, row in enumerate(path.read_text().splitlines(), 1) if after in row)
    assert abs(line - first) <= 1


MISTAKES = [
    (("depth: 8", "depth: 9"), "depth must be 6n + 2"),
    (("depth: 8", "depth: eight"), "depth must be a whole number, not 'eight'"),
    (("lr: 0.1", "lr: 1e-3x"), "lr must be a number, not '1e-3x'"),
    (("lr: 0.1", "lr: -1"), "Invalid learning rate: -1"),
    (("warmup: 0.2", "warmup: 5"), "warmup must be a share"),
    (("{use: SGD, lr: 0.1, momentum: 0.9}", "{use: LBFGS, lr: 0.1}"), "evaluates the loss several times a step"),
    (("task: digits", "task: digits\nweights: embedded:digits-resnet15.safetensors"), "did you mean digits-resnet1"),
    (("task: digits", "task: digits\nweights: mine.pt"), "'mine.pt' is not a source"),
]


@pytest.mark.parametrize(("replaced", "message"), MISTAKES, ids=[message[:20] for _, message in MISTAKES])
def test_check_reports_arguments_that_a_call_refuses(
    replaced: tuple[str, str], message: str, zoo: Zoo, recipe_file: Write
) -> None:
    completed = zoo("check", recipe_file(TINY, replaced))
    assert completed.code == 2
    assert message in completed.err


def test_a_term_and_a_teacher_need_different_names_and_a_term_two_models(zoo: Zoo, recipe_file: Write) -> None:
    trained = "    teacher: {model: {use: cifar_resnet, depth: 8, in_channels: 1}, trainable: [fc]}\n    criterion:\n"
    same = TINY.replace("    criterion:\n", trained).replace("ce: {loss", "teacher: {loss")
    assert "cannot both be named 'teacher'" in zoo("check", recipe_file(same)).err
    itself = TINY.replace("    criterion:\n", trained + "      back: {loss: KL, student: teacher}\n")
    assert "KL compares with a teacher, and the stage has none for it" in zoo("check", recipe_file(itself)).err
    itself = TINY.replace("    criterion:\n", trained + "      back: {loss: KL, student: teacher, teacher: teacher}\n")
    assert "back: compares 'teacher' with itself" in zoo("check", recipe_file(itself)).err


@pytest.mark.parametrize(
    "loss",
    [
        '{use: SSKD, student: "fc:input", teacher: "fc:input"}',
        "{use: FactorTransfer, student: layer3, teacher: layer3}",
        "{use: KnowledgeAdaptation, student: layer3, teacher: layer3}",
    ],
)  # fmt: skip
def test_a_loss_that_needs_parts_of_an_earlier_stage_is_an_error_without_one(
    loss: str, zoo: Zoo, recipe_file: Write
) -> None:
    completed = zoo("check", recipe_file(DISTILLED.replace("kd: {loss: LogitMSE}", f"kd: {{loss: {loss}}}")))
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert "from an earlier stage that keeps 'kd': there is none" in completed.err


def test_a_last_batch_of_one_row_is_reported_before_training_starts(zoo: Zoo, recipe_file: Write) -> None:
    one_left = DISTILLED.replace("batch_size: 64", "batch_size: 449")
    text = one_left.replace("kd: {loss: LogitMSE}", 'pad: {loss: {use: PAD, student: "fc:input", teacher: "fc:input"}}')
    completed = zoo("train", recipe_file(text))
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert (
        "pad cannot use a batch of one row, and the last batch of an epoch has one; set `drop_last: true`"
        in completed.err
    )
    assert zoo("train", recipe_file(text.replace("batch_size: 449", "batch_size: 449\n    drop_last: true"))).code == 0


LOSSES = """
class Projected(nn.Module):
    needs_teacher = True

    def build_adapters(self, student, teacher):
        self.projection = nn.Linear(student.logits.shape[1], teacher.logits.shape[1])

    def forward(self, student, teacher, labels):
        return (self.projection(student.logits) - teacher.logits).square().mean()

class Wrong(nn.Module):
    def forward(self, student, teacher, labels):
        return student.logitz.mean()

class Many(nn.Module):
    def forward(self, student, teacher, labels):
        return student.logits.mean(1)

class Plain:
    pass
"""


def test_an_error_in_a_loss_names_its_term(user_folder: Path, zoo: Zoo) -> None:
    (user_folder / "mine.py").write_text(USER_MODULE + LOSSES)
    command = ("--trust", "mine", "--device", device())
    distilled = PERCEPTRON.replace("    criterion", "    teacher: {entry: digits-resnet8}\n    criterion")
    (user_folder / "own.yaml").write_text(distilled.replace("CrossEntropy", "mine.Projected"))
    completed = zoo("train", "own.yaml", *command, "--out", "run")
    assert completed.code == 0, completed.err
    for name, message in (
        ("Wrong", "the term 'ce': AttributeError: 'ModelOutputs' object has no attribute 'logitz'"),
        ("Many", "the term 'ce' returns a tensor (50,), not a scalar tensor"),
        ("Plain", "own.yaml:"),
    ):
        (user_folder / "own.yaml").write_text(PERCEPTRON.replace("CrossEntropy", f"mine.{name}"))
        completed = zoo("train", "own.yaml", *command)
        assert (completed.code, len(completed.lines)) == (2, 1), completed.err
        assert message in completed.err

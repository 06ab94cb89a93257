"""Everything without an equal in a recipe is reported with its position, all at once."""

import re
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.torchdistill_configs import NAMES, config_file, obstacles
from zoo.errors import RecipeError
from zoo.importers.outcome import ImportedRecipe
from zoo.importers.torchdistill.convert import convert
from zoo.importers.torchdistill.optimization import Invocation
from zoo.importers.torchdistill.read import read_config_text

VALUES = ("", "null", "[]", "{}", "7", "-1", "0.5", "text", "[a, b]", "{a: 1}", "true", "!join [a, b]", "1e-4",
          "!import_call {key: torchvision.datasets.CIFAR10}", "[1, [2]]", "'.'")  # fmt: skip

SCHEDULE = "key: 'MultiStepLR'\n    kwargs: {milestones: [5, 8], gamma: 0.1}"
POLY, LINEAR = (
    f"key: '{key}'\n    kwargs: {{{first}"
    for key, first in (("poly_lr_scheduler", "power: 0.9"), ("get_linear_schedule_with_warmup", "num_warmup_steps: 0"))
)
STEP = "\n    scheduling_step: 1"
RANDOM = "key: 'torch.utils.data.RandomSampler'\n      kwargs:"


@pytest.mark.parametrize(
    ("name", "before", "after", "message"),
    [
        ("kd", "'KDLoss'", "'KDLos'", "c.yaml:111:18: kd: KDLos has no equal among zoo's losses; did you mean KDLoss"),
        ("kd", "reduction: 'batchmean'", "reduction: 'mean'", "reduction 'mean' has no equal; write 'batchmean'"),
        ("kd", "temperature: 4.0", "temprature: 4.0", "unknown key 'temprature' of KDLoss; did you mean temperature?"),
        ("kd", "student_module_path: '.'", "student_module_path: 'layer1'", "KDLoss reads the outputs of the models"),
        ("kd", "  optimizer:\n", "  optimizer:\n    max_gradnorm: 1.0\n", "unknown key 'max_gradnorm' of an optimizer"),
        ("kd", "sequential: []", "sequentiel: []", "unknown key 'sequentiel' of a model in a stage"),
        ("kd", "key: 'SGD'", "key: 'SDG'", "SDG is no optimizer of torch; did you mean SGD?"),
        ("kd", "'MultiStepLR'", "'ReduceLROnPlateau'", "needs a metric; a schedule of a recipe depends on the step"),
        ("kd", "lr: 0.1,", "lr: 1e-1,", "expected a number, found '1e-1'; YAML 1.1 reads a number like 1e-4 as text"),
        ("kd", "size: 32,", "size: 28,", "RandomCrop: the task cifar has RandomCrop of 32 with padding"),
        ("kd", "requires_grad: False", "requires_grad: True", "the teacher resnet learns: its requires_grad is not"),
        ("kd", "src_ckpt: './checkpoints/teacher.pt'", "src_ckpt:", "so it would teach with random weights"),
        ("kd", "'forward_batch_only'", "'forward_batch_target'", "calls the model in a way that a recipe cannot"),
        ("kd", "num_epochs: 10", "num_epochs: ten", "expected a number, found 'ten'"),
        ("ce-split", "lengths: [0.9, 0.1]", "lengths: [8, 1, 1]", "this cuts it into another number of parts"),
        ("kr", "output_sizes: [4, 2, 1]", "output_sizes: [8, 4]", "zoo pools to the sizes [4, 2, 1]"),
        ("vid", "init_pred_var: 5.0}\n          r2", "init_pred_var: 4.0}\n          r2", "VID of a recipe has one"),
        ("dab", "kernel_size: 1", "kernel_size: 3", "zoo's connector is a 1x1 convolution"),
        ("sskd", "tf_temp: 4.0", "tf_temp: 2.0", "kl_temp and tf_temp differ"),
        ("crd", "mode: 'exact'", "mode: 'relax'", "zoo's positive is the row itself; write mode: exact"),
        ("glue-rte", "task 'rte'", "task 'boolq'", "boolq is not one of GLUE's tasks"),
        ("glue-rte", "    num_labels: 2\n", "", "the key 'num_labels' is missing"),
        ("hub-emotions", "path: &data 'go_emotions'", "path: &data 'my_texts'", "write the data set with its owner"),
        ("voc", "ToTensor", "Normalise", "custom.transform.CustomNormalise has no equal in a recipe"),
        ("imagenet-fitnets", "ResNet34_Weights'", "ResNet50_Weights'", "is not one of ResNet34_Weights"),
        ("imagenet-fitnets", "'IMAGENET1K_V1'", "'IMAGENET1K_V9'", "is not one of ResNet34_Weights: IMAGENET1K_V1"),
        ("imagenet-fitnets", "frozen_modules: ['conv1'", "frozen_modules: ['conv7'", "resnet18 has no module 'conv7'"),
        ("old-coco", "is_segment: True", "is_segment: False", "write a recipe with the task object_detection"),
        ("kd", SCHEDULE, f"{POLY}, num_epochs: 10}}", "without scheduling_step: 1 torchdistill moves it once"),
        ("kd", SCHEDULE, f"{POLY}}}\n    scheduling_step: -1", "without scheduling_step: 1 torchdistill moves it once"),
        ("kd", SCHEDULE, f"{POLY}, num_epochs: 77}}{STEP}", "the schedule counts 77 epochs, the stage has 10"),
        ("kd", SCHEDULE, f"{POLY}, num_iterations: 100000}}{STEP}", "counts 100000 batches, the stage has 782"),
        ("kd", SCHEDULE, f"{LINEAR}, num_training_steps: 123456}}{STEP}", "counts 123456 steps, the stage has 7820"),
        ("glue-rte", "num_training_steps:", "num_training_steps: 123456", "steps of this stage is not known"),
        ("kd", SCHEDULE, "key: 'CosineAnnealingLR'\n    kwargs: {T_max: 10, eta_min: 1e-5}", "a number like 1e-4"),
        ("kd", "weight_decay: 0.0001", "weight_decay: 1e-4", "YAML 1.1 reads a number like 1e-4 as text"),
        ("kd", "batch_size: 64", "batch_size: 0", "expected a whole number of at least 1, found 0"),
        ("kd", "num_epochs: 10", "num_epochs: -3", "expected a whole number of at least 1, found -3"),
        ("kd", "data.RandomSampler", "data.SequentialSampler", "a recipe trains on the rows in random order"),
        ("kd", f"{RANDOM}\n", f"{RANDOM} {{replacement: True}}\n", "an epoch of a recipe has all rows once"),
        ("kd", f"{RANDOM}\n", f"{RANDOM} {{num_samples: 9}}\n", "an epoch of a recipe has all rows once"),
        ("kd", "drop_last: False}", "shuffle: False}", "shuffle: a recipe trains on the rows in random order"),
        ("kd", f"{RANDOM}\n", f"{RANDOM}\n    collate_fn: 'mixup_collate_fn'\n", "mixup_collate_fn changes the batch"),
        ("kd", f"{RANDOM}\n", f"{RANDOM}\n    random_sample: False\n", "random_sample: a recipe trains on the rows in"),
        ("kd", f"{RANDOM}\n", f"{RANDOM}\n    dataset_wrapper: {{key: 'SSKDDatasetWrapper'}}\n", "changes the rows"),
        ("kd", "padding: 4}", "padding: 4, padding_mode: 'reflect'}", "unknown key 'padding_mode' of RandomCrop"),
        ("kd", "{p: 0.5}", "{p: 0.5, foo: 1}", "unknown key 'foo' of RandomHorizontalFlip"),
        ("relations", "tau: 2.0", "tau: 2.0\n              eps: 0.1", "eps of zoo's loss is 1e-08"),
        ("ft", "p: 1", "p: 1.5", "p of zoo's FactorTransfer is 1 or 2"),
        ("kr", "reduction: 'mean'", "reduction: 'sum'", "reduction 'sum' has no equal; write 'mean'"),
        ("sskd", "reduction: 'batchmean'", "reduction: 'sum'", "reduction 'sum' has no equal; write 'batchmean'"),
        ("srd", "reduction: 'batchmean'", "reduction: 'sum'", "reduction 'sum' has no equal; write 'batchmean'"),
        ("at", "mode: 'code'", "mode: 'code'\n              eps: 0.1", "unknown key 'eps' of ATLoss"),
        ("voc", "year: '2012'", "year: '2007'", "zoo's task has the images of VOC 2012, not of '2007'"),
        ("old-coco", "is_segment: True", "is_segment: True\n        jpeg_quality: 10", "has no such argument"),
        ("ce-split", "index_or_key: 0", "index_or_key: 1", "this stage trains on the second"),
        ("imagenet-fitnets", "kwargs: {num_classes: 1000", "kwargs: {init_weights: True, num_classes: 1000",
         "unknown key 'init_weights' of resnet"),
        ("kd", "key: 'SGD'", "key: 'SGD'\n    type: 'Adam'", "both 'type' and 'key' are written, which mean the same"),
        ("kd", "log_freq: 100", f"log_freq: 0x{'f' * 5000}", "a number of more than 40 characters"),
        ("kd", "experiment: &experiment !join [", f"experiment: &experiment !pathjoin [{'a' * 10_001},",
         "a text of more than 10,000 characters"),
    ],
)  # fmt: skip
def test_an_obstacle_is_reported(name: str, before: str, after: str, message: str) -> None:
    found = obstacles(name, (before, after))
    assert any(message in line for line in found), found
    assert all(line.startswith("c.yaml:") for line in found)


def test_all_obstacles_of_a_file_are_listed_by_line() -> None:
    found = obstacles(
        "kd",
        ("key: 'torchvision.datasets.CIFAR10'", "key: 'somewhere.datasets.Mine'"),
        ("key: &student 'resnet'", "key: &student 'custom_resnet152'"),
        ("momentum: 0.9", "momentum: 0.9, foreach: !import_get {key: os.environ}"),
    )
    assert [line.split(": ", maxsplit=1)[0].split(":")[1] for line in found] == sorted(
        (line.split(":")[1] for line in found), key=int
    )
    for part in ("somewhere.datasets.Mine has no equal", "a model with a bottleneck", "os.environ has no equal"):
        assert any(part in line for line in found), found


def test_obstacles_are_listed_together_even_if_the_model_is_one() -> None:
    found = "\n".join(
        obstacles("kd", ("student 'resnet'", "student 'resnett'"), ("'SGD'", "'SDG'"), ("'KDLoss'", "'KDLos'"))
    )
    for part in ("resnett is neither", "SDG is no optimizer", "KDLos has no equal"):
        assert part in found, found


def test_a_later_stage_inherits_the_loader_and_the_optimizer_but_no_model() -> None:
    text = config_file("at").read_text()
    stage = text[text.index("  num_epochs:") : text.index("\ntest:")]
    both = "".join(f"  stage{number}:\n{textwrap.indent(stage, '  ')}\n" for number in (1, 2))
    first, second = both.split("  stage2:")
    without = re.sub(r"(?ms)^    student:.*?(?=^    optimizer:)", "", second)
    (found,) = obstacles("at", (stage, f"{first}  stage2:{without}"))
    assert "the key 'student' or 'model' is missing: a stage inherits no model from the stage before" in found
    kept = re.sub(r"(?ms)^    (optimizer|scheduler):.*?(?=^    (scheduler|criterion):)", "", second)
    (found,) = obstacles("at", (stage, f"{first}  stage2:{kept}"))
    assert "stage2 goes on with the optimizer and the schedule of the stage before" in found


def test_a_model_that_is_too_large_to_build_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_MAX_MODULES", "1000")
    frozen = ("True\n    frozen_modules: []", "True\n    frozen_modules: ['conv1']")
    found = obstacles("kd", ("depth: 8,", "depth: 6000002,"), frozen)
    assert any("ZOO_MAX_MODULES raises this limit" in line for line in found), found


def test_models_of_torch_hub_and_detectors_are_refused_with_the_next_step() -> None:
    hub = obstacles("kd", ("key: &student 'resnet'", "repo_or_dir: 'someone/models'\n    key: &student 'resnet'"))
    assert "resnet comes from torch.hub (someone/models), whose code zoo does not run" in hub[0]
    assert "with a model of your own package, and pass --trust PACKAGE" in hub[0]
    detector = obstacles("kd", ("key: &student 'resnet'", "key: &student 'fasterrcnn_resnet50_fpn'"))
    assert "detects objects: detection is not converted; write a recipe with the task object_detection" in detector[0]


@settings(max_examples=30)
@given(st.data(), st.sampled_from(NAMES))
def test_a_damaged_configuration_is_converted_or_reported_but_never_a_traceback(data: st.DataObject, name: str) -> None:
    lines = config_file(name).read_text(encoding="utf-8").splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(lines) - 1))
        key = re.match(r"\s*(?:- )?[&\w./ ]*\w:", lines[number])
        if key is None or data.draw(st.booleans()):
            del lines[number]
        else:
            lines[number] = f"{key[0]} {data.draw(st.sampled_from(VALUES))}"
    with suppress(RecipeError):
        config, problems = read_config_text("\n".join(lines), "c.yaml")
        assert isinstance(convert(config, problems, Path("c.yaml"), Invocation()), ImportedRecipe)

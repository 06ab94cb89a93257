"""Everything without an equal in a recipe is reported with its position, all at once."""

import re
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
        ("old-coco", "is_segment: True", "is_segment: False", "object detection: zoo has no task for it yet"),
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


def test_models_of_torch_hub_and_detectors_are_refused_with_the_next_step() -> None:
    hub = obstacles("kd", ("key: &student 'resnet'", "repo_or_dir: 'someone/models'\n    key: &student 'resnet'"))
    assert "resnet comes from torch.hub (someone/models), whose code zoo does not run" in hub[0]
    assert "with a model of your own package, and pass --trust PACKAGE" in hub[0]
    detector = obstacles("kd", ("key: &student 'resnet'", "key: &student 'fasterrcnn_resnet50_fpn'"))
    assert "detects objects; zoo has no task for object detection yet" in detector[0]


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

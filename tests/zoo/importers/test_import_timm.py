"""`zoo import timm`: trainings by timm as recipes, and everything of them that has no equal."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Zoo
from tests.helpers.timm_options import image_folder, imported, options
from zoo.errors import RecipeError, UsageError
from zoo.importers.check import check_imported

timm = pytest.importorskip("timm")
factory = pytest.importorskip("timm.data.transforms_factory")
optim = pytest.importorskip("timm.optim")


def problems(path: Path, **changed: Any) -> list[str]:
    with pytest.raises(RecipeError) as error:
        imported(path, **changed)
    return [f"{problem.mark.line}: {problem.message}" for problem in error.value.problems]


def line(name: str, **changed: Any) -> int:
    return next(number for number, text in enumerate(options(**changed).splitlines(), 1) if text.startswith(f"{name}:"))


def test_a_training_is_imported_checked_and_repeated(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "args.yaml").write_text(
        options(aa="rand-m9-mstd0.5", reprob=0.5, clip_grad=1.0, warmup_epochs=1, epochs=2)
    )
    done = zoo("import", "timm", "args.yaml", "--out", "mine.yaml")
    assert done.code == 0
    assert "note: timm's folder '/data/pictures' is the data set 'pictures'" in done.err
    assert "note: timm ran as one process: its batch_size is per process." in done.err
    assert zoo("check", "mine.yaml").code == 0
    folder = image_folder(tmp_path / "pictures")
    trained = zoo("train", "mine.yaml", "--data", f"pictures={folder}", "--out", "run", "--device", "cpu")
    assert trained.code == 0, trained.err
    steps = [json.loads(row) for row in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    rates = [row["rate"] for row in steps if "losses" in row]
    assert rates == pytest.approx([1e-5, 0.05 * 0.5])  # the warm-up, then half of the cosine
    zoo("train", "mine.yaml", "--data", f"pictures={folder}", "--out", "run", "--device", "cpu", "--fresh")
    again = [json.loads(row) for row in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [row.get("losses") for row in again] == [row.get("losses") for row in steps]  # also timm's random numbers
    assert zoo("import", "timm", "args.yaml", "--out", "mine.yaml").code == 2
    assert (
        json.loads(zoo("import", "timm", "args.yaml", "--processes", 2, "--json").out)["recipe"]["stages"][0][
            "batch_size"
        ]
        == 8
    )


def test_a_repository_of_the_hub_is_imported_once_online_and_then_offline(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {"input_size": [3, 48, 48], "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5]}
    config = {"architecture": "test_resnet", "num_classes": 2, "pretrained_cfg": inputs}
    with LocalHub() as hub:
        run = use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)
        files = {"train_hparams.yaml": options(input_size=None).encode(), "config.json": json.dumps(config).encode()}
        commit = hub.add("models", "someone/tiny", files)
        hub.add("models", "someone/bare", {"config.json": b"{}"})
        done = run("import", "timm", "someone/tiny", "--json")
        assert done.code == 0, done.err
        recipe = json.loads(done.out)["recipe"]
        assert (recipe["name"], recipe["weights"]) == ("tiny", f"hub:someone/tiny@{commit}")
        assert recipe["task"]["mean"] == [0.1, 0.2, 0.3]
        assert {"use": "CenterCrop", "size": 48} in recipe["task"]["eval_transforms"]
        missing = run("import", "timm", "hf://someone/bare")
        assert (missing.code, "has no train_hparams.yaml and no args.yaml" in missing.err) == (4, True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        asked = len(hub.requests)
        assert run("import", "timm", "someone/tiny", "--json").code == 0
        assert len(hub.requests) == asked


def test_all_options_without_an_equal_are_reported_with_their_lines(zoo: Zoo, tmp_path: Path) -> None:
    changed = {"mixup": 0.2, "model_ema": True, "opt": "lamb", "sched": "tanh", "clip_grad": 1.0, "clip_mode": "agc",
               "aug_repeats": 3, "remode": "rand", "reprob": 0.1, "wrkers": 3, "dataset": "tfds/cifar10"}  # fmt: skip
    found = problems(tmp_path, **changed)
    assert found == sorted(found, key=lambda text: int(text.partition(":")[0]))
    by_name = {
        "mixup": "mixes no images of a batch; to import the rest, write `mixup: null` in a copy of the file",
        "model_ema": "no moving average of the weights; to import the rest, write `model_ema: false`",
        "opt": "opt: torch has no 'lamb'; write one of sgd, ",
        "sched": "sched: zoo has no 'tanh'; write one of cosine, ",
        "clip_mode": "write `clip_mode: norm`", "aug_repeats": "reads every image once in an epoch",
        "remode": "write `remode: pixel` or `remode: const`", "wrkers": "unknown option 'wrkers'; did you mean workers",
        "dataset": "zoo reads folders of images and data sets of the Hub, not 'tfds/cifar10'",
    }  # fmt: skip
    assert len(found) == len(by_name)
    for name, text in by_name.items():
        number = line(name, **changed)
        assert any(problem.startswith(f"{number}: ") and text in problem for problem in found), name
    done = zoo("import", "timm", "args.yaml", "--out", "mine.yaml")
    assert (done.code, (tmp_path / "mine.yaml").exists()) == (2, False)
    assert f"args.yaml:{line('mixup', **changed)}:1: mixup: " in done.err
    check_imported(imported(tmp_path, mixup=None, model_ema=False, aug_repeats=None))  # as the messages say


def test_without_the_package_timm_the_command_says_how_to_install_it(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.importers.timm.model.find_spec", lambda _: None)
    (tmp_path / "args.yaml").write_text(options())
    done = zoo("import", "timm", "args.yaml")
    assert (done.code, "pip install timm" in done.err) == (4, True)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"model": "hf-hub:someone/evil"}, "has no model 'hf-hub:someone/evil'"),
        ({"model": "test_resnett"}, "did you mean test_resnet"),
        ({"model_kwargs": {"checkpoint_path": "/etc/passwd"}}, "could load files or code"),
        ({"model_kwargs": {"no_such": 1}}, "the model cannot be built"),
        ({"initial_checkpoint": "/root/x.pth"}, "a file on another machine"),
        ({"epochs": 0}, "epochs must be a number of at least 1, not 0"),
        ({"lr": float("inf")}, "lr must be a number of at least 0, not inf"),
        ({"input_size": [3, 100000, 100000]}, "1 to 4,096 pixels"),
        ({"input_size": [1, 32, 32]}, "RGB images of 3 channels"),
        ({"crop_pct": 0.06, "input_size": [3, 2048, 2048]}, "images of 34,133 pixels before the crop"),
        ({"mean": ["a"]}, "mean must be 1 or 3 numbers"),
        ({"std": [0.0]}, "std must be above 0"),
        ({"aa": "no-policy"}, "aa: 'no-policy' is no policy of timm"),
        ({"val_split": "../x"}, "val_split: '../x' is no name of a split"),
        ({"dataset": "hfds/imagenet-1k"}, "has no owner"),
        ({"smoothing": "much"}, "smoothing must be a number of at least 0, not 'much'"),
        ({"opt_kwargs": {"lr": "x"}}, "opt_kwargs must be numbers by their names"),
        ({"lr_cycle_limit": 3}, "a schedule with restarts is not converted"),
    ],
)  # fmt: skip
def test_a_wrong_or_hostile_value_is_reported(tmp_path: Path, changed: dict[str, Any], text: str) -> None:
    assert any(text in problem for problem in problems(tmp_path, **changed))


@pytest.mark.parametrize(
    "content", ["", "- a\n", "a: [", "a: &x 1\nb: *x\n", "\x00", "a: 1\na: 2\n", "[a]: 1\n", "a: {b: \x07}"]
)
def test_a_file_that_is_no_list_of_options_ends_with_a_position(zoo: Zoo, tmp_path: Path, content: str) -> None:
    (tmp_path / "args.yaml").write_text(content)
    done = zoo("import", "timm", "args.yaml")
    assert done.code == 2
    assert done.err.startswith("args.yaml:")


def test_a_target_that_is_no_file_and_no_repository_says_what_to_write(zoo: Zoo) -> None:
    assert "write a file such as args.yaml, or OWNER/NAME" in zoo("import", "timm", "nothing").err
    assert zoo("import", "timm", "missing.yaml").code == 4


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers(), max_size=3)
)


@settings(max_examples=12)
@given(changed=st.dictionaries(st.sampled_from(sorted(yaml.safe_load(options()))), VALUES, max_size=4))
def test_any_values_give_a_recipe_that_passes_the_check_or_problems(
    tmp_path_factory: pytest.TempPathFactory, changed: dict[str, Any]
) -> None:
    try:
        made = imported(tmp_path_factory.mktemp("any"), **changed)
    except RecipeError:
        return
    with suppress(UsageError):
        check_imported(made)


def test_the_learning_rate_is_scaled_from_its_base_as_timm_scales_it(tmp_path: Path) -> None:
    made = imported(tmp_path, 4, lr=None, lr_base=0.1, batch_size=128, grad_accum_steps=2)
    stage = made.recipe["stages"][0]
    assert (stage["batch_size"], stage["optimizer"]["lr"]) == (1024, 0.4)
    scaled = imported(tmp_path, 4, lr=None, lr_base=0.1, batch_size=256, opt="adamw").recipe["stages"][0]
    assert scaled["optimizer"]["lr"] == 0.2  # by the square root
    assert any("each of timm's 4 processes normalized" in note for note in made.differences)


def test_pretrained_weights_are_those_that_timm_would_download(tmp_path: Path) -> None:
    model = imported(tmp_path, pretrained=True, num_classes=7).recipe["model"]
    published = timm.get_pretrained_cfg("test_resnet")
    assert (model["weights"], model["ignore"]) == (f"hub:{published.hf_hub_id}", ["fc"])


def test_a_data_set_of_the_hub_becomes_a_task_over_its_columns(tmp_path: Path) -> None:
    made = imported(tmp_path, dataset="hfds/someone/flowers", input_key="picture", val_split="test")
    check_imported(made)
    assert made.recipe["task"] | {"train_transforms": 0, "eval_transforms": 0, "mean": 0, "std": 0} == {
        "use": "image_classification", "data": "hub:datasets/someone/flowers", "classes": 2,
        "splits": ["train", "test"], "image": "picture", "train_transforms": 0, "eval_transforms": 0, "mean": 0,
        "std": 0,
    }  # fmt: skip

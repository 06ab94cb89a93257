"""Generated suites on the command line and in the API: listed, filtered, shown, and never among all entries."""

import json
from pathlib import Path

import pytest

import zoo as api
from tests.helpers.project import Zoo
from zoo.suites.timm_results import TABLES

ROWS = """\
model,top1,top1_err,top5,top5_err,param_count,img_size,crop_pct,interpolation
resnet18.tv_in1k,69.752,30.248,89.072,10.928,11.69,224,0.875,bilinear
resnet18.a1_in1k,73.158,26.842,91.026,8.974,11.69,288,1.000,bicubic
eva_giant_patch14_560.m30m_ft_in22k_in1k,89.786,10.214,98.992,1.008,"1,014.45",560,1.000,bicubic
broken.row,no,1,2,3,4.5,224,0.9,bilinear
"""


@pytest.fixture
def timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table of timm's results, in ZOO_DATA."""
    folder = tmp_path / "data" / "timm"
    folder.mkdir(parents=True)
    (folder / TABLES["timm"].file).write_text(ROWS)
    monkeypatch.setenv("ZOO_DATA", str(folder.parent))
    return folder


def test_all_weights_of_torchvision_with_imagenet_scores_are_listed(zoo: Zoo) -> None:
    data = json.loads(zoo("list", "--suite", "torchvision", "--json").out)["entries"]
    imagenet = [entry for entry in data if entry["task"] == "image_folder"]
    assert len(imagenet) == 129
    assert sum(len(entry["claims"]) for entry in imagenet) == 258
    assert "torchvision-resnet18-IMAGENET1K_V1" in zoo("list", "torchvision-resnet1*").out


def test_the_suites_are_listed_with_their_sizes_and_origins(zoo: Zoo, timm: Path) -> None:
    before = {row["suite"]: row for row in json.loads(zoo("suite", "--json").out)["suites"]}
    assert before["starter"]["entries"] == 6
    assert before["timm"]["entries"] is None
    zoo("suite", "timm")
    after = {row["suite"]: row for row in json.loads(zoo("suite", "--json").out)["suites"]}
    assert (after["timm"]["entries"], after["timm"]["claims"]) == (3, 6)
    assert str(timm) in after["timm"]["from"]
    assert "Not read yet: torchvision, timm-imagenetv2" in zoo("suite").out


def test_the_entries_of_a_suite_are_listed_with_what_is_not_supported(zoo: Zoo, timm: Path) -> None:
    done = zoo("suite", "timm", "--where", "params<30 and img_size<=224")
    assert "timm-resnet18.tv_in1k-224  11.69" in done.out
    assert "timm-eva" not in done.out
    assert "1 entry, 2 claims" in done.out
    assert "results-imagenet.csv:5: top1 'no' is not a number" in " ".join(done.out.split())
    assert "results-imagenet-real.csv" in done.out
    assert "not supported" not in done.err
    data = json.loads(zoo("suite", "timm", "--json").out)
    assert [entry["img_size"] for entry in data["entries"]] == [224, 288, 560]
    assert len(data["unsupported"]) == 6


def test_a_recipe_is_shown_as_a_user_may_copy_it(zoo: Zoo, timm: Path, tmp_path: Path) -> None:
    shown = zoo("show", "timm-resnet18.tv_in1k-224").out
    (tmp_path / "mine.yaml").write_text(shown)
    assert zoo("check", "mine.yaml").code == 0
    assert zoo("show", "mine.yaml").out.splitlines()[1:-1] == shown.splitlines()


@pytest.mark.parametrize("command", ["list", "check", "doctor", "lock", "verify"])
def test_commands_take_the_suite_and_a_filter(zoo: Zoo, timm: Path, command: str) -> None:
    dry = ["--dry-run"] if command == "verify" else []
    done = zoo(command, "--suite", "timm", "--where", "img_size == 288", *dry, "--json")
    assert done.code == 0, done.err
    assert "resnet18.a1_in1k" in done.out
    assert "resnet18.tv_in1k" not in done.out


def test_all_entries_are_the_shipped_ones(zoo: Zoo, timm: Path) -> None:
    assert "timm" not in zoo("list", "--json").out
    assert "timm" not in {entry.suite for entry in api.list()}
    assert [entry.name for entry in api.list(suite="timm", where="params > 100")] == [
        "timm-eva_giant_patch14_560.m30m_ft_in22k_in1k-560"
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "--suite", "timn"], "no suite 'timn'; did you mean timm"),
        (["list", "timm-resnet18.tv_in1k"], "no entry 'timm-resnet18.tv_in1k'; did you mean timm-resnet18.tv_in1k-224"),
        (["list", "--suite", "timm", "--where", "size<3"], "no column 'size'"),
        (["list", "--suite", "timm", "--where", "params<3"], "--where 'params<3' selects none of 3 entries"),
        (["show", "torchvision-raft_large-C_T_V1"], "is not supported: zoo has no task for optical flow yet"),
        (["list", "--suite", "timm-sketch"], "results-sketch.csv: the suite timm-sketch is made from this file"),
    ],
)
def test_a_wrong_name_or_filter_is_a_plain_error(zoo: Zoo, timm: Path, arguments: list[str], message: str) -> None:
    done = zoo(*arguments)
    assert message in done.err
    assert done.code in (2, 4)
    assert "Traceback" not in done.err


def test_a_table_that_cannot_be_downloaded_is_an_error_that_names_the_way_out(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    done = zoo("list", "--suite", "timm")
    assert done.code == 4
    assert "pass --data timm=DIR" in done.err


def test_weights_without_a_score_are_not_compared_and_nothing_is_run(zoo: Zoo) -> None:
    done = zoo("verify", "torchvision-vgg16-IMAGENET1K_FEATURES")
    assert done.code == 3
    assert "torchvision publishes no score" in done.out
    assert "1 not-compared" in done.out

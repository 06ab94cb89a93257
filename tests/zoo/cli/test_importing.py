"""`zoo import`."""

import json
from pathlib import Path

import pytest
import torch
import torchvision

from tests.helpers.project import Zoo
from tests.helpers.torchdistill_configs import config_file
from tests.helpers.vision_data import image_folders


def test_a_written_recipe_passes_zoo_check_and_is_named_like_its_file(zoo: Zoo, tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    done = zoo("import", "torchdistill", str(config_file("kd")), "--out", str(out))
    assert (done.code, done.out) == (0, "")
    assert f"written: {out}; check it with: zoo check {out}" in done.err
    assert "note: torchdistill ran as one process" in done.err
    text = out.read_text()
    assert text.startswith(f"# Imported from {config_file('kd')}, a configuration of torchdistill.\n# Assumed:")
    assert "\nname: mine\n" in text
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "teacher.pt").touch()
    checked = zoo("check", str(out))
    assert (checked.code, f"{out}: ok" in checked.out) == (0, True)
    again = zoo("import", "torchdistill", str(config_file("kd")), "--out", str(out))
    assert (again.code, f"--out {out}: the file exists; name a new one" in again.err) == (2, True)


def test_a_recipe_is_printed_and_json_has_its_parts(zoo: Zoo) -> None:
    printed = zoo("import", "torchdistill", str(config_file("old-cifar")))
    assert printed.code == 0
    assert "holdout: {of: train, share: 0.2, seed: 7}" in printed.out
    arguments = ("--json", "--processes", "2", "--adjust-lr")
    data = json.loads(zoo("import", "torchdistill", str(config_file("old-cifar")), *arguments).out)
    assert data["recipe"]["stages"][0]["batch_size"] == 256
    assert data["recipe"]["stages"][0]["optimizer"]["lr"] == pytest.approx(0.2)
    assert data["tool"] == "torchdistill"
    assert data["proof"] == []
    assert "2 times those of the configuration" in data["assumptions"][0]


def test_obstacles_end_with_code_2_and_write_nothing(zoo: Zoo, tmp_path: Path) -> None:
    config, out = tmp_path / "config.yaml", tmp_path / "recipe.yaml"
    text = config_file("kd").read_text()
    config.write_text(text.replace("'KDLoss'", "'MyLoss'").replace("key: 'SGD'", "key: 'MySGD'"))
    done = zoo("import", "torchdistill", str(config), "--out", str(out))
    assert (done.code, out.exists()) == (2, False)
    assert [line.split(":")[0] for line in done.err.splitlines()] == [str(config)] * 2
    assert "MyLoss has no equal among zoo's losses" in done.err


def test_a_file_that_is_missing_or_no_configuration_is_one_line(zoo: Zoo, tmp_path: Path) -> None:
    missing = zoo("import", "torchdistill", str(tmp_path / "none.yaml"))
    assert (missing.code, missing.err) == (4, f"there is no configuration {tmp_path / 'none.yaml'}\n")
    folder = zoo("import", "torchdistill", str(tmp_path))
    assert (folder.code, folder.err) == (2, f"{tmp_path} is a folder; name a configuration in it\n")
    other = tmp_path / "other.yaml"
    other.write_text("just: text\n")
    done = zoo("import", "torchdistill", str(other))
    assert (done.code, "the key 'datasets' is missing" in done.err) == (2, True)
    other.write_text("- a list\n")
    assert zoo("import", "torchdistill", str(other)).code == 2


def test_a_proof_reports_the_losses_of_both_tools(zoo: Zoo) -> None:
    pytest.importorskip("torchdistill", reason="the extra `parity` is not installed")
    done = zoo("import", "torchdistill", str(config_file("glue-rte")), "--prove", "--json")
    (proof,) = json.loads(done.out)["proof"]
    assert (done.code, proof["verdict"]) == (0, "equal")
    assert set(proof["losses"]) == {"float64", "float64 after a step", "float32"}
    assert "stage 1: equal; losses of zoo and torchdistill: float64 " in done.err


@pytest.mark.slow
def test_an_imported_recipe_can_be_trained(zoo: Zoo, tmp_path: Path) -> None:
    """Two stages on made images: the second one freezes the first layers, and BatchNorm needs batches of several."""
    text = config_file("imagenet-fitnets").read_text()
    for before, after in (
        ("num_classes: 1000", "num_classes: 3"),
        ("weights: !getattr [*weights, 'IMAGENET1K_V1']", "weights:"),
        ("    src_ckpt:\n  student_model", "    src_ckpt: './teacher.pt'\n  student_model"),
        ("key: 'resnet34'", "key: 'resnet18'"), ("num_epochs: 10", "num_epochs: 1"), ("num_epochs: 5", "num_epochs: 1"),
        ("batch_size: 64", "batch_size: 4"),
    ):  # fmt: skip
        assert before in text, before
        text = text.replace(before, after)
    (tmp_path / "config.yaml").write_text(text)
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18(num_classes=3).state_dict(), tmp_path / "teacher.pt")
    image_folders(tmp_path / "images", images=4)
    recipe = tmp_path / "mine.yaml"
    assert zoo("import", "torchdistill", str(tmp_path / "config.yaml"), "--out", str(recipe)).code == 0
    data = ("--data", f"ilsvrc2012={tmp_path / 'images'}")
    trained = zoo("train", str(recipe), *data, "--out", str(tmp_path / "run"), "--device", "cpu")
    assert trained.code == 0, trained.err
    losses = [json.loads(line)["losses"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()
              if "losses" in line]  # fmt: skip
    assert [sorted(each) for each in losses] == [["hint", "total"]] * 3 + [["ce", "last", "total"]] * 3

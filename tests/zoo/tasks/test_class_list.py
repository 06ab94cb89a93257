"""A model of 1,000 outputs is scored on the folders of some of its classes."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.helpers.project import Write, Zoo
from tests.helpers.vision_data import image_folders
from zoo.models import cifar_resnet

RECIPE = """\
name: some
task:
  use: image_folder
  data: file:in
  classes: file:outputs.txt
  only: [n00000002, n00000001]
  train_transforms: []
  eval_transforms: [{use: Resize, size: [16, 16]}]
model: {use: cifar_resnet, depth: 8, width: 2, num_classes: 1000}
weights: file:weights.safetensors
claims: [{of: weights, split: val, metric: accuracy, value: 0.500, source: s}]
"""


def write_model(folder: Path) -> None:
    """Write a model that always predicts output 998, and the names of its outputs, from n00000999 to n00000000."""
    model = cifar_resnet(depth=8, width=2, num_classes=1000)
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    bias = next(name for name in state if name.endswith("bias") and state[name].shape == (1000,))
    state[bias][998] = 1.0
    save_file(state, folder / "weights.safetensors")
    (folder / "outputs.txt").write_text("".join(f"n{999 - number:08}\n" for number in range(1000)))


def test_labels_are_the_positions_of_the_outputs(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    image_folders(tmp_path / "in")
    write_model(tmp_path)

    def entry_of(*replaced: tuple[str, str]) -> dict[str, Any]:
        path = recipe_file(RECIPE, *replaced)
        assert zoo("check", path).code == 0
        entry: dict[str, Any] = json.loads(zoo("verify", path, "--json").out)["entries"][0]
        return entry

    whole = entry_of(("  only: [n00000002, n00000001]\n", ""), ("0.500", "0.3333"))
    assert (whole["verdict"], whole["claims"][0]["measured"]) == (
        "reproduced",
        2 / 6,
    )  # of six images, two of n00000001
    part = entry_of()
    assert (part["verdict"], part["claims"][0]["measured"]) == ("not-compared", 0.5)
    assert "write `n: 4` if it was measured on the same examples" in part["claims"][0]["why"]
    assert "val: 4 of 6 rows (only 2 of the classes) are scored" in part["findings"]
    assert entry_of(("source: s", "source: s, n: 4"))["verdict"] == "reproduced"


def test_a_changed_or_missing_list_is_noticed(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    image_folders(tmp_path / "in")
    write_model(tmp_path)
    path = recipe_file(RECIPE)
    first = json.loads(zoo("verify", path, "--json").out)["entries"][0]
    listing = tmp_path / "outputs.txt"
    listing.write_text("\n".join(sorted(listing.read_text().split())))
    second = json.loads(zoo("verify", path, "--json").out)["entries"][0]
    assert (first["records"] != second["records"], second["claims"][0]["measured"]) == (True, 0.0)
    listing.unlink()
    completed = zoo("check", path)
    assert (completed.code, len(completed.lines)) == (4, 1), completed.err
    assert f"{path}:5:3: file:outputs.txt: there is no such file" in completed.err

"""The task `image_folder`: classes, transforms and errors."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from harness.metrics import accuracy, measure, top5_accuracy
from tests.helpers.project import Write, Zoo
from tests.helpers.vision_data import image_folders, pixels, png
from zoo.errors import NoDataError, NoFileError, SourceError, UsageError
from zoo.fetch.sources import Source, Sources
from zoo.tasks import image_folder

PLAIN = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}


def folder(path: Path, name: str = "mine") -> Source:
    return Source(Sources(data={name: path}), f"data:{name}")


def task_of(root: Path, classes: Any = 3) -> Any:
    return image_folder(
        data=folder(root), classes=classes, train_transforms=[v2.RandomResizedCrop(16)],
        eval_transforms=[v2.Resize(20), v2.CenterCrop(16)], **PLAIN,
    )  # fmt: skip


def test_classes_have_the_order_of_the_names_of_their_folders(tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    task = task_of(root)
    split = task.load("val")
    assert (len(split), split.labels.tolist(), split.fixed) == (6, [0, 0, 1, 1, 2, 2], True)
    batch = split.batch([5, 0])
    assert (tuple(batch.inputs.shape), batch.labels.tolist()) == ((2, 3, 16, 16), [2, 0])
    assert not task.load("train").fixed
    only_val = image_folders(tmp_path / "other")
    for path in (only_val / "train").rglob("*.JPEG"):
        path.unlink()
    assert len(task_of(only_val).load("val")) == 6


def test_classes_are_the_folders_their_number_or_names_in_the_order_of_the_outputs(tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    names = ["n00000000", "n00000001", "n00000002"]
    inferred = task_of(root, ())
    assert inferred.load("val").labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert inferred.class_names == tuple(names)
    listed = task_of(root, names[::-1])
    assert listed.load("val").labels.tolist() == [2, 2, 1, 1, 0, 0]
    assert listed.load("val").classes == listed.class_names == tuple(names[::-1])
    with pytest.raises(UsageError, match="the class names do not match"):
        task_of(root, names[:2]).load("val")


def test_a_missing_class_is_refused_because_it_would_shift_the_labels(tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    (root / "val" / "n00000001").rename(root / "gone")
    with pytest.raises(UsageError, match="val: 2 folders of classes, expected 3; n00000001 is missing"):
        task_of(root).load("val")
    (root / "gone").rename(root / "val" / "n00000009")
    with pytest.raises(UsageError, match="val and train do not hold the same classes: n00000001, n00000009"):
        task_of(root).load("val")


def test_data_may_lack_folders_of_classes_that_are_listed(tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    names = ["n00000002", "n00000001", "n00000000"]
    (root / "val" / "n00000001").rename(root / "gone")
    split = task_of(root, names).load("val")
    assert (split.labels.tolist(), split.classes) == ([2, 2, 0, 0], tuple(names))
    assert split.class_notes == ("val has no images of 1 of the classes: n00000001",)
    outputs = [f"n{number:08}" for number in range(999, -1, -1)]
    split = task_of(root, outputs).load("val")
    assert (split.labels.tolist(), len(split.classes)) == ([999, 999, 997, 997], 1000)
    assert split.class_notes == ("val has no images of 998 of the classes: n00000999, n00000998, n00000997",)
    with pytest.raises(UsageError, match="the class names do not match"):
        task_of(root, ["n00000000", "n00000003"]).load("val")


def test_a_file_lists_the_classes_in_the_order_of_the_outputs(tmp_path: Path) -> None:
    root, listing = image_folders(tmp_path / "in"), tmp_path / "classes.txt"
    listing.write_text("n00000002\r\nn00000007\nn00000000\nn00000001\n\n")
    task = task_of(root, Source(Sources(), f"file:{listing}"))
    assert task.load("val").labels.tolist() == [2, 2, 3, 3, 0, 0]
    assert task.label_names == ("n00000002", "n00000007", "n00000000", "n00000001")
    for text, message in (
        ("a\n\nb\n", "classes.txt:2: there is no name"),
        ("a\nb\na\n", "txt:1: the class 'a' is listed"),
    ):
        listing.write_text(text)
        with pytest.raises(SourceError, match=message):
            task_of(root, Source(Sources(), f"file:{listing}"))
    with pytest.raises(UsageError, match=r"classes: hub:a/b cannot be read before it is downloaded; write the names"):
        task_of(root, Source(Sources(), "hub:a/b"))


@pytest.mark.parametrize("classes", [3, (), ["n00000002", "n00000001", "n00000000"]])
def test_only_some_folders_are_read_and_labels_keep_the_positions_of_the_outputs(classes: Any, tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    task = image_folder(data=folder(root), classes=classes, only=["n00000002"], size=16)
    assert task.load("val").labels.tolist() == ([0, 0] if classes and classes != 3 else [2, 2])
    assert (len(task.class_names), task.scoring("val")) == (3, {"classes": 1, "of": 6})
    with pytest.raises(UsageError, match=r"only: there is no folder 'n00000009' in .*val; did you mean n00000002"):
        image_folder(data=folder(root), classes=classes, only=["n00000009"], size=16).load("val")
    for wrong, message in (("n00000002", "only must be a list"), (["a", "a"], "the class 'a' is listed twice")):
        with pytest.raises(UsageError, match=message):
            image_folder(data=folder(root), only=wrong)


def test_a_folder_that_is_not_read_need_not_be_a_class(tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    (root / "val" / "n00000001").rename(root / "val" / "rejected")
    task = image_folder(data=folder(root), classes=["n00000000", "n00000002"], only=["n00000002"], size=16)
    assert task.load("val").labels.tolist() == [1, 1]


def test_transforms_mean_and_std_have_the_defaults_of_torchvision(tmp_path: Path) -> None:
    data = folder(image_folders(tmp_path / "in"))
    explicit = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    same = image_folder(data=data, train_transforms=[], eval_transforms=[v2.Resize(32), v2.CenterCrop(28)], **explicit)  # type: ignore[arg-type]
    small = image_folder(data=data, size=28)
    assert torch.equal(small.load("val").batch([0, 5]).inputs, same.load("val").batch([0, 5]).inputs)
    assert image_folder(data=data).load("train").batch([0]).inputs.shape == (1, 3, 224, 224)
    assert not getattr(small.load("train"), "fixed", True)
    with pytest.raises(UsageError, match="eval_transforms is missing; write both lists of transforms, or leave out"):
        image_folder(data=data, train_transforms=[])
    with pytest.raises(UsageError, match="size must be at least 1, not 0"):
        image_folder(data=data, size=0)
    with pytest.raises(UsageError, match="size is for the default transforms"):
        image_folder(data=data, train_transforms=[], eval_transforms=[], size=28)


def test_a_bad_image_is_reported_with_its_path(tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    (root / "val" / "n00000001" / "0.JPEG").write_bytes(b"nothing")
    with pytest.raises(SourceError, match=r"0\.JPEG: cannot be read as an image"):
        task_of(root).load("val").batch(range(6))
    for path in (root / "val" / "n00000002").iterdir():
        path.unlink()
    with pytest.raises(SourceError, match="n00000002: there are no images"):
        task_of(root).load("val")


def test_an_image_that_is_too_large_is_a_source_error(tmp_path: Path) -> None:
    """A small file with a header of 60,000 x 60,000 pixels."""
    root = image_folders(tmp_path / "in")
    data = bytearray(png(pixels(0, 4, 4, 3)))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (root / "val" / "n00000000" / "0.JPEG").write_bytes(data)
    with pytest.raises(SourceError, match=r"0\.JPEG: cannot be read as an image"):
        task_of(root).load("val").batch([0])


def test_images_of_other_modes_are_converted_to_rgb(tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    for mode in ("L", "CMYK"):
        Image.fromarray(pixels(0, 40, 40, 3)).convert(mode).save(root / "val" / "n00000000" / "0.JPEG")
        assert task_of(root).load("val").batch([0]).inputs.shape == (1, 3, 16, 16)


def test_a_folder_that_a_recipe_names_by_its_path_is_not_asked_for_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "train" / "rose").mkdir(parents=True)
    (tmp_path / "train" / "rose" / "0.png").write_bytes(png(pixels(0, 4, 4, 3)))
    data = Source(Sources(), f"file:{tmp_path}")
    with pytest.raises(NoFileError, match=r"lacks val/\*/\*; it must hold train/\*/\*, val/\*/\*; `train` and `val`"):
        image_folder(data=data).load("val")
    assert image_folder(data=data, val=None).splits.keys() == {"train"}


@pytest.mark.parametrize("lacks", ["all", "val"])
def test_missing_data_are_reported_with_the_expected_layout(lacks: str, tmp_path: Path) -> None:
    data = Source(Sources(data={}), "data:ilsvrc2012") if lacks == "all" else folder(tmp_path, "ilsvrc2012")
    task = image_folder(data=data, classes=3, train_transforms=[], eval_transforms=[], **PLAIN)  # type: ignore[arg-type]
    with pytest.raises(NoDataError) as raised:
        task.load("val")
    message = str(raised.value)
    for part in ("'ilsvrc2012'", "it is a folder that holds train/*/*, val/*/*", "--data ilsvrc2012=DIR", "ZOO_DATA"):
        assert part in message


def test_top5_accuracy_counts_labels_among_the_five_largest_logits() -> None:
    logits = torch.randn(50, 9, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(9, (50,), generator=torch.Generator().manual_seed(1)).numpy()
    ranked = logits.topk(5).indices.numpy()
    expected = np.mean([label in row for label, row in zip(labels, ranked, strict=True)])
    assert top5_accuracy(ranked, labels) == pytest.approx(expected)
    arrays = {"ranked": ranked, "labels": labels, "predictions": ranked[:, 0]}
    assert measure(top5_accuracy, arrays) == (pytest.approx(expected), 1 / 50)
    assert measure(accuracy, arrays)[0] <= measure(top5_accuracy, arrays)[0]


RECIPE = """\
name: mine
task:
  use: image_folder
  data: data:flowers
  classes: 3
  train_transforms: [{use: RandomResizedCrop, size: 16}, {use: RandomHorizontalFlip}]
  eval_transforms: [{use: Resize, size: 20}, {use: CenterCrop, size: 16}]
  mean: [0.5, 0.5, 0.5]
  std: [0.5, 0.5, 0.5]
model: {use: cifar_resnet, depth: 8, width: 2, num_classes: 3}
stages:
  - {epochs: 1, batch_size: 4, optimizer: {use: SGD, lr: 0.1}, criterion: {ce: {loss: CrossEntropy}}}
"""


def test_a_recipe_trains_on_a_folder_named_on_the_command_line(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    path = recipe_file(RECIPE, name="mine.yaml")
    absent = zoo("train", path, "--out", "run")
    assert (absent.code, len(absent.lines)) == (4, 1)
    assert "'flowers'" in absent.err
    assert "it is a folder that holds" in absent.err
    assert zoo("train", path, "--data", f"flowers={root}", "--out", "run").code == 0
    card = Path("run/README.md").read_text()
    assert "top5" not in card and "The outputs are, in this order: " in card  # the top-5 accuracy of 3 classes is 1
    assert "pipeline_tag: image-classification" in card
    assert "- Images are resized bilinearly" in card
    transform: dict[str, Any] = {}
    code = card.split("```python\n")[1].split("\n```")[0].partition("model.eval()")[2]
    exec(code, {"torch": torch}, transform)  # noqa: S102 - the code that the card shows
    same = {"mean": [0.5] * 3, "std": [0.5] * 3, "eval_transforms": [v2.Resize(20), v2.CenterCrop(16)]}
    split: Any = image_folder(data=folder(root), classes=3, train_transforms=[], **same).load("val")
    with Image.open(split.samples[0][0]) as image:
        assert torch.equal(transform["transform"](image.convert("RGB")), split.batch([0]).inputs[0])
    for wrong in ("flowers", "flowers=nowhere", "=x"):
        completed = zoo("train", path, "--data", wrong)
        assert (completed.code, len(completed.lines)) == (2, 1)


def test_a_recipe_names_a_folder_by_its_path(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    start, end = RECIPE.index("  train_transforms"), RECIPE.index("model:")
    path = recipe_file(
        RECIPE, ("data:flowers", f"'file:{root}'"), (RECIPE[start:end], "  size: 16\n"), name="path.yaml"
    )
    completed = zoo("train", path, "--out", "run")
    assert completed.code == 0, completed.err
    card = Path("run/README.md").read_text()
    assert "v2.Resize(size=18)" in card and "v2.CenterCrop(size=16)" in card and "mean=[0.485, 0.456, 0.406]" in card


def test_a_transform_without_use_is_reported(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    path = recipe_file(RECIPE, ("{use: RandomHorizontalFlip}", "RandomHorizontalFlip"), name="bare.yaml")
    assert "write {use: RandomHorizontalFlip}" in zoo("train", path, "--data", f"flowers={root}").err
    single = recipe_file(
        RECIPE, ("[{use: Resize, size: 20}, {use: CenterCrop, size: 16}]", "{use: CenterCrop, size: 16}")
    )
    message = f"{single}:3:3: CenterCrop is a single transform; write a list: [{{use: ...}}]\n"
    assert zoo("train", single, "--data", f"flowers={root}").err == message

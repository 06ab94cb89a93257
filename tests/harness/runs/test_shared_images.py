"""Entries that read the same pixels are evaluated one after another, and share the decoded images."""

from pathlib import Path
from typing import Any

import pytest

from harness.runs.pixel_groups import group_by_pixels, pixels_of
from harness.runs.shared_images import SharedImages
from tests.helpers.project import TINY, Write
from tests.helpers.vision_data import image_folders
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry
from zoo.tasks.base import Task
from zoo.tasks.decoded_images import DecodedImages

IMAGES = (
    "task: {{use: image_folder, data: data:flowers, train_transforms: [], classes: 3, mean: [{mean}, 0, 0],\n"
    "  eval_transforms: [{{use: Resize, size: {size}}}, {{use: CenterCrop, size: 16}}]}}"
)


@pytest.fixture
def entry(recipe_file: Write) -> Any:
    def make(name: str, size: int = 20, mean: float = 0.5) -> Entry:
        task = IMAGES.format(size=size, mean=mean)
        return catalogue.local(
            recipe_file(TINY, ("task: digits", task), ("name: tiny", f"name: {name}"), name=f"{name}.yaml")
        )

    return make


def test_the_normalization_does_not_matter_for_the_pixels(entry: Any, recipe_file: Write) -> None:
    assert pixels_of(entry("a")) == pixels_of(entry("b", mean=0.1)) is not None
    assert pixels_of(entry("a")) != pixels_of(entry("c", size=24))
    assert pixels_of(catalogue.local(recipe_file())) is None
    assert pixels_of(catalogue.local(Path("missing.yaml"))) is None


def test_entries_with_the_same_pixels_follow_each_other(entry: Any, recipe_file: Write) -> None:
    texts = catalogue.local(recipe_file())
    entries = [entry("a"), texts, entry("b", size=24), entry("c"), texts, entry("d", size=24)]
    assert group_by_pixels(entries, range(6)) == [0, 3, 1, 2, 5, 4]
    assert group_by_pixels(entries, [1, 3, 5]) == [1, 3, 5]


def test_images_are_shared_by_the_entries_that_read_them_and_deleted_after_the_last(
    entry: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    entries = [entry("a"), entry("b", mean=0.1), entry("c", size=24)]
    builder = Builder(sources=Sources(data={"flowers": image_folders(tmp_path / "images")}))
    tasks = [builder.instance(made.recipe.task, "task", Task) for made in entries]
    images, stores = SharedImages(entries, pytest.fail), list[DecodedImages | None]()
    for made, task in zip(entries, tasks, strict=True):
        with images.used_by(made, task):
            split: Any = task.load("val")
            stores.append(split.decoded)
            split.batch([0])
        assert split.decoded is None
    assert stores[0] is stores[1] is not None
    assert stores[0].problem == "closed"  # when the entry with other pixels came
    assert stores[2] is None  # nobody else reads its pixels
    images.close()


def test_images_that_cannot_be_shared_are_reported_once(
    entry: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_MAX_DECODED", "0.0000001")
    entries, reports = [entry("a"), entry("b", mean=0.1)], list[str]()
    builder = Builder(sources=Sources(data={"flowers": image_folders(tmp_path / "images")}))
    images = SharedImages(entries, reports.append)
    for made in entries:
        task = builder.instance(made.recipe.task, "task", Task)
        with images.used_by(made, task):
            task.load("val").batch([0])
    images.close()
    assert len(reports) == 1
    assert "ZOO_MAX_DECODED" in reports[0]

"""Generated suites on the disk: made once, read again, and made again if a byte is damaged."""

from pathlib import Path

import pytest

from tests.helpers.project import Zoo
from zoo.suites import known, torchvision_weights
from zoo.suites.generated import GeneratedEntry, GeneratedSuite, Unsupported
from zoo.suites.store import INDEX, read_suite, recipe_path, write_suite

SUITE = GeneratedSuite(
    origin="a test",
    entries=[
        GeneratedEntry(name="made-a", recipe="name: made-a\n", facts={"params": 1.5, "img_size": None}),
        GeneratedEntry(name="made-b", recipe="name: made-b\n", not_compared="no score"),
    ],
    unsupported=[Unsupported(name="made-c", reason="no task")],
)


def test_a_suite_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_suite(tmp_path, SUITE)
    assert read_suite(tmp_path) == SUITE


@pytest.mark.parametrize("name", [INDEX, "made-a.yaml"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b'{"entries": 1}', b"\xff", b"name: made-b\n"])
def test_a_damaged_suite_is_not_read(tmp_path: Path, name: str, content: bytes | None) -> None:
    write_suite(tmp_path, SUITE)
    path = tmp_path / name
    path.unlink() if content is None else path.write_bytes(content)
    assert read_suite(tmp_path) is None


def test_a_changed_fact_is_damage(tmp_path: Path) -> None:
    write_suite(tmp_path, SUITE)
    index = tmp_path / INDEX
    index.write_text(index.read_text().replace("1.5", "2.5"))
    assert read_suite(tmp_path) is None


def test_a_suite_is_made_once_and_again_after_damage(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, make = [], torchvision_weights.torchvision_suite
    monkeypatch.setattr(torchvision_weights, "torchvision_suite", lambda: made.append(1) or make())
    first = zoo("suite", "torchvision", "--json")
    assert zoo("suite", "torchvision", "--json") == first
    assert len(made) == 1

    (folder,) = (tmp_path / "home" / "suites").iterdir()
    recipe_path(folder, "torchvision-resnet18-IMAGENET1K_V1").write_text("name: x\n")
    assert zoo("suite", "torchvision", "--json") == first
    assert len(made) == 2


@pytest.mark.parametrize(
    ("patterns", "suites", "wanted"),
    [
        (["digits-resnet8", "mine.yaml", "torch"], [], []),
        ([], ["torchvision", "glue"], ["torchvision"]),
        (["torchvision-resnet18-IMAGENET1K_V1"], [], ["torchvision"]),
        (["timm-resnet18.tv_in1k-224"], [], ["timm"]),
        (["timm-sketch-vgg11.tv_in1k-224"], [], ["timm-sketch"]),
        (["timm"], [], ["timm"]),
        (["timm-sketch"], [], ["timm-sketch"]),
        (["timm-*"], [], ["timm", "timm-imagenetv2", "timm-sketch"]),
        (["timm-s*"], [], ["timm", "timm-sketch"]),
        (["torch*"], [], ["torchvision"]),
        (["*resnet*", "[a-z]*"], [], []),
    ],
)
def test_a_catalogue_is_read_only_if_a_name_leads_to_its_suite(
    patterns: list[str], suites: list[str], wanted: list[str]
) -> None:
    assert known.wanted_suites(patterns, suites) == wanted

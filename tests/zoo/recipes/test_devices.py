"""The names of devices, and which device each process gets."""

from pathlib import Path

import pytest

from tests.helpers.project import Zoo
from zoo.errors import ZooError
from zoo.recipes import devices
from zoo.recipes.devices import device_of_process, kind_of, parse_devices
from zoo.recipes.options import RunOptions


def test_devices_are_named_by_kind_or_by_number() -> None:
    assert [parse_devices(text) for text in (None, "auto", "cpu", "mps", "cuda")] == [
        ("auto",), ("auto",), ("cpu",), ("mps",), ("cuda",),
    ]  # fmt: skip
    assert parse_devices("cuda:1, cuda:10") == ("cuda:1", "cuda:10")
    assert [kind_of(text) for text in (None, "auto", "cuda:3", "cuda:0,cuda:1")] == [None, None, "cuda", "cuda"]


@pytest.mark.parametrize(
    ("text", "platform", "visible", "file", "kind"),
    [
        (None, "linux", None, "null", "cpu"), ("auto", "linux", "0", "null", "cpu"),
        (None, "linux", "", "nvidia0", "cpu"), (None, "linux", None, "nvidia0", None),
        (None, "linux", None, "kfd", None), (None, "darwin", None, "null", None),
        ("cuda", "linux", None, "null", "cuda"), ("cpu", "darwin", None, "null", "cpu"),
    ],
)  # fmt: skip
def test_auto_is_the_cpu_on_a_linux_machine_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, platform: str, visible: str | None, file: str,
    kind: str | None,
) -> None:  # fmt: skip
    (tmp_path / file).touch()
    monkeypatch.setattr(devices, "DEVICE_FILES", tmp_path)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.kind_here(text) == kind


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cdua", "'cdua' is not auto, cpu, mps, cuda, or a GPU such as cuda:1; did you mean cuda?"),
        ("", "'' is not"),
        ("cuda:", "'cuda:' is not"),
        ("cuda:-1", "'cuda:-1' is not"),
        ("cuda:01", "'cuda:01' is not"),
        ("cpu:0", "'cpu:0' is not"),
        ("cuda:0,", "'' is not"),
        ("cuda:0,cpu", "a list can only have GPUs by their numbers"),
        ("cuda,cuda", "a list can only have GPUs by their numbers"),
    ],
)
def test_another_name_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ZooError) as raised:
        RunOptions(device=text)
    assert f"--device {text}: {message}" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "gpus", "expected"),
    [
        (None, 0, ["auto"] * 4),
        ("auto", 3, ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]),
        ("cuda", 2, ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]),
        ("cuda:1", 4, ["cuda:1"] * 4),
        ("cuda:3,cuda:1,cuda:2", 4, ["cuda:3", "cuda:1", "cuda:2", "cuda:3"]),
        ("cpu", 2, ["cpu"] * 4),
    ],
)
def test_processes_take_turns_with_the_devices(text: str | None, gpus: int, expected: list[str]) -> None:
    assert [device_of_process(text, number, gpus) for number in range(4)] == expected


def test_a_device_that_does_not_exist_is_reported_by_a_command(zoo: Zoo) -> None:
    completed = zoo("train", "digits-resnet8", "--device", "cdua")
    assert (completed.code, len(completed.lines)) == (4, 1)

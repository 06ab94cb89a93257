"""Images on disk: which files count, how their modes are read, and what makes their data another one."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from tests.helpers.project import Write, Zoo
from tests.helpers.vision_data import coco_folder, image_folders, pixels, voc_folder
from zoo import paths
from zoo.errors import SourceError
from zoo.fetch import remembered_digests as memory
from zoo.fetch.sources import Source, Sources
from zoo.tasks import coco_segmentation, image_folder, voc_segmentation
from zoo.tasks.base import Task
from zoo.tasks.images import read_rgb

PLAIN: Any = {"train_transforms": [], "eval_transforms": [], "mean": [0.0] * 3, "std": [1.0] * 3}


def task_of(root: Path, *, classes: int = 3) -> Task:
    return image_folder(data=Source(Sources(data={"mine": root}), "data:mine"), classes=classes, **PLAIN)


def gray_png(values: Any, color: int) -> bytes:
    """Return a PNG of 16 bits a channel: color 0 is gray, 2 is RGB, 4 is gray with alpha."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, color, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_of_16_bits_the_upper_8_are_kept(tmp_path: Path) -> None:
    values = np.array([[0, 257, 15360, 48640, 65535]], np.uint16)
    expected = (values >> 8).astype(np.uint8)
    content = {
        "gray.png": gray_png(values, 0), "rgb.png": gray_png(values[..., None].repeat(3, 2), 2),
        "alpha.png": gray_png(np.stack([values, values * 0 + 9], axis=2), 4),
        "gray.pgm": b"P5\n5 1\n65535\n" + values.astype(">u2").tobytes(),
    }  # fmt: skip
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF")
    for name, data in {**content, "gray.tif": buffer.getvalue()}.items():
        (tmp_path / name).write_bytes(data)
        read = np.array(read_rgb(tmp_path / name))
        assert np.array_equal(read, expected[..., None].repeat(3, 2)), name


def test_pixels_of_32_bits_are_refused_because_their_range_is_unknown(tmp_path: Path) -> None:
    for values in (np.full((2, 2), 0.5, np.float32), np.full((2, 2), 70_000, np.int32)):
        Image.fromarray(values).save(tmp_path / "a.tif")
        with pytest.raises(SourceError, match=r"a\.tif: the image has pixels of 32 bits \(mode [FI]\)"):
            read_rgb(tmp_path / "a.tif")


def test_other_modes_are_read_as_by_torchvision(tmp_path: Path) -> None:
    image = Image.fromarray(pixels(0, 6, 5, 3))
    palette = image.quantize(8)
    for name, saved, options in (
        ("L.png", image.convert("L"), {}),
        ("1.png", image.convert("1"), {}),
        ("LA.png", image.convert("LA"), {}),
        ("RGBA.png", image.convert("RGBA"), {}),
        ("P.png", palette, {}),
        ("CMYK.jpg", image.convert("CMYK"), {}),
    ):
        saved.save(tmp_path / name, **options)
        expected = Image.open(tmp_path / name).convert("RGB")
        assert np.array_equal(np.array(read_rgb(tmp_path / name)), np.array(expected)), name
    palette.save(tmp_path / "transparent.png", transparency=bytes(range(8)))  # Pillow warns of a direct conversion
    assert np.array_equal(np.array(read_rgb(tmp_path / "transparent.png")), np.array(palette.convert("RGB")))


def test_the_orientation_in_exif_is_not_applied_as_in_torchvision(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels(0, 6, 5, 3)).save(tmp_path / "a.jpg", exif=exif)
    assert read_rgb(tmp_path / "a.jpg").size == (5, 6)


def test_linked_folders_are_followed_in_torchvisions_order_and_a_circle_ends(tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    store = image_folders(tmp_path / "store") / "train" / "n00000000"
    (root / "val" / "n00000001" / "part").symlink_to(store)
    (root / "val" / "n00000000" / "0.JPEG").rename(tmp_path / "0.JPEG")
    (root / "val" / "n00000000" / "0.JPEG").symlink_to(tmp_path / "0.JPEG")
    split: Any = task_of(root).load("val")
    assert [str(path) for path, _ in split.samples] == [path for path, _ in ImageFolder(root / "val").samples]
    assert split.labels.tolist() == [0, 0, 1, 1, 1, 1, 2, 2]
    (root / "val" / "n00000002" / "circle").symlink_to(root / "val")
    assert len(task_of(root).load("val")) == 8
    rows = list(split.rows())
    assert len(set(rows)) == 8


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    expected = list(task_of(root).load("val").rows())
    (root / "val" / "n00000000" / "._0.JPEG").write_bytes(b"no image")
    for folder in (root / "val", root / "train", root / "val" / "n00000001"):
        for name in (".ipynb_checkpoints", "__MACOSX"):
            (folder / name).mkdir()
            (folder / name / "0-checkpoint.JPEG").write_bytes((root / "val" / "n00000001" / "0.JPEG").read_bytes())
    assert list(task_of(root).load("val").rows()) == expected


def test_file_names_need_not_be_utf_8(tmp_path: Path) -> None:
    root = image_folders(tmp_path / os.fsdecode(b"caf\xe9"))
    before = list(task_of(root).load("val").rows())
    image = root / "val" / "n00000000" / "0.JPEG"
    image.rename(image.with_name(os.fsdecode(b"caf\xe9.JPEG")))
    assert any(b"caf\xe9.JPEG" in row for row in task_of(root).load("val").rows())
    assert len(before) == len(list(task_of(root).load("val").rows()))


def swap(first: Path, second: Path, *, by_name: bool) -> None:
    """Swap two files of equal size and restore their times, by content or by name."""
    times = [(path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in (first, second)]
    if by_name:
        first.rename(first.with_suffix(".x"))
        second.rename(first)
        first.with_suffix(".x").rename(second)
    else:
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)
    for path, time in zip((first, second), times, strict=True):
        os.utime(path, ns=time)


@pytest.mark.parametrize("by_name", [False, True])
def test_changed_pixels_of_equal_size_are_other_data(by_name: bool, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(memory, "SETTLED_NS", 0)  # as if the files were written long ago
    root = tmp_path / "in"
    for split in ("train", "val"):
        for number in range(3):
            folder = root / split / str(number)
            folder.mkdir(parents=True)
            Image.fromarray(pixels(number, 4, 4, 3)).save(folder / "0.bmp")
    before = task_of(root).content("val")
    assert task_of(root).content("val") == before
    swap(root / "val" / "0" / "0.bmp", root / "val" / "1" / "0.bmp", by_name=by_name)
    assert task_of(root).content("val")["sha256"] != before["sha256"]
    swap(root / "val" / "0" / "0.bmp", root / "val" / "1" / "0.bmp", by_name=by_name)
    assert task_of(root).content("val") == before


def test_files_are_read_once(tmp_path: Path, monkeypatch: Any) -> None:
    root, read = image_folders(tmp_path / "in"), []
    monkeypatch.setattr(memory, "sha256", lambda path: read.append(path.name) or "0" * 64)
    monkeypatch.setattr(memory, "SETTLED_NS", 0)
    for _ in range(2):
        task_of(root).content("val")
    assert len(read) == 6
    Image.fromarray(pixels(9, 40, 48, 3)).save(root / "val" / "n00000001" / "1.JPEG")
    task_of(root).content("val")
    assert len(read) == 7
    next(paths.home().rglob("digests/*.json")).write_text("[damaged")
    task_of(root).content("val")
    assert len(read) == 13


def test_changed_images_and_masks_of_a_segmentation_are_other_data(tmp_path: Path) -> None:
    sources = Sources(data={"voc": voc_folder(tmp_path / "voc"), "coco": coco_folder(tmp_path / "coco")})
    base = tmp_path / "voc" / "VOCdevkit" / "VOC2012"
    for changed, make, name in (
        (base / "JPEGImages" / "val_0.jpg", voc_segmentation, "voc"),
        (base / "SegmentationClass" / "val_0.png", voc_segmentation, "voc"),
        (tmp_path / "coco" / "val2017" / "000000000000.jpg", coco_segmentation, "coco"),
    ):
        before = make(data=Source(sources, f"data:{name}"), **PLAIN).content("val")
        data = bytearray(changed.read_bytes())
        data[-20] ^= 1
        changed.write_bytes(data)
        assert make(data=Source(sources, f"data:{name}"), **PLAIN).content("val") != before


RECIPE = """\
name: mine
task: {use: image_folder, data: "data:pics", classes: 2, train_transforms: [], eval_transforms: [],
       mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}
model: {use: cifar_resnet, depth: 8, width: 2, num_classes: 2}
metrics: [accuracy]
stages:
  - {epochs: 1, batch_size: 8, optimizer: {use: SGD, lr: 0.1}, criterion: {ce: {loss: CrossEntropy}}}
claims:
  - {of: retrain, split: val, metric: accuracy, value: 0.5, sigma: 0.2, seeds: 1, source: x}
"""


def test_swapped_pixels_make_a_new_run(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name, level in (("dark", 60), ("light", 190)):
            (tmp_path / "pics" / split / name).mkdir(parents=True)
            pixels_of_class = np.full((8, 8, 3), level, np.uint8)
            Image.fromarray(pixels_of_class).save(tmp_path / "pics" / split / name / "0.bmp")
    command = ("reproduce", recipe_file(RECIPE, name="mine.yaml"), "--train", "--data", f"pics={tmp_path / 'pics'}")
    runs = [len(list(Path("home").rglob("record.json")))]
    for _ in range(2):
        zoo(*command)
        runs.append(len(list(Path("home").rglob("record.json"))))
    swap(*(tmp_path / "pics" / "val" / name / "0.bmp" for name in ("dark", "light")), by_name=False)
    zoo(*command)
    runs.append(len(list(Path("home").rglob("record.json"))))
    assert runs == [0, 1, 1, 2]

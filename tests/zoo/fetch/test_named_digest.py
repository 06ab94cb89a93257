"""The digits of a SHA-256 in the names of PyTorch's files."""

from pathlib import Path

import pytest

from tests.helpers.plain_server import DATA, SHA
from zoo.errors import IntegrityError
from zoo.fetch.lock import read_lock
from zoo.fetch.named_digest import pin_in_name
from zoo.fetch.source_types import Url
from zoo.fetch.sources import Sources
from zoo.fetch.urls import Urls

PYTORCH = "https://download.pytorch.org/models"


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("resnet18-f37072fd.pth", "f37072fd"),
        ("mnasnet0.5_top1_67.823-3ffadce67e.pth", "3ffadce67e"),
        ("shufflenetv2_x1-5666bf0f80.pth", "5666bf0f80"),
        ("quantized/resnet18_fbgemm_16fa66dd.pth", "16fa66dd"),
        ("vgg16_features-amdegroot-88682ab5.pth", "88682ab5"),
        ("resnet18.pth", None),
        ("resnet18-f37072.pth", None),
        ("resnet18-f37072fd.pth.zip", None),
    ],
)
def test_the_name_of_a_file_of_pytorch_has_the_first_digits_of_its_digest(name: str, digits: str | None) -> None:
    assert pin_in_name(Url(f"{PYTORCH}/{name}")).sha256_prefix == digits


def test_the_names_of_other_servers_say_nothing() -> None:
    assert pin_in_name(Url("https://a.b/resnet18-20261128.pth")).sha256_prefix is None


@pytest.mark.parametrize("digits", [SHA[:8], "00000000"])
def test_a_file_must_have_the_digest_that_its_name_says(
    digits: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    url = f"{PYTORCH}/made-{digits}.pth"
    downloads: list[Path] = []

    def download(urls: Urls, source: Url, *, public_only: bool = False) -> Path:
        downloads.append(urls._path(source))
        downloads[-1].parent.mkdir(parents=True, exist_ok=True)
        downloads[-1].write_bytes(DATA)
        return downloads[-1]

    monkeypatch.setattr(Urls, "download", download)
    sources = Sources(lock=read_lock(tmp_path / "no.lock"))
    if SHA.startswith(digits):
        assert sources.fetch(url).sha256 == SHA
        return
    with pytest.raises(IntegrityError, match="expected a sha256 that begins with 00000000"):
        sources.fetch(url)
    assert len(downloads) == 2  # it is downloaded once more
    assert not downloads[0].exists()

"""`zoo env`: what a bug report needs, and nothing that is private."""

import json
from pathlib import Path

import pytest
import torch

from harness.models import devices, machine
from harness.models.private_text import variable_without_secrets, without_secrets
from tests.helpers.project import Zoo


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder that another folder links to."""
    folder = tmp_path / "real" / "alice"
    folder.mkdir(parents=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "alice").symlink_to(folder)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home" / "alice")
    return folder


def test_the_home_folder_and_its_owner_are_not_named(home: Path) -> None:
    link = Path.home()
    assert without_secrets(f"{home}/a:{link}/b:{link}:{link}2") == f"~/a:~/b:~:{link}2"
    assert without_secrets("/scratch/alice/hub /scratch/alice2 file:///data/alice") == (
        "/scratch/USER/hub /scratch/alice2 file:///data/USER"
    )


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("HF_TOKEN", "abc", "***"),
        ("ZOO_API_KEY", "abc", "***"),
        ("HF_TOKEN", "", ""),
        ("ZOO_PASSPHRASE", "abc", "***"),
        ("ZOO_LOCK", "/data/hf_oauth_abcdefgh.ijkl.mnop", "/data/***"),
        ("HF_ENDPOINT", "https://hub/?Amz-Credential=AK/1", "https://hub/?Amz-Credential=***"),
        ("HF_ENDPOINT", "https://hub/#access_token=a", "https://hub/#access_token=***"),
        ("TOKENIZERS_PARALLELISM", "false", "false"),
        ("https_proxy", "http://me:p/a@ss@proxy:3128", "http://***@proxy:3128"),
        ("ALL_PROXY", "me:pass@proxy:3128", "***@proxy:3128"),
        ("HTTP_PROXY", "proxy:3128", "proxy:3128"),
        ("HF_ENDPOINT", "https://hub/?a=1&access_token=abc&b=2", "https://hub/?a=1&access_token=***&b=2"),
        ("ZOO_MIRROR", "/data/hf_abcdefghijkl", "/data/***"),
        ("CUDA_VISIBLE_DEVICES", "0,1", "0,1"),
    ],
)
def test_variables_are_shown_without_their_secrets(name: str, value: str, shown: str) -> None:
    assert variable_without_secrets(name, value) == shown


def test_env_prints_versions_devices_variables_and_folders(
    zoo: Zoo, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ZOO_MIRROR": f"{home}/mirror", "OMP_WAIT_POLICY": "PASSIVE", "MY_PASSWORD": "x"}.items():
        monkeypatch.setenv(name, value)
    data, text = json.loads(zoo("env", "--json").out), zoo("env").out
    assert (data["packages"]["torch"], data["torch"]["threads"]) == (
        torch.__version__.partition("+")[0],
        torch.get_num_threads(),
    )
    assert data["torch"]["devices"][0] == {"device": "cpu"}
    assert data["variables"]["ZOO_MIRROR"] == "~/mirror" and "MY_PASSWORD" not in data["variables"]
    assert data["folders"]["runs"]["free_bytes"] > 0
    for part in ("zoo       0.2.0, commit", "device    cpu\n", "\n  OMP_WAIT_POLICY", "~/mirror\n", " GiB free)\n"):
        assert part in text
    assert str(home) not in text


def test_env_works_if_torch_cannot_be_imported(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise OSError("libcudart.so.13: cannot open shared object file")

    monkeypatch.setattr(machine, "import_module", fail)
    completed = zoo("env")
    assert completed.code == 0
    assert "torch     fails: OSError: libcudart.so.13: cannot open" in completed.out


def test_env_lists_gpus_with_memory_and_compute_capability(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = {"device": "cuda:0", "name": "NVIDIA H100", "memory_bytes": 80 * 2**30, "compute_capability": "9.0"}
    monkeypatch.setattr(devices, "available_devices", lambda: [torch.device("cuda", 0)])
    monkeypatch.setattr(devices, "_device_details", lambda device: gpu)
    assert "\ndevice    cuda:0, NVIDIA H100, 80.0 GiB, compute capability 9.0\n" in zoo("env").out

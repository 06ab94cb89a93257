"""Identify the software that computes a result: this project's source, installed packages and the git commit.

This module does not import torch, so that cached runs can be looked up without it.
"""

import hashlib
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import harness
import zoo
from zoo.fetch.checksum import sha256

RECORDED_PACKAGES = (
    "zoo-reproduce", "torch", "torchvision", "transformers", "tokenizers", "datasets", "evaluate", "accelerate",
    "huggingface_hub", "safetensors", "scikit-learn", "scipy", "numpy", "pillow", "pycocotools", "timm",
)  # fmt: skip
"""The packages whose versions a record lists."""
RESULT_PACKAGES = (
    "torch", "torchvision", "transformers", "tokenizers", "datasets", "evaluate", "accelerate", "scikit-learn", "scipy",
    "numpy", "pandas", "pyarrow", "pillow", "pycocotools", "timm",
)  # fmt: skip
"""The packages that can change a prediction or a metric: a cached run is reused only under the same versions."""
CODE = "code:"
"""How the names of trusted modules begin in records."""


def code_packages(files: Iterable[str]) -> list[str]:
    """Return the packages of the trusted modules among the names of a record's files, each once."""
    modules = (name.removeprefix(CODE) for name in files if name.startswith(CODE))
    return list(dict.fromkeys(module.partition(".")[0] for module in modules))


@cache
def project_code_digest() -> str:
    """Return the SHA-256 of all Python files of `zoo` and `harness`, which prepare the data and compute the metrics."""
    digest = hashlib.sha256()
    for package in (Path(zoo.__file__).parent, Path(harness.__file__).parent):
        for path in sorted(package.rglob("*.py")):
            digest.update(f"{path.relative_to(package)} {sha256(path)}\n".encode())
    return digest.hexdigest()


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each package; packages that are not installed are left out."""
    versions = ((package, _version(package)) for package in packages)
    return {package: version for package, version in versions if version is not None}


@cache  # a running process keeps the code that it loaded, whatever is committed later
def git_commit(root: Path | None) -> tuple[str | None, bool | None]:
    """Return the commit of a git checkout and whether the checkout has uncommitted changes.

    Args:
        root: The folder of the checkout, or None if this project was not installed from one.

    Returns:
        The commit and whether anything differs from it; `(None, None)` outside a checkout or without git.
    """
    if root is None:
        return None, None
    try:
        commit, status = (
            subprocess.run(["git", "-C", root, *command], capture_output=True, text=True, check=True).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return commit, bool(status)


@cache
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def trusted_code(packages: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of every loaded module of the packages that the user trusts, as `code:MODULE`."""
    if not (packages := tuple(packages)):
        return {}
    loaded = [(name, getattr(module, "__file__", None)) for name, module in sorted(sys.modules.items())]
    files = {name: file for name, file in loaded if file and name.partition(".")[0] in packages}
    return {f"{CODE}{name}": sha256(Path(file)) for name, file in files.items()}

"""Make a folder read-only for a while: by its permissions, or for root, who ignores them, by a mount."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Refuse to write into a folder and its subfolders in the block. Skip the test for a root without mounts."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    is_mounted = os.access(folder, os.W_OK)
    if is_mounted and _run("mount", "--bind", folder, folder):
        pytest.skip("root may write everywhere here, and mount nothing")
    try:
        assert not is_mounted or _run("mount", "-o", "remount,bind,ro", folder) == 0
        yield
    finally:
        if is_mounted:
            _run("umount", folder)
        for path in folders:
            path.chmod(0o755)


def _run(*command: object) -> int:
    try:
        return subprocess.run([*map(str, command)], capture_output=True, check=False).returncode
    except FileNotFoundError:
        return 1

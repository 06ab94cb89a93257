"""Remove what no run of the GitHub Action needs from its downloads, and say under which key to save them.

The key ends with a digest of the files. The downloads are saved only if they differ from those that were restored:
GitHub never changes a saved cache, so each save adds a copy.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

KINDS = ("hub", "hub-other", "downloads")


def outputs(environment: Mapping[str, str]) -> dict[str, str]:
    """Prune the downloads, and return the outputs of the step: the key to save them under, and whether to save."""
    hub, home = Path(environment["HF_HOME"]) / "hub", Path(environment["ZOO_HOME"])
    kinds = [word for kind in KINDS for word in ("--kind", kind)]
    command = [sys.executable, "-P", "-m", "zoo", "--no-config", "cache", "prune", "--unused", *kinds, "--yes"]
    if subprocess.run(command, env=dict(environment), check=False).returncode:
        sys.stdout.write("::notice title=zoo::The downloads are not saved for later jobs: zoo could not prune them.\n")
        return {"key": "", "save": "false"}
    for partial in hub.rglob("*.incomplete"):  # of downloads that failed
        partial.unlink()
    files = sorted(files_below(hub, home / "downloads"))
    if not files:
        return {"key": "", "save": "false"}
    key = environment["KEY"] + hashlib.sha256("\n".join(files).encode()).hexdigest()[:16]
    return {"key": key, "save": str(key != environment["RESTORED_KEY"]).lower()}


def files_below(*folders: Path) -> Iterator[str]:
    """Yield the path and the size of each file. The names of downloaded files are, or contain, digests."""
    for folder in folders:
        for root, _, names in os.walk(folder):
            for path in (Path(root, name) for name in names if not name.endswith(".lock")):
                yield f"{path.relative_to(folder.parent).as_posix()} {path.lstat().st_size}"


if __name__ == "__main__":
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in outputs(os.environ).items())

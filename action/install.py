"""Install zoo for the GitHub Action: what the input names, else the action's own version with its pinned packages."""

import os
import shlex
import subprocess
import sys
from pathlib import Path


def requirements(wanted: str, action: Path) -> list[str]:
    """Return the arguments of `pip install`."""
    if wanted:
        return shlex.split(wanted)
    return [str(action), "--constraint", str(action / "constraints.txt")]


if __name__ == "__main__":
    arguments = requirements(os.environ["INPUT_ZOO"], Path(os.environ["ACTION_PATH"]))
    sys.exit(subprocess.call([sys.executable, "-P", "-m", "pip", "install", *arguments]))

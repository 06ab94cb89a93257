"""Where things are: in a checkout, or in an installed package."""

import os
from pathlib import Path

from platformdirs import user_data_path

PACKAGE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """The root of the checkout that this package runs from, or None when it is installed elsewhere."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "configs").is_dir() else None


def configs() -> Path:
    """The shipped recipes and the lock."""
    root = checkout()
    return root / "configs" if root else PACKAGE / "configs"


def lock() -> Path:
    """The committed lock."""
    return configs() / "zoo.lock"


def runs(chosen: Path | None = None) -> Path:
    """A user's own runs: `chosen`, else ZOO_HOME, else `runs/` in a checkout, else the user's data folder."""
    if chosen is not None:
        return chosen
    root = checkout()
    return root / "runs" if root and not os.environ.get("ZOO_HOME") else home() / "runs"


def evidence() -> Path:
    """The committed records."""
    return PACKAGE.parent / "leaderboard" / "records"


def home() -> Path:
    """A user's own files beside the runs: ZOO_HOME, else the user's data folder."""
    chosen = os.environ.get("ZOO_HOME")
    return Path(chosen).expanduser() if chosen else Path(user_data_path("zoo"))


def trusted() -> Path:
    """What this machine keeps to since it first saw it."""
    return home() / "trusted.json"


def data() -> dict[str, Path]:
    """Data sets that are local folders, by name: those in ZOO_DATA."""
    root = os.environ.get("ZOO_DATA")
    folder = Path(root).expanduser() if root else None
    return {path.name: path for path in folder.iterdir() if path.is_dir()} if folder and folder.is_dir() else {}

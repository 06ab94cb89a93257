"""Return the folders and files that zoo reads and writes, in a checkout or in an installed package."""

import os
from pathlib import Path

from platformdirs import user_data_path

PACKAGE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """Return the root of the checkout that this package runs from, or None if it is installed elsewhere."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "configs").is_dir() else None


def configs() -> Path:
    """Return the folder of the shipped recipes and the lock."""
    root = checkout()
    return root / "configs" if root else PACKAGE / "configs"


def docs() -> Path:
    """Return the folder of the documentation; an installed package has only the pages of verdicts and audits."""
    root = checkout()
    return root / "docs" if root else PACKAGE / "docs"


def json_schema(kind: str) -> Path:
    """Return the JSON Schema of a file format: `recipe` or `record`."""
    folder = PACKAGE / "recipes" if kind == "recipe" else PACKAGE.parent / "harness" / "records"
    return folder / f"{kind}.schema.json"


def lock() -> Path:
    """Return the committed lock."""
    return configs() / "zoo.lock"


def runs(chosen: Path | None = None) -> Path:
    """Return the folder of the user's runs.

    Args:
        chosen: The folder of `--records`. Without it: `runs/` in ZOO_HOME if that is set, else in a checkout, else in
            the user's data folder.
    """
    if chosen is not None:
        return chosen
    root = checkout()
    return root / "runs" if root and not os.environ.get("ZOO_HOME") else home() / "runs"


def evidence() -> Path:
    """Return the folder of the committed records."""
    return PACKAGE.parent / "leaderboard" / "records"


def home() -> Path:
    """Return the folder of the user's other files: ZOO_HOME if it is set, else the user's data folder."""
    chosen = os.environ.get("ZOO_HOME")
    return Path(chosen).expanduser() if chosen else Path(user_data_path("zoo"))


def trusted() -> Path:
    """Return the file with the checksums that this machine has trusted on first use."""
    return home() / "trusted.json"


def data() -> dict[str, Path]:
    """Return the local data sets: the name and path of every folder in ZOO_DATA."""
    root = os.environ.get("ZOO_DATA")
    folder = Path(root).expanduser() if root else None
    return {path.name: path for path in folder.iterdir() if path.is_dir()} if folder and folder.is_dir() else {}

"""Which files in the folder of a run the run wrote, and which are the user's. Never imports torch."""

from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from harness.records.record import FILE, Record
from harness.records.training_log import LOG, PICTURE
from harness.tracking.log_to import IDS
from zoo.files import final_name

CARD = "README.md"
"""The model card, as in `harness.runs.model_card`, which imports torch."""
WRITTEN = (
    FILE, CARD, "recipe.yaml", "claims.json", LOG, PICTURE, IDS, "model.safetensors", "predictions-*.npz",
    "checkpoint-*.pt", "checkpoint-*.damaged",
)  # fmt: skip
"""The files of a run whose record does not name them."""
BYTECODE = "__pycache__"
"""Python makes such a folder beside a module that is imported."""


def files_of_run(folder: Path) -> list[Path]:
    """Return all files and links in the folder of a run and its subfolders, sorted."""
    return [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]


def written_files(folder: Path, record: Record | None) -> list[Path]:
    """Return the files in the folder of a run that the run wrote, with temporary files of a killed process.

    Args:
        folder: The folder of the run, or of its checkpoints.
        record: Its record; None if there is none, or if it is damaged.
    """
    return [path for path in files_of_run(folder) if _is_written(path.relative_to(folder).as_posix(), record)]


def files_of_others(folder: Path, record: Record | None) -> list[Path]:
    """Return the files in the folder of a run that the run did not write; see `written_files`."""
    written = {*written_files(folder, record)}
    return [path for path in files_of_run(folder) if path not in written]


def _is_written(name: str, record: Record | None) -> bool:
    """Return whether a run wrote the file with this path in its folder."""
    path = PurePosixPath(name)
    if BYTECODE in path.parts:
        return True
    final = path.with_name(final_name(path.name)).as_posix()
    if record is None or not record.files:
        return any(fnmatchcase(final, pattern) for pattern in WRITTEN)
    predictions = (result.predictions["file"] for result in record.results)
    return final in {FILE, CARD, *record.files, *predictions}

"""Whether a run with code that the user trusts was made by the code of now, without importing that code."""

from importlib.util import find_spec
from pathlib import Path

from harness.fleet.journal import journal_of
from harness.fleet.plan_file import Plan
from harness.fleet.results import is_made
from harness.records.record import FILE, read_record
from zoo.errors import ZooError
from zoo.fetch.checksum import sha256

CODE = "code:"
"""How the names of trusted modules begin in records."""


def is_made_by_same_code(plan: Plan, index: int) -> bool:
    """Return whether the journal of a unit says that it is done, and the trusted modules of its runs are unchanged.

    The recipe is that of the plan. Data and weights are not looked at.
    """
    last = journal_of(plan, index).last()
    if last is None or not is_made(plan, last):
        return False
    try:
        records = [read_record(plan.records / name / FILE) for name in last.get("records", ())]
        files = [file for record in records for file in record.identity.sources["files"].items()]
        return all(_digest(name.removeprefix(CODE)) == digest for name, digest in files if name.startswith(CODE))
    except (ZooError, OSError, KeyError):
        return False


def _digest(module: str) -> str | None:
    """Return the SHA-256 of the file of a module; None if it is not found."""
    package, *inner = module.split(".")
    try:
        spec = find_spec(package)  # that of a package imports nothing
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin)
    if inner:
        file = file.parent.joinpath(*inner)
        file = file / "__init__.py" if file.is_dir() else file.with_name(f"{file.name}.py")
    return sha256(file) if file.is_file() else None

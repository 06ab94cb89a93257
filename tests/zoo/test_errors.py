"""Which error an exception becomes, by whose code raised it."""

import importlib
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.error_translation import translate_errors
from zoo.errors import InternalError, Mark, RecipeError, SourceError, UsageError, ZooError
from zoo.models import cifar_resnet
from zoo.text_tables import number
from zoo.tracebacks import report_address


def outcome_of(call: Callable[[], Any], *, library_errors_are_bugs: bool = False) -> ZooError:
    """Return the error that the call raises inside `translate_errors`."""
    with pytest.raises(ZooError) as raised, translate_errors("x", library_errors_are_bugs=library_errors_are_bugs):
        call()
    return raised.value


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module in a user's folder whose functions fail in different ways."""
    (tmp_path / "users_own_code.py").write_text(
        "import json\n"
        "from zoo.text_tables import finite\n"
        "def fails(): return None.shape\n"
        "def fails_in_a_library(): return json.loads('{')\n"
        "def calls_with_wrong_arguments(): return finite()\n"
        "def runs_out_of_memory(): raise MemoryError\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return importlib.import_module("users_own_code")


def test_an_exception_of_this_project_is_a_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    error = outcome_of(lambda: number("high"))  # type: ignore[arg-type]
    assert isinstance(error, InternalError)
    assert error.exit_code == 70
    (file,) = (tmp_path / "home").iterdir()
    assert f"the traceback is in {file}" in str(error)
    assert "\n" not in str(error)
    assert report_address() in str(error)


def test_users_code_is_a_usage_error_with_its_own_message(user_module: Any) -> None:
    for name, message in (
        ("fails", "x: AttributeError: 'NoneType' object has no attribute 'shape' (set ZOO_DEBUG=1"),
        ("fails_in_a_library", "x: JSONDecodeError: "),
        ("calls_with_wrong_arguments", "x: TypeError: finite() missing 1 required"),
    ):
        error = outcome_of(getattr(user_module, name), library_errors_are_bugs=True)
        assert type(error) is UsageError
        assert str(error).startswith(message)


def test_a_library_that_refuses_a_value_is_a_usage_error_unless_the_block_says_otherwise() -> None:
    call = lambda: cifar_resnet(depth=8, width=2, num_classes=10, in_channels=1)(torch.zeros(1, 3, 8, 8))  # noqa: E731
    assert type(outcome_of(call)) is UsageError
    assert type(outcome_of(call, library_errors_are_bugs=True)) is InternalError


def test_an_argument_that_this_project_refuses_is_a_usage_error() -> None:
    error = outcome_of(lambda: cifar_resnet(depth=9, width=2, num_classes=10, in_channels=1))
    assert type(error) is UsageError
    assert "depth must be 6n + 2" in str(error)


def test_missing_files_and_memory_are_source_errors(user_module: Any) -> None:
    error = outcome_of(lambda: Path("/nowhere/file").read_text())
    assert (type(error), str(error)) == (SourceError, "x: /nowhere/file: No such file or directory")
    error = outcome_of(user_module.runs_out_of_memory)
    assert (type(error), str(error)) == (SourceError, "x: out of memory")


def test_an_unwritable_home_saves_the_traceback_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    error = outcome_of(lambda: number("high"))  # type: ignore[arg-type]
    (file,) = tmp_path.glob("zoo-error-*.txt")
    assert f"the traceback is in {file}" in str(error)
    assert "ValueError" in file.read_text(encoding="utf-8")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    error = outcome_of(lambda: number("high"))  # type: ignore[arg-type]
    assert "its traceback could not be saved; set ZOO_DEBUG=1 to see it" in str(error)


def test_zoo_debug_lets_exceptions_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DEBUG", "1")
    with pytest.raises(ValueError, match="format"), translate_errors("x"):
        number("high")  # type: ignore[arg-type]


def test_errors_survive_pickling() -> None:
    mark = Mark(path="x.yaml", line=2, column=3)
    error = pickle.loads(pickle.dumps(RecipeError.at(mark, "unknown key")))  # noqa: S301
    assert (str(error), error.problems[0].mark) == ("x.yaml:2:3: unknown key", mark)

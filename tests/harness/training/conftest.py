"""A folder with a user's own module."""

import sys
from pathlib import Path

import pytest

from tests.helpers.user_module import USER_MODULE


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that can be imported from, with the module `mine`: an odd number of digits, and a perceptron."""
    (tmp_path / "mine.py").write_text(USER_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return tmp_path

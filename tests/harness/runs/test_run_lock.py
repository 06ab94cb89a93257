"""The lock of a run is free after everything that can end a command."""

from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator

from harness.runs import run_lock as module
from harness.runs.run_lock import run_lock


def test_a_signal_right_after_the_lock_was_taken_frees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    work, accelerator = tmp_path / "work", Accelerator(cpu=True)
    with monkeypatch.context() as patch:
        patch.setattr(module, "broadcast_object_list", interrupt)
        with pytest.raises(KeyboardInterrupt), run_lock(work, accelerator, print):
            pass
    assert list(tmp_path.iterdir()) == []
    with run_lock(work, accelerator, print):
        assert work.is_dir()

"""A closed or unencodable stdout never changes the exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.project import ROOT, Zoo


def shell(line: str, tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash with this project's `zoo`, and print the exit code of the first command last."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ZOO_HOME": str(tmp_path / "home"), **env}
    script = f'zoo() {{ "{sys.executable}" -m zoo "$@"; }}; {line}; echo "code ${{PIPESTATUS[0]}}" >&2'
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=True)


@pytest.mark.parametrize("command", ["list --json", "--help", "verify --help", "show digits-resnet8"])
def test_a_reader_that_stops_early_changes_nothing(command: str, tmp_path: Path) -> None:
    done = shell(f"zoo {command} | true", tmp_path)
    assert done.stderr == "code 0\n"


def test_a_closed_pipe_keeps_a_failing_exit_code(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("- a\n")
    done = shell(f"zoo list digits-resnet8 {tmp_path / 'bad.yaml'} | true", tmp_path)
    assert done.stderr.endswith("code 2\n")
    assert "bad.yaml:1:1" in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_was_closed_from_the_start_changes_nothing(closed: str, tmp_path: Path) -> None:
    done = shell(f"zoo list digits* {closed}", tmp_path)
    assert done.stderr == "code 0\n"
    assert ("digits-resnet14" in done.stdout) == (closed == "2>&-")


def test_messages_do_not_move_to_stdout_if_stderr_is_closed(tmp_path: Path) -> None:
    done = shell("zoo list nothing 2>&-", tmp_path)
    assert (done.stdout, done.stderr) == ("", "code 2\n")


@pytest.mark.parametrize(
    "env", [{"PYTHONIOENCODING": "ascii"}, {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}]
)
def test_an_ascii_stdout_shows_other_characters_as_escapes(
    env: dict[str, str], zoo_commands_process: Zoo, tmp_path: Path
) -> None:
    own = (ROOT / "configs/starter/digits-resnet8.yaml").read_text(encoding="utf-8") + "# d\u00e9j\u00e0 vu\n"
    (tmp_path / "own.yaml").write_text(own, encoding="utf-8")
    commands = ["--help"], ["verify", "--help"], ["list"], ["show", "own.yaml"]
    completed = zoo_commands_process(*commands, PYTHONUTF8="0", **env)
    assert (completed.code, completed.err) == (0, "")
    for text in ("Check published models", "--dry-run", "digits-resnet8_from_digits-resnet14", "name: digits-resnet8"):
        assert text in completed.out
    if "PYTHONIOENCODING" in env:
        assert r"d\xe9j\xe0 vu" in completed.out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    done = shell("zoo list > /dev/full", tmp_path)
    assert done.stderr == "zoo: No space left on device\ncode 4\n"

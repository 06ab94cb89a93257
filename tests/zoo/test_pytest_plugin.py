"""The fixture `zoo_verdict`, in a pytest of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.project import ROOT

TESTS = """\
def test_holds(zoo_verdict):
    assert zoo_verdict("digits-resnet8") == "reproduced"

def test_fails(zoo_verdict):
    assert zoo_verdict("digits-resnet8") == "not-reproduced"
"""


def run_pytest(folder: Path, text: str) -> str:
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.process
def test_a_failing_assertion_shows_the_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    text = run_pytest(tmp_path, TESTS)
    assert "1 failed, 1 passed" in text
    assert "'reproduced' == 'not-reproduced'" in text
    assert "The run has 879 of 898 right, as claimed" in text


@pytest.mark.process
def test_the_plugin_loads_nothing_heavy_when_it_is_unused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    test = (
        "import sys\n\ndef test_light():\n    assert not {'torch', 'pandas', 'numpy', 'zoo.api'} & set(sys.modules)\n"
        "    assert 'zoo.pytest_plugin' in sys.modules\n"
    )
    assert "1 passed" in run_pytest(tmp_path, test)

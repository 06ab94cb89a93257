"""Progress in a log: a line a minute, also while one step lasts."""

import time

import pytest

from zoo.cli import progress
from zoo.cli.progress import SweepReport, show_progress


def test_a_log_gets_lines_while_a_step_lasts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.01)
    seen = ""
    with show_progress("tiny: evaluate", "examples") as step:
        until = time.monotonic() + 60
        while "tiny: evaluate: 0 examples\n" not in seen and time.monotonic() < until:
            seen += capsys.readouterr().err
        step(1000, 2000)
        while "tiny: evaluate: 1,000 of 2,000 examples\n" not in seen and time.monotonic() < until:
            seen += capsys.readouterr().err
    assert "1,000 of 2,000" in seen


def test_a_sweep_counts_trusted_sources(capsys: pytest.CaptureFixture[str]) -> None:
    of_sweep = SweepReport()
    for message in ("hub:a/b at 0: trusted on first use", "a note", "hub:a/c at 0: trusted on first use"):
        of_sweep(message)
    of_sweep.finish()
    assert capsys.readouterr().err == "a note\n2 sources are trusted on first use\n"

"""Progress: lines in a log, also while one step lasts; bars on a terminal; estimates only where there is data."""

import io
import time
from contextlib import redirect_stderr

import pytest
from rich.console import Console

from zoo.cli import progress_display
from zoo.cli.progress import SweepReport
from zoo.cli.progress_display import Display
from zoo.cli.verbosity import verbosity
from zoo.cli.work import Work


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_nothing_is_estimated_before_there_is_data(clock: Clock) -> None:
    work = Work(name="tiny: train, seed 0", unit="steps", clock=clock)
    assert work.seconds_left is None
    clock.now = 5.0
    work.advance(500, 1000)  # by an earlier process
    assert work.seconds_left is None
    clock.now = 15.0
    work.advance(600, 1000)
    assert work.seconds_left == pytest.approx(40.0)
    assert str(work) == "tiny: train, seed 0: 600 of 1,000 steps, about 40 s left"
    assert work.entry == "tiny"


def test_an_estimate_runs_down_and_is_withdrawn_when_it_proves_wrong(clock: Clock) -> None:
    work = Work(name="all runs", unit="runs", clock=clock)
    work.advance(1, 3, "", 60.0)
    clock.now = 20.0
    assert work.seconds_left == pytest.approx(40.0)
    clock.now = 61.0
    assert work.seconds_left is None
    work.advance(3, 3)
    assert (work.seconds_left, work.entry) == (0.0, None)


def test_a_log_gets_lines_while_a_step_lasts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_display, "SECONDS_BETWEEN_LINES", 0.01)
    display, seen, until = Display(), "", time.monotonic() + 60
    with display.show("all runs", "runs") as job, display.show("tiny: evaluate", "examples") as step:
        job(0, 2)
        while "all runs: 0 of 2 runs; tiny: evaluate: 0 examples\n" not in seen and time.monotonic() < until:
            seen += capsys.readouterr().err
        step(1000, 2000, "loss 0.5")
        while "tiny: evaluate: 1,000 of 2,000 examples, loss 0.5\n" not in seen and time.monotonic() < until:
            seen += capsys.readouterr().err
    assert "1,000 of 2,000" in seen


def test_quiet_commands_show_no_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress_display, "SECONDS_BETWEEN_LINES", 0.001)
    with verbosity(verbose=False, quiet=True), Display().show("tiny: evaluate", "examples") as step:
        step(1, 2)
        time.sleep(0.02)
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of 80 columns, for stderr."""
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


def drawn(display: Display, width: int) -> list[str]:
    """Return the lines that a display draws in a terminal of this width."""
    assert display._bars is not None
    display._bars.console.width = width
    console = Console(width=width, file=io.StringIO())
    console.print(display._bars.get_renderable())
    return str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]


def test_a_terminal_shows_a_bar_for_the_job_and_one_for_the_run(terminal: Terminal) -> None:
    display = Display()
    with (
        redirect_stderr(terminal),
        display.show("all runs", "runs") as job,
        display.show("tiny: train, seed 0", "steps") as step,
    ):
        job(1, 3, "", 75.0)
        step(10, 40, "loss 0.5")
        with display.show("tiny: evaluate", "examples"):
            in_three_works = drawn(display, 80)
        lines = drawn(display, 80)
    assert lines[0].startswith("all runs ") and lines[0].rstrip().endswith(("0:01:15", "0:01:14"))
    assert "1/3 runs" in lines[0]
    assert lines[1].startswith("tiny: train, seed 0") and "10/40 steps" in lines[1] and "-:--:--" in lines[1]
    assert [line.split("━")[0].strip() for line in in_three_works] == ["all runs", "tiny: evaluate"]
    assert {len(lines), len(in_three_works)} == {2}
    assert "\x1b[" in terminal.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_training_with_a_long_name_has_one_line_for_its_bar_and_one_for_its_loss(
    width: int, terminal: Terminal
) -> None:
    display = Display()
    name = "bert-base-uncased-mnli_from_bert-large-uncased-mnli: train, seed 1000"
    with redirect_stderr(terminal), display.show(name, "steps") as step:
        step(6_117, 12_000, "epoch 12 of 400, loss 0.5" + ", accuracy on validation 0.5" * 4)
        bar, note = drawn(display, width)
    assert "…: train, seed 1000 " in bar
    assert "6,117/12,000 steps" in bar
    assert "━━" in bar
    assert note.startswith("epoch 12 of 400, loss 0.5")
    assert max(len(bar), len(note)) <= width


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("FORCE_COLOR", "1")])
def test_no_bar_is_drawn_where_the_cursor_cannot_move(
    name: str, value: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    if name == "FORCE_COLOR":
        monkeypatch.setattr(terminal, "isatty", lambda: False)
    with redirect_stderr(terminal), Display().show("tiny: evaluate", "examples") as step:
        step(1, 2)
    assert terminal.getvalue() == ""


def test_a_sweep_counts_trusted_sources(capsys: pytest.CaptureFixture[str]) -> None:
    of_sweep = SweepReport()
    for message in ("hub:a/b at 0: trusted on first use", "a note", "hub:a/c at 0: trusted on first use"):
        of_sweep(message)
    of_sweep.finish()
    assert capsys.readouterr().err == "a note\n2 sources are trusted on first use\n"

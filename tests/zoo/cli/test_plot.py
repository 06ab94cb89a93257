"""zoo plot: which runs it finds, what it draws, and its errors."""

import json
import re
import shlex
from pathlib import Path

import pytest

import zoo
from tests.helpers.curves import write_log
from tests.helpers.project import ROOT
from zoo.cli.app import main

SEEDS = "digits-resnet8_from_digits-resnet14"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Search the runs of each test in a separate folder, and write pictures there."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def plot(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["zoo", "plot", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(str(end.value.code))


def test_folders_of_stopped_trainings_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(write_log(tmp_path / name, stages=stages).parent) for name, stages in (("naïve", 1), ("模型", 2))]
    assert plot(monkeypatch, *folders, "--out", "both.svg", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert [run["name"] for run in data["runs"]] == ["naïve", "模型"]
    assert data["panels"] == ["loss", "learning rate", "accuracy on test"]
    assert (data["out"], data["without_log"]) == ("both.svg", [])
    assert "模型" in Path("both.svg").read_text(encoding="utf-8")


def test_an_entry_is_drawn_with_its_seeds_against_the_claim(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plot(monkeypatch, SEEDS) == 0
    assert "written: plot.svg" in capsys.readouterr().err
    assert re.search(r"claimed 0\.9\d+", Path("plot.svg").read_text(encoding="utf-8"))


def test_a_committed_record_without_a_log_shows_the_seeds_of_its_entry(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = next((ROOT / "leaderboard/records/spkd").iterdir())
    assert plot(monkeypatch, str(record), "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["runs"], data["without_log"]) == ([], [str(record)])
    assert len(data["panels"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "no entry 'nope'.*`zoo runs` lists yours"),
        ([SEEDS, "--only", "sedes"], "did you mean seeds"),
        (["curves.svg"], "write `zoo plot RUN --out curves.svg`; RUN is the folder of a run"),
        ([SEEDS, "curves.svg", "--out", "a.svg"], "curves.svg is the name of a picture, not a run"),
        (["reviews.csv"], "there is no such file, and a recipe ends in"),
        ([SEEDS, "--out", "a.jpg"], r"ends in \.svg, \.png or \.pdf"),
        (["bert-base-uncased-mrpc"], "nothing to draw"),
        ([f"{SEEDS}:77"], "no run"),
    ],
)
def test_errors_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert plot(monkeypatch, *arguments) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not Path("plot.svg").exists()


def test_a_picture_in_the_place_of_a_run_leads_to_the_right_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("my curves.svg").touch()
    assert plot(monkeypatch, SEEDS, "my curves.svg") == 2
    command = capsys.readouterr().err.split("`")[1]
    assert plot(monkeypatch, *shlex.split(command)[2:]) == 0
    assert Path("my curves.svg").stat().st_size


def test_the_python_api_returns_a_figure_and_writes_it(tmp_path: Path) -> None:
    folder = write_log(tmp_path / "run").parent
    figure = zoo.plot(folder, only="lr", out=tmp_path / "lr.png")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["learning rate"]
    assert (tmp_path / "lr.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(zoo.UsageError, match="name a run"):
        zoo.plot()

"""The nightly verification of published weights: its order, its waits after failures, and two nights on a local Hub."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.live import __main__ as live
from benchmarks.live import attempts, commands, storage
from benchmarks.live.candidates import evaluable, missing_data
from benchmarks.live.commands import Verification
from benchmarks.live.night import Night
from benchmarks.live.report import verdicts
from benchmarks.live.rotation import Candidate, expected_seconds, in_order
from leaderboard import table
from tests.helpers.glue_hub import fill_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import CHECKOUT_FOLDERS, ROOT

TODAY = date(2026, 12, 1)
SMALL = Candidate(name="small", suite="glue", rows=100, size=10)
LARGE = Candidate(name="large", suite="glue", rows=100, size=1000)
OLD = Candidate(name="old", suite="cifar10", rows=1, size=1, verified=date(2026, 1, 1))
NEW = Candidate(name="new", suite="cifar10", rows=1, size=1, verified=date(2026, 11, 1))


def names(candidates: list[Candidate]) -> list[str]:
    return [candidate.name for candidate in candidates]


def test_unverified_entries_come_first_then_the_oldest_and_cheap_ones_before_dear_ones() -> None:
    assert names(in_order([NEW, OLD, LARGE, SMALL], TODAY)) == ["small", "large", "old", "new"]


def test_an_entry_of_unknown_size_comes_after_those_of_known_size() -> None:
    unknown = Candidate(name="a", suite="glue", rows=100, size=None)
    assert names(in_order([unknown, LARGE, SMALL], TODAY)) == ["small", "large", "a"]


def test_the_expected_time_follows_entries_of_the_same_suite_that_were_timed() -> None:
    timed = Candidate(name="timed", suite="glue", rows=10, size=10, seconds=5.0)
    other = Candidate(name="other", suite="cifar10", rows=10, size=10, seconds=500.0)
    assert expected_seconds(SMALL, [timed, other]) == 50.0
    assert expected_seconds(SMALL, [other]) == 5000.0
    assert expected_seconds(SMALL, [LARGE]) is None


def test_an_entry_that_fails_waits_twice_as_long_each_time() -> None:
    attempt, waits = None, []
    for _ in range(7):
        attempt = attempts.failed(attempt, TODAY, "no such file")
        waits.append((attempt.next_try - TODAY).days)
    assert waits == [2, 4, 8, 16, 32, 32, 32]
    assert attempts.succeeded(TODAY, 1.0).next_try == TODAY


def test_attempts_are_read_as_they_were_written(tmp_path: Path) -> None:
    before = attempts.failed(attempts.succeeded(TODAY, 12.5), TODAY + timedelta(days=1), "the server is down")
    attempts.write_attempts(tmp_path / "attempts.json", {"mrpc": before})
    assert attempts.read_attempts(tmp_path / "attempts.json") == {"mrpc": before}
    assert attempts.read_attempts(tmp_path / "lost.json") == {}


def run_night(night: Night, candidates: list[Candidate], *, broken: str = "", seconds: float = 1000.0) -> list[str]:
    def verify(name: str, runs: Path, seconds: float) -> Verification:
        return Verification(problem="no such file" if name == broken else "")

    return [*night.run(candidates, Path("runs"), verify, seconds=seconds, most=2)]


def test_a_broken_entry_does_not_hold_up_the_rotation() -> None:
    night = Night(today=TODAY, attempts={})
    assert run_night(night, [SMALL, LARGE, OLD], broken="small") == ["small", "large"]
    assert (night.verified, night.failed) == (["large"], ["small"])
    again = [Candidate(**{**vars(each), "next_try": night.attempts[each.name].next_try}) for each in (SMALL, LARGE)]
    assert "small" not in names(in_order(again, TODAY + timedelta(days=1)))
    assert "small" in names(in_order(again, TODAY + timedelta(days=2)))


def test_an_entry_that_takes_too_long_is_left_out_and_a_shorter_one_is_tried() -> None:
    slow = Candidate(name="slow", suite="glue", rows=1000, size=1, seconds=2000.0)
    night = Night(today=TODAY, attempts={})
    assert run_night(night, [slow, OLD]) == ["old"]
    assert night.too_long == ["slow"]


def test_no_entry_is_started_in_the_last_minute() -> None:
    assert run_night(Night(today=TODAY, attempts={}), [SMALL], seconds=59.0) == []


def test_the_41_entries_are_chosen_and_the_one_on_imagenet_is_skipped() -> None:
    entries = evaluable([])
    assert len(entries) == 41
    reasons = {entry.name: why for entry in entries if (why := missing_data(entry))}
    assert reasons == {
        "ilsvrc2012-resnet18_from_resnet34": "data:ilsvrc2012 is not free to download: its owner asks for an account or"
        " a licence"
    }


@pytest.mark.process
def test_without_an_answer_in_time_no_size_is_known_and_the_night_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.download_sizes(["digits-resnet8"]) == {"digits-resnet8": 0}
    monkeypatch.setattr(commands, "SIZES_SECONDS", 0.01)
    assert commands.download_sizes(["digits-resnet8"]) == {}
    assert "the servers did not answer in 0 s" in capsys.readouterr().err


def cached(folder: Path, name: str, size: int) -> Path:
    """Make a repository in a cache of the Hub."""
    commit = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    snapshot = folder / name / "snapshots" / commit
    (folder / name / "blobs").mkdir(parents=True)
    (folder / name / "refs").mkdir()
    snapshot.mkdir(parents=True)
    (folder / name / "blobs" / "a").write_bytes(bytes(size))
    (folder / name / "refs" / "main").write_text(commit)
    (snapshot / "file").symlink_to(folder / name / "blobs" / "a")
    return folder / name


def test_weights_are_deleted_after_use_and_data_stays_below_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "downloads").mkdir(parents=True)
    cache = tmp_path / "cache"
    storage.delete_weights(cache)  # nothing was downloaded
    model, glue, cifar = (cached(cache, name, 1000) for name in ("models--a--b", "datasets--a--g", "datasets--a--c"))
    os.utime(glue / "blobs" / "a", (0, 0))
    storage.delete_weights(cache)
    assert [path.exists() for path in (model, glue, cifar, tmp_path / "home" / "downloads")] == [
        False,
        True,
        True,
        False,
    ]
    storage.keep_below(cache, 2000)
    assert glue.exists()
    storage.keep_below(cache, 1500)
    assert (glue.exists(), cifar.exists()) == (False, True)


@pytest.mark.parametrize("hours", ["4.6", "0", "nan"])
def test_hours_beyond_the_time_of_the_job_are_refused(hours: str, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--runs=runs", "--attempts=attempts", "--report=report"]
    with pytest.raises(SystemExit):
        live.main([*files, f"--hours={hours}"])
    assert f"argument --hours: {hours} is not between 0 and 4.5" in capsys.readouterr().err


def test_every_claim_of_an_entry_has_a_verdict_also_with_the_same_split_and_metric(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = evaluable(["bert-base-uncased-rte"])[0]
    claim = {"entry": entry.name, "of": "weights", "split": "validation", "metric": "accuracy"}
    rows = pd.DataFrame([{**claim, "source": source} for source in ("a paper", "a card")])
    monkeypatch.setattr(table, "rows", lambda *_: rows)
    assert [row["source"] for row in verdicts(Path(), [entry]).values()] == ["a paper", "a card"]


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub() as server:
        yield fill_hub(server)


@pytest.mark.slow
@pytest.mark.process
def test_two_nights_verify_different_entries_and_add_their_records(hub: LocalHub, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for folder in (*CHECKOUT_FOLDERS, "benchmarks", "docs"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("records", "__pycache__"))
    shutil.copytree(ROOT / "harness" / "records", checkout / "harness" / "records", dirs_exist_ok=True)
    shutil.copyfile(ROOT / "pyproject.toml", checkout / "pyproject.toml")
    records = checkout / "leaderboard" / "records"
    records.mkdir()
    hub.fault("/bert-base-uncased-wnli/resolve/", "status", status=404, times=1000)  # the smallest of the three
    entries = [f"bert-base-uncased-{task}" for task in ("wnli", "mrpc", "rte")]

    def night(day: int, *more: str) -> str:
        environment = {
            **os.environ, "PYTHONPATH": str(checkout), "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "cache"),
            "ZOO_HOME": str(tmp_path / "home"), "ZOO_LOCK": str(tmp_path / "zoo.lock"), "ZOO_DEADLINE": "20",
        }  # fmt: skip
        files = {name: str(tmp_path / name) for name in ("attempts", "report")}
        options = [f"--{name}={path}" for name, path in files.items()]
        command = [
            sys.executable, "-m", "benchmarks.live", *entries, *options, f"--runs={tmp_path / f'runs{day}'}",
            "--most=2", f"--date=2026-12-0{day}", *more,
        ]  # fmt: skip
        done = subprocess.run(command, cwd=checkout, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return Path(files["report"]).read_text(encoding="utf-8")

    def recorded() -> list[str]:
        return sorted(path.name for path in records.iterdir())

    first = night(1)
    assert recorded() == ["bert-base-uncased-rte"]
    assert re.search(r"\| bert-base-uncased-rte +\| accuracy on validation +\| 0\.6750903 +\|.*\| not-run +\|", first)
    assert "**not-compared**" in first  # the data on the local Hub has seven rows
    assert re.search(r"\| bert-base-uncased-wnli +\| 1 +\| 2026-12-03 +\|", first)
    page = (checkout / "leaderboard" / "suites" / "glue.md").read_text(encoding="utf-8")
    assert "(../records/bert-base-uncased-rte)" in page
    check = [sys.executable, "-m", "zoo", "leaderboard", "--check"]
    checked = subprocess.run(
        check,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr

    proposed = tmp_path / "proposed"
    records.rename(proposed)  # the pull request is still open
    records.mkdir()
    second = night(2, f"--proposed={proposed}")
    assert recorded() == ["bert-base-uncased-mrpc", "bert-base-uncased-rte"]
    assert "Verified tonight: bert-base-uncased-mrpc, bert-base-uncased-rte." in second
    assert not re.search("Failed|Not added", second)  # the broken entry waits
    assert not [*(tmp_path / "cache").glob("models--*")]

"""The Python API: lazy imports, results as tables, errors, and the examples of the docstrings."""

import doctest
import subprocess
import sys
from dataclasses import FrozenInstanceError
from inspect import signature
from pathlib import Path

import pytest
from typing_extensions import get_type_hints

import zoo
import zoo.api
from tests.helpers.project import ROOT, TINY, Write
from zoo.api.arguments import RunArguments
from zoo.recipes.options import RunOptions, SourceOptions

WEIGHTS = ROOT / "zoo/starter/digits-resnet8.safetensors"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store the runs of each test in a separate folder."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.process
def test_importing_zoo_loads_no_other_module_of_the_project() -> None:
    code = "import sys, zoo; dir(zoo); print(sorted(m for m in sys.modules if m.split('.')[0] in ('zoo', 'torch')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "['zoo']\n"


def test_every_public_name_exists_and_others_do_not() -> None:
    assert all(getattr(zoo, name) for name in zoo.__all__)
    assert set(zoo.__all__) <= set(dir(zoo))
    with pytest.raises(AttributeError, match="module 'zoo' has no attribute 'reprodcue'"):
        zoo.reprodcue  # noqa: B018


@pytest.mark.parametrize("name", ["reproduce", "verify", "evaluate", "list_entries", "plot"])
def test_the_example_of_each_docstring_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    examples = doctest.DocTestFinder(recurse=False).find(getattr(zoo.api, name), name, globs={})
    assert sum(len(example.examples) for example in examples) >= 2
    for example in examples:
        assert doctest.DocTestRunner().run(example).failed == 0, capsys.readouterr().out


def test_every_option_of_the_command_line_is_a_keyword_argument() -> None:
    options = {*signature(RunOptions).parameters, *signature(SourceOptions).parameters}
    assert set(get_type_hints(RunArguments)) == options


def test_the_starter_suite_is_reproduced_in_six_rows(capsys: pytest.CaptureFixture[str]) -> None:
    result = zoo.verify(suite="starter")
    table = result.to_frame()
    assert list(table["verdict"]) == ["reproduced"] * 6
    assert result.verdict == "reproduced"
    assert list(result.claims_frame()["entry"]) == list(table["entry"])
    assert len(result.records) == 6
    assert capsys.readouterr() == ("", "")


def test_a_retraining_returns_its_verdict_claims_and_tables(recipe_file: Write) -> None:
    claim = "{of: retrain, split: test, metric: accuracy, value: 0.999, sigma: 0.02, reference_runs: 10, source: x}"
    result = zoo.reproduce(str(recipe_file(TINY + f"claims:\n  - {claim}\n")), train=True, seeds=3)
    assert result.verdict == "not-reproduced"
    (judgement,) = result.claims
    assert (judgement.claim.value, len(judgement.values)) == (0.999, 3)
    row = result.claims_frame().iloc[0]
    assert (row["entry"], row["claimed"], row["measured"]) == ("tiny", 0.999, judgement.measured)
    assert result.to_frame().iloc[0]["runs"] == 3
    with pytest.raises(FrozenInstanceError):
        result.outcomes = ()  # type: ignore[misc]


def test_training_returns_scores_and_evaluation_repeats_them(recipe_file: Write, tmp_path: Path) -> None:
    path = str(recipe_file())
    trained = zoo.train(path, seed=1, out=tmp_path / "mine", save_every=0)
    assert trained.record == tmp_path / "mine" / "record.json"
    evaluated = zoo.evaluate(tmp_path / "mine", as_entry=path)
    assert evaluated.scores[0].value == trained.scores[0].value
    assert list(trained.to_frame().columns) == ["split", "metric", "value", "n", "epoch"]
    assert list(evaluated.to_frame().columns) == ["split", "metric", "value", "claimed", "n"]


def test_evaluation_shows_what_the_entry_claims() -> None:
    (score,) = zoo.evaluate(WEIGHTS, as_entry="digits-resnet8").scores
    assert (score.claimed, score.n) == (0.9788419, 898)


def test_entries_are_listed_with_their_claims() -> None:
    entries = zoo.list(suite="starter")
    assert len(entries) == len(entries.to_frame()) == 6
    assert set(entries.claims_frame()["of"]) == {"weights", "retrain"}


def test_wrong_usage_raises_a_usage_error() -> None:
    with pytest.raises(zoo.UsageError, match="no entry 'digits-resnet9'; did you mean"):
        zoo.reproduce("digits-resnet9")
    with pytest.raises(zoo.UsageError, match="nothing to do"):
        zoo.verify()
    with pytest.raises(zoo.UsageError, match="no such file or folder"):
        zoo.verify("digits-resnet8", data={"cifar10": "nowhere"})


def test_an_entry_that_fails_raises_in_reproduce_and_is_a_row_in_verify(recipe_file: Write) -> None:
    path = str(recipe_file(TINY + "weights: file:nowhere.safetensors\n"))
    result = zoo.verify("digits-resnet8", path)
    assert list(result.to_frame()["verdict"]) == ["reproduced", "not-run"]
    assert "nowhere.safetensors" in result.to_frame()["error"][1]
    with pytest.raises(zoo.SourceError, match=r"nowhere\.safetensors"):
        zoo.reproduce("digits-resnet8", path)


def test_a_bug_raises_an_internal_error_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.runs.recorder.environment", None)
    with pytest.raises(zoo.InternalError, match="digits-resnet8: internal error: TypeError") as raised:
        zoo.reproduce("digits-resnet8")
    assert isinstance(raised.value.__cause__, TypeError)

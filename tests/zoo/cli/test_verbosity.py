"""--quiet prints results and errors only; --verbose also requests, existing runs and choices."""

import logging
from pathlib import Path

import pytest

from tests.helpers.project import TINY, Write, Zoo
from zoo.cli import render
from zoo.cli.verbosity import verbosity


def test_quiet_hides_notes_but_no_error(zoo: Zoo, recipe_file: Write) -> None:
    good = ["train", recipe_file(), "--device", "auto"]
    assert "--device auto: computing on" in zoo(*good, "--fresh").err
    quiet = zoo(*good, "--fresh", "-q")
    assert (quiet.code, quiet.err) == (0, "")
    assert "accuracy" in quiet.out
    bad = zoo("verify", recipe_file(TINY.replace("epochs: 1", "epochs: many"), name="bad.yaml"), "--quiet")
    assert (bad.code, len(bad.lines)) == (2, 1)
    assert "'many'" in bad.err


def test_verbose_names_runs_that_exist_and_options_of_the_configuration_file(zoo: Zoo) -> None:
    Path("zoo.toml").write_text('device = "cpu"\n')
    first, second = zoo("verify", "digits-resnet8", "-v"), zoo("verify", "digits-resnet8", "--verbose")
    assert "/zoo.toml: --device cpu\n" in first.err
    assert "embedded:digits-resnet8.safetensors: weights from " in first.err
    assert "digits-resnet8: the run exists, and its inputs have not changed: " in second.err
    assert second.out == first.out
    assert zoo("verify", "digits-resnet8").err == ""


def test_both_at_once_are_refused_and_a_command_leaves_no_level_behind(zoo: Zoo) -> None:
    level = logging.getLogger("zoo").level
    assert zoo("list", "-q", "-v").err == "--verbose and --quiet exclude each other\n"
    zoo("list", "digits-resnet8", "-v")
    zoo("list", "digits-resnet8", "-q")
    assert (logging.getLogger("zoo").level, logging.getLogger("zoo").handlers) == (level, [])


def test_requests_are_shown_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    with verbosity(verbose=True, quiet=False):
        logging.getLogger("httpx2").info("HTTP Request: GET https://hub/a?X-Amz-Signature=abc")
        logging.getLogger("urllib3.connectionpool").debug("Starting new HTTPS connection (1): hub:443")
    logging.getLogger("httpx2").info("HTTP Request: GET https://hub/b")
    assert capsys.readouterr().err == "HTTP Request: GET https://hub/a?X-Amz-Signature=***\n"


@pytest.mark.parametrize(
    ("variables", "colors"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False)],
)
def test_a_pipe_gets_colors_only_if_they_are_forced(
    variables: dict[str, str], colors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert render.has_colors() == colors

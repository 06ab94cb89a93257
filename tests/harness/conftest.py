"""Fixtures of tests that call the harness without the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.runs.experiment import Experiment, RunContext
from tests.helpers.small_texts import run_context, text_experiment


@pytest.fixture
def context(tmp_path: Path) -> Iterator[RunContext]:
    """The context of a run on the device of the tests, whose files all lie in the folder of the test."""
    with run_context(tmp_path) as context:
        yield context


@pytest.fixture
def experiment(context: RunContext) -> Experiment:
    """The experiment of the smallest text entry."""
    return text_experiment(context)

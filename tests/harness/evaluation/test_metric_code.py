"""The code of metrics in the identity of a run: what changes it, and what must not."""

import hashlib
import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import answer_metrics, detection_metrics, entity_metrics, metrics
from harness.evaluation.metric_code import metric_code
from zoo.tasks.answer_readout import AnswerReadout
from zoo.tasks.base import Task
from zoo.tasks.detections import Detections
from zoo.tasks.pixel_counts import PixelCounts
from zoo.tasks.word_tags import WordTags

PLAIN = Task(name="plain", splits={}, scored=(), metrics=())
RECORDS = Path(__file__).parents[3] / "leaderboard" / "records"
WITHOUT_HELPERS = ("pearson", "spearman")
"""The committed records of these are older than the rule that a metric's code includes its helpers."""
ANSWERS = AnswerReadout(null_token=None, n_best=20, max_answer_length=30, version_2=False, null_threshold=0.0)


def code_of(metric: Any, readout: Any = None) -> str:
    kind: Any = "classification" if readout is None else "structured"
    task = Task(name="a task", splits={}, scored=(), metrics=(), kind=kind, readout=readout)
    return metric_code({"score": metric}, task)["score"]


def test_the_committed_records_have_the_code_of_todays_metrics() -> None:
    recorded = {
        item for path in RECORDS.glob("*/*/record.json") for item in json.loads(path.read_text())["metric_code"].items()
    }
    names = {name for name, _ in recorded}
    today = metric_code({name: getattr(metrics, name) for name in names}, PLAIN)
    earlier = {name: hashlib.sha256(inspect.getsource(getattr(metrics, name)).encode()) for name in WITHOUT_HELPERS}
    assert {"accuracy", "f1", "pearson"} <= names
    assert recorded == set({**today, **{name: digest.hexdigest() for name, digest in earlier.items()}}.items())


@pytest.mark.parametrize(
    ("metric", "readout", "module", "text"),
    [
        (detection_metrics.average_precision, Detections(), "harness.detection_metrics", "linspace(0.0, 1.0, 101)"),
        (detection_metrics.average_precision, Detections(), "harness.detection_metrics", 'side="left"'),
        (detection_metrics.average_precision, Detections(), "harness.detection_matches", "MOST_DETECTIONS = 100"),
        (detection_metrics.average_precision, Detections(), "harness.detection_matches", 'result["dtIgnore"]'),
        (detection_metrics.average_precision, Detections(), "zoo.tasks.detections", "return logits"),
        (entity_metrics.entity_f1, WordTags(scheme="", width=8), "zoo.tasks.entities", '("BI", "OB", None)'),
        (entity_metrics.entity_f1, WordTags(scheme="", width=8), "zoo.tasks.word_tags", "true & predicted"),
        (answer_metrics.answer_f1, ANSWERS, "zoo.tasks.answer_readout", "length >= 1"),
        (answer_metrics.answer_f1, ANSWERS, "zoo.tasks.answer_scores", "a|an|the"),
        (metrics.mean_iou, PixelCounts(), "zoo.tasks.pixel_counts", "labels != IGNORED"),
    ],
)
def test_another_text_of_what_a_metric_needs_is_another_code(
    metric: Any, readout: Any, module: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, getsource = code_of(metric, readout), inspect.getsource
    assert before == code_of(metric, readout)

    def changed(item: Any) -> str:
        source = getsource(item)
        return source.replace(text, text + "  ") if item is sys.modules[module] else source

    assert text in getsource(sys.modules[module])
    monkeypatch.setattr(inspect, "getsource", changed)
    assert code_of(metric, readout) != before


THEIRS = """
SCALE = 1.0

def score(predictions, labels):
    return sum([_of_one(p) for p in predictions])

def _of_one(p):
    return _scaled(p)

def _scaled(p):
    return SCALE * p

def unused(p):
    return p
"""


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("return _scaled(p)", "return -_scaled(p)", False),
        ("= 1.0", "= 2.0", False),
        ("  return p", "  return -p", True),
    ],
)
def test_helpers_and_constants_of_a_users_metric_are_part_of_its_code(
    old: str, new: str, is_same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A helper that only a comprehension calls counts in each version of Python."""
    monkeypatch.syspath_prepend(tmp_path)
    codes = []
    for name, text in (("first_metric", THEIRS), ("second_metric", THEIRS.replace(old, new))):
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        codes.append(code_of(importlib.import_module(name).score))
        del sys.modules[name]
    assert (codes[0] == codes[1]) is is_same

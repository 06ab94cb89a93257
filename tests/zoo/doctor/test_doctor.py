"""Hazards: for each a recipe that has it, with its line, and one that does not; and those of the shipped entries."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.diagnosis.diff import find_record
from harness.records.arrays import read_arrays
from tests.helpers.project import ROOT, TINY
from zoo.doctor import examine
from zoo.doctor.hazards import NAMES, Hazard, lines
from zoo.fetch.hub import Hub
from zoo.fetch.lock import FilePin, Lock, Pin
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue, public_data

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HEAD, _, STAGES = TINY.partition("stages:\n")
GLUE = "task: {use: glue, name: rte, data: hub:datasets/nyu-mll/glue}"
CLASSIFIER = "model: {use: sequence_classifier, num_labels: 2}\n"
Find = Callable[..., list[Hazard]]


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """Sources with an empty lock and no pins of a first use; no request may reach the Hub."""
    return Sources(lock=Lock(tmp_path / "zoo.lock", {}, tmp_path / "trusted.json"), data={})


@pytest.fixture
def find(tmp_path: Path, sources: Sources) -> Find:
    """Return the hazards of a recipe, or only those of one code."""

    def examined(text: str, code: str | None = None, pins: dict[str, Pin] | None = None) -> list[Hazard]:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        sources.lock = Lock(tmp_path / "zoo.lock", pins or {}, tmp_path / "trusted.json")
        return [hazard for hazard in examine(catalogue.local(path), sources) if code in (None, hazard.code)]

    return examined


def claimed(*claims: str, head: str = HEAD, stages: str = STAGES, weights: str = "") -> str:
    trained = f"stages:\n{stages}" if stages else ""
    return head + weights + trained + "claims:\n" + "".join(f"  - {{{claim}}}\n" for claim in claims)


WEIGHTS = "of: weights, split: test, metric: accuracy, value: 0.9, decimals: 4, source: here"
RETRAIN = "of: retrain, split: test, metric: accuracy, value: 0.9, sigma: 0.01, source: seed 3"


def test_a_good_recipe_has_no_hazard(find: Find) -> None:
    assert find(claimed(RETRAIN)) == []


def test_no_shipped_entry_has_an_error_and_offline_suites_have_no_hazard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    sources = Sources()
    for entry in catalogue.entries():
        hazards = examine(entry, sources)
        assert not [hazard for hazard in hazards if hazard.severity == "error"]
        assert not [hazard for hazard in hazards if (hazard.code, hazard.severity) == ("D306", "warning")]
        assert entry.suite not in ("starter", "methods") or hazards == []


@pytest.mark.parametrize(
    ("weights", "pins", "is_reported"),
    [
        ("hub:a/b", {}, True),
        ("hub:a/b@main", {}, True),
        (f"hub:a/b@{COMMIT}", {}, False),
        ("hub:a/b", {"hub:a/b": Pin(revision=COMMIT)}, False),
        ("https://a.b/c.safetensors", {}, False),
    ],
)
def test_a_repository_without_a_commit_is_reported(
    weights: str, pins: dict[str, Pin], is_reported: bool, find: Find
) -> None:
    hazards = find(claimed(RETRAIN, weights=f"weights: {weights}\n"), "D101", pins)
    assert [(hazard.severity, hazard.mark.line) for hazard in hazards] == [("warning", 4)] * is_reported


def test_unpinned_data_and_tokenizers_are_reported_with_their_first_use(find: Find, sources: Sources) -> None:
    head = f"name: mine\n{GLUE}\ntokenizer: {{use: published, of: hub:a/b}}\n{CLASSIFIER}"
    text = claimed(stages="", head=head).replace("claims:\n", "")
    assert [hazard.mark.line for hazard in find(text, "D101")] == [2, 3]
    sources.lock.trust("hub:a/b", sources.hub.address, Pin(revision=COMMIT))
    first = find(text, "D101")[1]
    assert f"this machine uses {COMMIT[:12]}" in first.message
    assert f"zoo lock --update {first.mark.path}" in first.fix


@pytest.mark.parametrize(
    ("weights", "pin", "severity"),
    [
        ("https://a.b/c.pt", FilePin(), "warning"),
        ("https://a.b/c.pt", FilePin(sha256_prefix="abcd"), "note"),
        ("https://a.b/c.pt", FilePin(sha256="ab" * 32), None),
        ("https://a.b/c.zip#d.pt", FilePin(), "warning"),
        ("hub:a/b", FilePin(), "warning"),
        ("hub:a/b", FilePin(etag_sha256="ab" * 32), "note"),
        ("hub:a/b", FilePin(sha256="ab" * 32), None),
        ("file:mine.pt", FilePin(), "note"),
    ],
)
def test_weights_without_a_locked_digest_are_reported(
    weights: str, pin: FilePin, severity: str | None, find: Find
) -> None:
    name = "model.safetensors" if weights.startswith("hub:") else weights.partition("#")[0].rpartition("/")[2]
    pins = {weights.partition("#")[0]: Pin(files={name: pin})}
    hazards = find(claimed(RETRAIN, weights=f"weights: {weights}\n"), "D102", pins)
    assert [hazard.severity for hazard in hazards] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("weights", "files", "is_reported"),
    [
        ("https://a.b/c.pth", [], True),
        ("https://a.b/c.zip#d/e.pt", [], True),
        ("https://a.b/c.safetensors", [], False),
        ("file:mine.ckpt", [], True),
        ("hub:a/b", ["pytorch_model.bin"], True),
        ("hub:a/b", ["pytorch_model.bin", "model.safetensors"], False),
        ("hub:a/b", [], False),
    ],
)
def test_pickled_weights_are_reported(weights: str, files: Sequence[str], is_reported: bool, find: Find) -> None:
    pins = {weights: Pin(files={name: FilePin() for name in files})}
    hazards = find(claimed(RETRAIN, weights=f"weights: {weights}\n"), "D103", pins)
    assert [hazard.severity for hazard in hazards] == ["note"] * is_reported


def test_a_reference_without_a_seed_is_reported(find: Find) -> None:
    text = claimed(RETRAIN.replace("seed 3", "the log"), WEIGHTS, RETRAIN.replace("seed 3", "runs of seeds 0 to 4"))
    (hazard,) = find(text, "D201")
    assert text.splitlines()[hazard.mark.line - 1][hazard.mark.column - 1 :].startswith("source: the log")


BEST = STAGES.replace("    criterion:", "    selection: best\n    selected_on: test\n    criterion:")


@pytest.mark.parametrize(
    ("stages", "claims", "expected_lines"),
    [
        (BEST, [RETRAIN], [10]),
        (BEST, [f"{RETRAIN}, selection: best", f"{WEIGHTS}, selection: best"], [10]),
        (BEST.replace("    selected_on: test\n", ""), [f"{RETRAIN}, selection: best"], [10]),
        (BEST.replace("on: test", "on: validation"), [RETRAIN], []),
        (
            BEST.replace("    selected_on: test\n", "") + "holdout: {of: train, share: 0.1, seed: 1}\n",
            [f"{RETRAIN}, selection: best"],
            [15],
        ),
        (STAGES, [f"{WEIGHTS}, selection: best"], [13]),
        (STAGES, [RETRAIN, WEIGHTS], []),
        (BEST, [RETRAIN.replace("of: retrain, split: test", "of: test-server, split: hidden")], []),
    ],
)
def test_choosing_the_epoch_on_the_reported_split_is_reported(
    stages: str, claims: list[str], expected_lines: list[int], find: Find
) -> None:
    hazards = find(claimed(*claims, stages=stages), "D202")
    assert [hazard.mark.line for hazard in hazards] == expected_lines


def test_a_reference_that_was_trained_in_fp16_is_reported(find: Find) -> None:
    (by_claim,) = find(claimed(f"{RETRAIN}, precision: fp16"), "D203")
    assert by_claim.mark.line == 13
    comment = "# A model.\n# Trained in FP16, with clipping.\n"
    (by_comment,) = find(comment + claimed(RETRAIN), "D203")
    assert (by_comment.mark.line, by_comment.severity) == (2, "note")
    assert find(comment + claimed(WEIGHTS), "D203") == []
    assert find(claimed(RETRAIN), "D203") == []


def test_operations_without_a_deterministic_cuda_kernel_are_reported(find: Find) -> None:
    def found(use: str) -> list[tuple[str, int]]:
        head = HEAD.replace("use: cifar_resnet,", f"use: {use},")
        return [(hazard.severity, hazard.mark.line) for hazard in find(claimed(RETRAIN, head=head), "D204")]

    assert found("torch.nn.EmbeddingBag, mode: max") == [("warning", 3)]
    assert found("torch.nn.MaxUnpool2d") == [("note", 3)]
    assert found("torch.nn.EmbeddingBag, mode: sum") == found("torch.nn.AdaptiveMaxPool2d") == found("vgg11") == []
    pixels = HEAD.replace("task: digits", "task: voc_segmentation")
    assert find(claimed(RETRAIN, head=pixels), "D204") == []


RTE = f"name: mine\n{GLUE}\n{CLASSIFIER}"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ([WEIGHTS.replace("split: test", "split: validation")], []),
        ([WEIGHTS], ["error"]),
        ([WEIGHTS.replace("split: test", "split: dev")], ["error"]),
        ([WEIGHTS.replace("of: weights", "of: test-server")], ["note"]),
    ],
)
def test_a_claim_about_a_split_that_cannot_be_scored_is_reported(
    claims: list[str], expected: list[str], find: Find
) -> None:
    assert [hazard.severity for hazard in find(claimed(*claims, head=RTE, stages=""), "D301")] == expected


def test_a_claim_about_held_out_rows_is_not_reported(find: Find) -> None:
    claim = RETRAIN.replace("split: test", "split: validation")
    holdout = "holdout: {of: train, share: 0.1, seed: 1}\n"
    assert find(claimed(claim, stages=STAGES + holdout), "D301") == []
    assert [hazard.severity for hazard in find(claimed(claim), "D301")] == ["error"]


def test_claims_of_one_metric_on_two_splits_are_noted(find: Find) -> None:
    mnli = RTE.replace("name: rte", "name: mnli")
    claims = [WEIGHTS.replace("split: test", f"split: validation_{half}") for half in ("matched", "mismatched")]
    (hazard,) = find(claimed(*claims, head=mnli, stages=""), "D301")
    assert (hazard.severity, hazard.mark.line) == ("note", 6)


def test_a_score_of_another_number_of_examples_is_reported(find: Find) -> None:
    (hazard,) = find(claimed(f"{WEIGHTS}, n: 900"), "D302")
    assert "900 examples, and test has 898" in hazard.message
    assert find(claimed(f"{WEIGHTS}, n: 898"), "D302") == []


def test_a_missing_sigma_and_a_coarse_rounding_are_noted(find: Find) -> None:
    (hazard,) = find(claimed(RETRAIN.replace("sigma: 0.01, ", ""), RETRAIN, WEIGHTS), "D303")
    assert (hazard.severity, hazard.mark.line) == ("note", 13)
    (rounded,) = find(claimed(WEIGHTS.replace("decimals: 4", "decimals: 2"), WEIGHTS), "D304")
    assert "9 counts" in rounded.message  # 898 / 10^2


def test_a_score_that_no_number_of_right_answers_gives_is_reported(find: Find) -> None:
    (hazard,) = find(claimed(WEIGHTS.replace("0.9,", "0.5120,")), "D307")
    assert "0.512 is no share of 898 examples" in hazard.message
    assert find(claimed(WEIGHTS.replace("0.9,", "0.5122,")), "D307") == []


def test_a_score_that_needs_no_model_is_reported(find: Find) -> None:
    wnli = RTE.replace("name: rte", "name: wnli")
    claim = WEIGHTS.replace("split: test", "split: validation").replace("0.9,", "0.5633803,")
    assert [hazard.severity for hazard in find(claimed(claim, head=wnli, stages=""), "D305")] == ["warning"]
    assert [hazard.severity for hazard in find(claimed(f"{claim}, gates: false", head=wnli, stages=""), "D305")] == [
        "note"
    ]
    assert find(claimed(claim.replace("0.5633803", "0.577"), head=wnli, stages=""), "D305") == []


@pytest.mark.parametrize(
    ("spread", "severity", "fix"),
    [
        ("sigma: 0.0074", "warning", "write sigma: 0.0075"),  # sqrt(0.1 / (2 x 898)) = 0.007462
        ("sigma: 0.02, prior: 0.0074, reference_runs: 9", "warning", "write prior: 0.0075"),
        ("sigma: 0.0074, reference_runs: 4", "note", "add prior: 0.0075"),
        ("sigma: 0.0074, n: 2000", None, ""),
        ("sigma: 0.0075", None, ""),
        ("sigma: 0.0074, prior: 0.0075, reference_runs: 4", None, ""),
        ("sigma: 0.0074, reference_runs: 5", None, ""),
    ],
)
def test_a_sigma_below_the_sampling_error_of_the_test_set_is_reported_unless_many_runs_have_it(
    spread: str, severity: str | None, fix: str, find: Find
) -> None:
    hazards = find(claimed(RETRAIN.replace("sigma: 0.01", spread)), "D306")
    assert [hazard.severity for hazard in hazards] == ([severity] if severity else [])
    assert all(hazard.fix.startswith(fix) for hazard in hazards)
    assert find(claimed(RETRAIN.replace("sigma: 0.01", spread).replace("accuracy", "f1")), "D306") == []


@pytest.mark.parametrize(
    ("config", "severity", "words"),
    [
        (None, "note", "not in the cache"),
        ({}, "note", "LABEL_0"),
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, "note", "LABEL_0"),
        ({"id2label": {"0": "not_entailment", "1": "Entailment"}}, "note", "not_entailment, Entailment"),
        ({"id2label": {"0": "yes", "1": "no"}}, "error", "names the classes yes, no"),
        ({"id2label": {"0": "entailment", "1": "not_entailment"}}, None, ""),
    ],
)
def test_classes_in_another_or_unknown_order_are_reported(
    config: Any, severity: str | None, words: str, find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache(config, tmp_path, monkeypatch)
    claim = WEIGHTS.replace("split: test", "split: validation")
    text = claimed(claim, head=RTE, stages="", weights="weights: hub:a/b\n")
    hazards = find(text, "D401", {"hub:a/b": Pin(revision=COMMIT)})
    assert [hazard.severity for hazard in hazards] == ([severity] if severity else [])
    assert all(words in hazard.message for hazard in hazards)
    assert find(claimed(claim, head=RTE, stages="", weights="weights: embedded:x\n"), "D401") == []
    stsb = RTE.replace("rte", "stsb").replace("num_labels: 2", "num_labels: 1")
    assert find(claimed(claim, head=stsb, stages="", weights="weights: hub:a/b\n"), "D401") == []


def test_code_from_outside_is_reported(find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = STAGES.replace("loss: CrossEntropy", "loss: mine.losses.Mine")
    (named,) = find(claimed(RETRAIN, stages=stages), "D402")
    assert (named.severity, named.mark.line) == ("warning", 11)
    assert "--trust mine" in named.fix
    (refused,) = find(claimed(RETRAIN, head=HEAD.replace("depth: 8,", "trust_remote_code: true,")), "D402")
    assert refused.severity == "error"
    cache({"auto_map": {"AutoModel": "modeling.Mine"}}, tmp_path, monkeypatch)
    pins = {"hub:a/b": Pin(revision=COMMIT)}
    (loaded,) = find(claimed(RETRAIN, weights="weights: hub:a/b\n"), "D402", pins)
    assert "auto_map" in loaded.message
    cache({}, tmp_path, monkeypatch)
    assert find(claimed(RETRAIN, weights="weights: hub:a/b\n"), "D402", pins) == []


def cache(config: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the cache hold this configuration of every repository, or none."""
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    monkeypatch.setattr(Hub, "cached", lambda *_: None if config is None else path)


def test_a_published_recipe_is_pinned_by_its_own_commit(tmp_path: Path, sources: Sources) -> None:
    path = tmp_path / "zoo.yaml"
    path.write_text(claimed(RETRAIN, weights="weights: hub:.\n"))
    entry = catalogue.local(path, f"hub:a/b@{COMMIT}", "hub:a/b")
    assert {hazard.code for hazard in examine(entry, sources)} == {"D102"}


def test_a_hazard_is_shown_with_its_position_and_a_fix(find: Find) -> None:
    (hazard,) = find(claimed(RETRAIN, weights="weights: file:mine.pt\n"), "D103")
    first, second = lines([hazard])
    assert first.startswith(f"{hazard.mark.path}:4:1: note D103 pickle-weights: mine.pt is a pickle")
    assert second == "    fix: publish the weights as model.safetensors"
    data = json.loads(json.dumps(hazard.data()))
    assert (data["code"], data["name"], data["line"], data["column"]) == ("D103", NAMES["D103"], 4, 1)


@pytest.mark.parametrize("name", ["cola", "sst2", "mrpc", "stsb", "rte", "wnli"])
def test_public_facts_about_data_agree_with_recorded_runs(name: str) -> None:
    known = public_data.PUBLIC[f"glue/{name}"]
    path = find_record(f"minilm-l6-{name}:1000", Path("nowhere"), ROOT / "leaderboard" / "records", str)
    labels = read_arrays(path.parent / "predictions-validation.npz")["labels"]
    assert known.rows == {"validation": len(labels)}
    if known.classes:
        counts = np.bincount(labels)
        assert (known.largest["validation"], len(known.classes)) == (counts.max(), len(counts))


@pytest.mark.process
def test_the_doctor_imports_no_torch() -> None:
    code = "import sys, zoo.doctor; sys.exit(bool({'torch', 'numpy', 'transformers'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

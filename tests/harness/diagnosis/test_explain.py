"""`zoo explain` names the cause of a planted fault, for every known factor, and names nothing else."""

import importlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.torch import save as to_safetensors

from harness.diagnosis.explain import explain
from harness.diagnosis.explain.candidates import Untried
from harness.diagnosis.explain.explanation import Attempt, ClaimResult, Explanation
from harness.diagnosis.explain.factors import file_factors
from harness.diagnosis.explain.recorded import RecordedArrays
from harness.diagnosis.explain.search import explain_experiment
from harness.diagnosis.explain.variant import Variant
from harness.diagnosis.explain.variant_runs import VariantRunner
from harness.evaluation.evaluate import Evaluation, evaluate
from harness.metrics import f1
from harness.models.environment import accelerator_on
from harness.runs.experiment import RunContext, prepare
from tests.helpers.device import device
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT
from zoo.errors import UsageError
from zoo.fetch import weights_file
from zoo.fetch.hub import Hub
from zoo.fetch.lock import Lock
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.tasks.splits import TextSplit

LARGE, DISTILLED, PLAIN = "entail-bert-l2h64", "entail-bert-l2h32_from_entail-bert-l2h64", "entail-bert-l2h32"
STARTER = ROOT / "zoo" / "starter"
ROWS, FEW = 320, 80
CLAIM = "  - {{of: weights, split: test, metric: {metric}, value: {value:.7f}, decimals: 7, source: planted}}\n"
Plant = Callable[..., Explanation]
Edit = tuple[str, str]


@pytest.fixture(scope="module", autouse=True)
def _small_test_split() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        entailment = importlib.import_module("zoo.tasks.entailment")
        patch.setattr(entailment, "TEST_PAIRS", ROWS)
        patch.setattr(entailment, "TRAIN_PAIRS", 0)
        yield


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> RunContext:
    return RunContext(
        builder=Builder(), accelerator=accelerator_on(device()), runs=tmp_path_factory.mktemp("runs") / "none"
    )


@pytest.fixture(scope="module")
def scores(context: RunContext, _small_test_split: None) -> dict[str, Evaluation]:
    """The evaluations of the shipped models on these rows."""
    experiments = {name: prepare(catalogue.select_one(name), context) for name in (LARGE, DISTILLED, PLAIN)}
    return {
        name: next(experiment.evaluations(experiment.published_model()[0])) for name, experiment in experiments.items()
    }


@pytest.fixture
def plant(tmp_path: Path, context: RunContext) -> Plant:
    """Explain a copy of a shipped recipe with a single claim of this value, after replacing texts in it."""

    def explained(
        name: str,
        value: float,
        *edits: Edit,
        metric: str = "accuracy",
        context: RunContext = context,
        recorded: RecordedArrays | None = None,
    ) -> Explanation:
        text = catalogue.select_one(name).path.read_text(encoding="utf-8").split("stages:")[0]
        text += f"claims:\n{CLAIM.format(metric=metric, value=value)}"
        for before, after in edits:
            assert before in text
            text = text.replace(before, after)
        path = tmp_path / "planted.yaml"
        path.write_text(text)
        entry = catalogue.local(path)
        explanation = explain_experiment(prepare(entry, context), recorded) if recorded else explain(entry, context)
        assert not context.runs.exists()
        json.dumps(explanation.data(), allow_nan=False)
        return explanation

    return explained


@dataclass(frozen=True)
class FewRows:
    """The first rows of the test split as a local file, and the accuracy of the distilled student on them."""

    right: float
    path: Path
    texts: Sequence[tuple[str, ...]]
    labels: list[int]

    def jsonl(self, wrong: int = 0) -> bytes:
        """The rows as JSON lines, the first `wrong` of them with a wrong label."""
        pairs = zip(self.texts, self.labels, strict=True)
        lines = [{"a": a, "b": b, "label": (label + (i < wrong)) % 3} for i, ((a, b), label) in enumerate(pairs)]
        return "\n".join(map(json.dumps, lines)).encode()

    def edit(self, data: str) -> Edit:
        """The edit of a recipe that makes it read these rows from a source."""
        splits = "splits: [test], scored: [test], classes: [entailment, neutral, contradiction]"
        return "task: entailment", f"task: {{use: text_classification, data: {data}, text: [a, b], {splits}}}"


@pytest.fixture
def few(context: RunContext, scores: dict[str, Evaluation], tmp_path: Path) -> FewRows:
    split, arrays = prepare(catalogue.select_one(DISTILLED), context).task.load("test"), scores[DISTILLED].arrays
    assert isinstance(split, TextSplit)
    right = float(np.mean(arrays["predictions"][:FEW] == arrays["labels"][:FEW]))
    few = FewRows(right, tmp_path / "few.jsonl", split.texts[:FEW], split.labels[:FEW].tolist())
    few.path.write_bytes(few.jsonl())
    return few


def accuracy(evaluation: Evaluation) -> float:
    return evaluation.scores["accuracy"].value


def named(explanation: Explanation) -> set[str]:
    assert explanation.state == "explained", explanation.text()
    return {attempt.factor for attempt in explanation.successful}


def changed_weights(name: str, path: Path, **changes: Callable[[Any], Any]) -> Edit:
    """Write shipped weights with a changed classifier, and return the edit of a recipe that uses this file."""
    state = weights_file.read(STARTER / f"{name}.safetensors")
    for part, change in changes.items():
        state[f"classifier.{part}"] = change(state[f"classifier.{part}"]).contiguous()
    path.write_bytes(to_safetensors(state))
    return f"weights: embedded:{name}.safetensors", f"weights: file:{path}"


def test_a_reproduced_claim_needs_no_explanation(plant: Plant, scores: dict[str, Evaluation]) -> None:
    explanation = plant(LARGE, accuracy(scores[LARGE]))
    assert explanation.state == "nothing to explain"
    assert explanation.attempts == ()
    assert "that can be compared is reproduced" in explanation.text()


def test_swapped_classes_are_named(plant: Plant, scores: dict[str, Evaluation], tmp_path: Path) -> None:
    cycled = {part: lambda value: value[[1, 2, 0]] for part in ("weight", "bias")}
    explanation = plant(LARGE, accuracy(scores[LARGE]), changed_weights(LARGE, tmp_path / "w.safetensors", **cycled))
    assert named(explanation) == {"label order"}
    assert (
        explanation.successful[0].change == "entailment, neutral, contradiction -> neutral, contradiction, entailment"
    )
    assert explanation.successful[0].rows_computed == 0


def test_a_tokenizer_with_the_wrong_case_is_named(plant: Plant, scores: dict[str, Evaluation]) -> None:
    explanation = plant(LARGE, accuracy(scores[LARGE]), ("lowercase: false", "lowercase: true"))
    assert named(explanation) == {"tokenizer"}
    (sentence,) = explanation.sentences()
    value = f"{accuracy(scores[LARGE]):.4f}"
    assert sentence.startswith(
        f"tokenizer: lowercase false instead of true reproduces the claims: accuracy on test {value}"
    )
    assert sentence in explanation.text()


def test_a_wrong_token_limit_is_named_and_only_truncated_rows_are_computed_again(
    plant: Plant, scores: dict[str, Evaluation]
) -> None:
    explanation = plant(
        DISTILLED, accuracy(scores[DISTILLED]), ("task: entailment", "task: {use: entailment, max_length: 64}")
    )
    assert named(explanation) == {"max length"}
    (attempt,) = explanation.successful
    assert attempt.description == "max_length 128 instead of 64"
    assert attempt.rows_computed is not None and 0 < attempt.rows_computed < ROWS / 10
    assert {a.change for a in explanation.attempts if a.factor == "max length"} == {
        "max_length: 64 -> 32",
        "max_length: 64 -> 128",
    }


@pytest.mark.slow
@pytest.mark.parametrize(("change", "words"), [("swapped", "second, first"), ("joined", "both as one text")])
def test_pairs_that_were_passed_otherwise_are_named(plant: Plant, context: RunContext, change: Any, words: str) -> None:
    runner = VariantRunner(prepare(catalogue.select_one(LARGE), context))
    arrays = runner.arrays("test", Variant(pair=change))
    right = float(np.mean(arrays["predictions"] == arrays["labels"]))
    explanation = plant(LARGE, right)
    assert explanation.state == "explained"
    assert any(attempt.description.startswith(words) for attempt in explanation.successful)


@pytest.mark.slow
def test_a_claim_that_was_computed_with_padding_on_the_left_is_named(plant: Plant, context: RunContext) -> None:
    runner = VariantRunner(prepare(catalogue.select_one(LARGE), context))
    arrays = runner.arrays("test", Variant(left=True))
    right = float(np.mean(arrays["predictions"] == arrays["labels"]))
    explanation = plant(LARGE, right)
    assert named(explanation) == {"padding"}
    assert [a.description for a in explanation.successful] == ["side of the padding left instead of right"]
    no_effect = [a.reason for a in explanation.attempts if "batch size" in a.change]
    assert all(reason.startswith("no effect") for reason in no_effect)


def test_a_claim_that_was_computed_in_bf16_is_named(plant: Plant, context: RunContext, tmp_path: Path) -> None:
    """All logits are near 256, where bf16 has a resolution of 2 and fp32 loses nothing."""
    edit = changed_weights(PLAIN, tmp_path / "w.safetensors", bias=lambda bias: bias + 256)
    experiment = prepare(catalogue.select_one(PLAIN), context)
    model = experiment.published_model()[0]
    weights_file.load_into(model, tmp_path / "w.safetensors")
    task, on = experiment.task, context.accelerator
    in_bf16 = evaluate(model, task, "test", experiment.metrics, accelerator=on, precision="bf16")
    explanation = plant(PLAIN, accuracy(in_bf16), edit, recorded={"test": in_bf16.arrays})
    assert named(explanation) == {"precision"}
    assert [a.change for a in explanation.successful] == ["fp32 -> bf16"]
    flips = [a.flips for a in explanation.attempts if a.flips is not None]
    assert explanation.successful[0].flips == min(flips) == 0


@pytest.mark.slow
def test_a_change_that_moves_no_score_explains_nothing(context: RunContext, tmp_path: Path) -> None:
    """In bf16 four predictions more may differ, so the unchanged score of such a run would pass."""
    path, text = tmp_path / "images.yaml", catalogue.select_one("digits-resnet8").path.read_text(encoding="utf-8")
    path.write_text(text.replace("value: 0.9788419", "value: 0.9743875"))
    attempts = explain(catalogue.local(path), context).attempts
    unmoved = {a.factor: a.agrees for a in attempts if list(a.values.values()) == [pytest.approx(879 / 898)]}
    assert not unmoved["precision"]
    assert not any(unmoved.values())


@pytest.mark.slow
def test_another_average_of_f1_is_named(plant: Plant, scores: dict[str, Evaluation]) -> None:
    arrays = scores[PLAIN].arrays
    macro = f1(arrays["predictions"], arrays["labels"], average="macro")
    edit = ("weights:", "metrics: [{use: f1, average: micro}]\nweights:")
    explanation = plant(PLAIN, macro, edit, metric="f1")
    assert named(explanation) == {"metric definition"}
    assert explanation.successful[0].change == "micro f1 -> macro f1"


@pytest.mark.slow
def test_an_older_git_commit_of_the_weights_is_named(
    plant: Plant, scores: dict[str, Evaluation], tmp_path: Path
) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    weights, git = folder / "w.safetensors", ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    for name in (DISTILLED, PLAIN):
        weights.write_bytes((STARTER / f"{name}.safetensors").read_bytes())
        subprocess.run([*git, "add", weights], check=True)
        subprocess.run([*git, "commit", "--quiet", "--message", name], check=True)
    first = subprocess.check_output([*git, "rev-list", "--max-parents=0", "HEAD"], text=True)[:12]
    explanation = plant(
        DISTILLED, accuracy(scores[DISTILLED]), (f"embedded:{DISTILLED}.safetensors", f"file:{weights}")
    )
    assert named(explanation) == {"weights revision"}
    assert [a.change for a in explanation.successful] == [f"the current one -> {first}"]


@pytest.fixture
def hub_context(
    context: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[LocalHub, RunContext]]:
    """A local Hub, and a context that uses it."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    with LocalHub() as hub:
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        client = Hub()
        client.endpoint, client.cache = hub.url, tmp_path / "cache"
        sources = Sources(lock=Lock(tmp_path / "no.lock", {}, tmp_path / "trusted.json"), hub=client)
        sources.lock = Lock(sources.lock.path, Sources().lock.pins, sources.lock.trust_file)
        yield hub, RunContext(builder=Builder(sources=sources), accelerator=context.accelerator, runs=context.runs)


def add_weights(hub: LocalHub, context: RunContext) -> str:
    """Push the distilled weights, then a README, then the plain weights; return the commit of the README."""
    experiment = prepare(catalogue.select_one(DISTILLED), context)
    config = experiment.published_model()[0].config.to_diff_dict() | {"model_type": "bert"}
    config["architectures"] = ["BertForSequenceClassification"]
    files = {"config.json": json.dumps(config).encode()}
    commits = []
    for readme, name in ((b"a", DISTILLED), (b"b", DISTILLED), (b"b", PLAIN)):
        state = weights_file.read(STARTER / f"{name}.safetensors")
        weights = to_safetensors(state, metadata={"format": "pt"})
        commits.append(
            hub.add("models", "someone/entail", {**files, "README.md": readme, "model.safetensors": weights})
        )
    return commits[1]


@pytest.mark.slow
def test_an_older_hub_commit_of_the_weights_is_named(
    plant: Plant, hub_context: tuple[LocalHub, RunContext], few: FewRows
) -> None:
    hub, on_hub = hub_context
    commit = add_weights(hub, on_hub)
    weights = (f"embedded:{DISTILLED}.safetensors", "hub:someone/entail")
    explanation = plant(DISTILLED, few.right, weights, few.edit(f"{{test: file:{few.path}}}"), context=on_hub)
    assert named(explanation) == {"weights revision"}
    assert [a.change.split(" -> ")[1] for a in explanation.attempts if a.factor == "weights revision"] == [commit[:12]]


def test_other_commits_are_not_tried_offline_and_the_reason_is_given(
    hub_context: tuple[LocalHub, RunContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, on_hub = hub_context
    add_weights(hub, on_hub)
    experiment = prepare(catalogue.select_one(DISTILLED), on_hub)
    experiment = replace(experiment, recipe=replace(experiment.recipe, weights="hub:someone/entail"))
    experiment.published_model()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    requests_before = len(hub.requests)
    candidates = list(file_factors(VariantRunner(experiment), Path("none"), []))
    assert len(hub.requests) == requests_before
    untried = {candidate.factor: candidate.reason for candidate in candidates if isinstance(candidate, Untried)}
    assert untried["weights revision"].endswith("cannot be tried while HF_HUB_OFFLINE is set")
    assert untried["weights file"].endswith("cannot be listed while HF_HUB_OFFLINE is set")


@pytest.mark.slow
def test_an_older_hub_commit_of_the_data_is_named(
    plant: Plant, hub_context: tuple[LocalHub, RunContext], few: FewRows
) -> None:
    hub, on_hub = hub_context
    card = "---\nconfigs: [{config_name: default, data_files: [{split: test, path: test.jsonl}]}]\n---\n"
    commit = hub.add("datasets", "someone/pairs", {"README.md": card.encode(), "test.jsonl": few.jsonl()})
    hub.add("datasets", "someone/pairs", {"README.md": card.encode(), "test.jsonl": few.jsonl(wrong=9)})
    explanation = plant(DISTILLED, few.right, few.edit("hub:datasets/someone/pairs"), context=on_hub)
    assert named(explanation) == {"data revision"}
    assert explanation.successful[0].change.endswith(f"-> {commit[:12]}")


@pytest.mark.slow
def test_two_faults_at_once_are_named_as_a_pair(
    plant: Plant, scores: dict[str, Evaluation], few: FewRows, tmp_path: Path
) -> None:
    arrays, edit = scores[LARGE].arrays, ("lowercase: false", "lowercase: true")
    cycled = {part: lambda value: value[[1, 2, 0]] for part in ("weight", "bias")}
    weights = changed_weights(LARGE, tmp_path / "w.safetensors", **cycled)
    right = float(np.mean(arrays["predictions"][:FEW] == arrays["labels"][:FEW]))
    explanation = plant(LARGE, right, edit, weights, few.edit(f"{{test: file:{few.path}}}"))
    assert named(explanation) == {"label order and tokenizer"}
    (change,) = [attempt.change for attempt in explanation.successful]
    assert change.endswith("neutral, contradiction, entailment; lowercase: true -> false")


def test_an_unexplained_claim_gets_the_nearest_attempt_and_the_factors_without_variants(
    context: RunContext, tmp_path: Path
) -> None:
    path, text = tmp_path / "images.yaml", catalogue.select_one("digits-resnet8").path.read_text(encoding="utf-8")
    path.write_text(text.replace("value: 0.9788419", "value: 0.5"))
    explanation = explain(catalogue.local(path), context)
    assert (explanation.state, explanation.sample_rows) == ("unexplained", 32)
    first, second = explanation.sentences()
    assert first == "no change that was tried reproduces the claims"
    assert explanation.nearest is not None
    assert second.startswith(
        f"{explanation.nearest.factor}: {explanation.nearest.description} comes nearest: accuracy on test"
    )
    factors = list(dict.fromkeys(attempt.factor for attempt in explanation.attempts))
    assert factors[:3] == ["label order", "metric definition", "split"]
    assert factors[3:7] == ["tokenizer", "max length", "pair order", "image preprocessing"]
    assert factors[7:11] == ["padding", "attention", "precision", "train mode"]
    assert factors[11:14] == ["weights file", "data revision", "weights revision"]
    untried = {attempt.factor: attempt.reason for attempt in explanation.attempts if not attempt.change}
    assert untried["max length"] == untried["pair order"] == untried["padding"] == "the task has no texts"
    assert untried["split"] == "train has 899 rows, and the claim is about 898"
    text = explanation.text(80)
    assert max(map(len, text.splitlines())) <= 80
    rows = [line.split()[0] for line in text.split("---\n")[1].split("\n\n")[0].splitlines()]
    nearest = explanation.nearest.values["accuracy on test"]
    assert nearest is not None and rows[0] == f"{nearest:.7f}"
    assert re.search(r"\nleave the scores as they are \([2-9]\): padding \(batch size: ", text)
    assert "  max length, pair order, padding: the task has no texts\n" in text and "TF32 needs a CUDA device" in text


@pytest.mark.parametrize("fewer", [9, 100])
@pytest.mark.slow
def test_an_invented_claim_about_texts_stays_unexplained(
    plant: Plant, scores: dict[str, Evaluation], fewer: int
) -> None:
    explanation = plant(LARGE, accuracy(scores[LARGE]) - fewer / ROWS)
    assert explanation.state == "unexplained", explanation.text()


def test_the_number_of_rows_is_compared_before_other_causes_are_tried(plant: Plant, few: FewRows) -> None:
    edit = few.edit(f"{{test: file:{few.path}}}")
    unknown = plant(DISTILLED, few.right - 0.2, edit)
    where = f"rows of test (file:{few.path})"
    assert unknown.sentences()[0].endswith(f"does not say on how many rows it was measured; this run scored 80 {where}")
    known = plant(DISTILLED, few.right - 0.2, edit, ("decimals: 7", "decimals: 7, n: 320"))
    assert (known.state, known.attempts) == ("nothing to compare", ())
    assert known.sentences()[1] == f"accuracy on test: the claim was measured on 320 rows, this run on 80 {where}"


def test_a_claim_that_cannot_be_compared_is_reported_as_such(plant: Plant) -> None:
    explanation = plant(LARGE, 0.5, metric="spearman")
    assert explanation.state == "nothing to compare"
    assert "The metric spearman was not measured" in explanation.sentences()[1]


def test_entries_without_weights_and_segmentations_are_refused(context: RunContext, plant: Plant) -> None:
    with pytest.raises(UsageError, match="names no weights to evaluate"):
        plant(LARGE, 0.5, (f"weights: embedded:{LARGE}.safetensors\n", ""))
    with pytest.raises(UsageError, match="compares logits of examples, which"):
        explain(catalogue.select([], ["coco2017"])[0], context)


def test_values_that_are_not_numbers_are_null_in_json() -> None:
    claim = ClaimResult(split="test", metric="f1", claimed=0.5, as_run=None, verdict="not-reproduced", why="")
    attempt = Attempt(factor="precision", change="fp32 -> fp16", values={"f1 on test": None})
    explanation = Explanation(entry="a", title="a", claims=(claim,), attempts=(attempt,))
    assert json.loads(json.dumps(explanation.data(), allow_nan=False))["attempts"][0]["shift"] is None
    assert explanation.state == "unexplained"
    assert explanation.sentences() == [
        "no change that could be tried reproduces the claims, and none comes nearer to them"
    ]


def test_changed_predictions_are_a_fault_even_if_the_score_is_the_same(context: RunContext, tmp_path: Path) -> None:
    """The shipped entry has committed predictions, so another computation with the same score is detected."""
    experiment = prepare(catalogue.select_one(PLAIN), context)
    arrays = next(experiment.evaluations(experiment.published_model()[0])).arrays
    right = arrays["predictions"] == arrays["labels"]
    moved = {**arrays, "predictions": arrays["predictions"].copy(), "logits": arrays["logits"].copy()}
    gained, lost = np.flatnonzero(~right)[:2].tolist(), np.flatnonzero(right)[:2].tolist()
    other_class = (arrays["labels"] + 1) % 3
    for row, label in [*((r, arrays["labels"][r]) for r in gained), *((r, other_class[r]) for r in lost)]:
        moved["predictions"][row] = label
        moved["logits"][row, label] += 20
    path = tmp_path / "same.yaml"
    head = experiment.entry.path.read_text(encoding="utf-8").split("stages:")[0]
    path.write_text(f"{head}claims:\n{CLAIM.format(metric='accuracy', value=float(np.mean(right)))}")
    same = explain_experiment(prepare(catalogue.local(path), context), {"test": arrays})
    assert same.state == "nothing to explain"
    other = explain_experiment(prepare(catalogue.local(path), context), {"test": moved})
    assert other.state == "unexplained"
    assert "4 of 320 predictions differ" in other.failing[0].why

"""`zoo explain`: a planted fault of every known factor is named, and nothing that has no part in it."""

import importlib
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save as to_safetensors

from harness.diagnosis.explain import explain, search
from harness.diagnosis.explain.explanation import Attempt, ClaimResult, Explanation
from harness.diagnosis.explain.factors import Untried, factors
from harness.diagnosis.explain.variant_runs import VariantRunner
from harness.evaluation.evaluate import Evaluation, evaluate
from harness.evaluation.subset import subset
from harness.metrics import f1
from harness.models.environment import accelerator_on
from harness.runs.experiment import Experiment, RunContext
from tests.helpers.glue_hub import TOKENIZER
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT
from zoo.errors import UsageError
from zoo.fetch import weights_file
from zoo.fetch.hub import Hub
from zoo.fetch.lock import Lock
from zoo.fetch.sources import Source, Sources
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.tasks import digits
from zoo.tasks.base import TextSplit
from zoo.tokenizers import published

LARGE, DISTILLED, PLAIN = "entail-bert-l2h64", "entail-bert-l2h32_from_entail-bert-l2h64", "entail-bert-l2h32"
STARTER = ROOT / "zoo" / "starter"
ROWS, FEW = 320, 80
CLAIM = "  - {{of: weights, split: test, metric: {metric}, value: {value:.7f}, decimals: 7, source: planted}}\n"
Plant = Callable[..., Explanation]
Edit = tuple[str, str]


@pytest.fixture(scope="module", autouse=True)
def _a_part_of_the_test_split() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        entailment = importlib.import_module("zoo.tasks.entailment")
        patch.setattr(entailment, "TEST_PAIRS", ROWS)
        patch.setattr(entailment, "TRAIN_PAIRS", 0)
        yield


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> RunContext:
    return RunContext(
        builder=Builder(), accelerator=accelerator_on("cpu"), runs=tmp_path_factory.mktemp("runs") / "none"
    )


@pytest.fixture(scope="module")
def true(setup: RunContext, _a_part_of_the_test_split: None) -> dict[str, Evaluation]:
    """What the starter's models really score on these rows."""
    studies = {name: Experiment(catalogue.one(name), setup) for name in (LARGE, DISTILLED, PLAIN)}
    return {name: next(study.evaluations(study.published_model()[0])) for name, study in studies.items()}


@pytest.fixture
def plant(tmp_path: Path, setup: RunContext) -> Plant:
    """Explain a copy of a starter recipe in which texts are replaced, and whose one claim is of this value."""

    def explained(name: str, value: float, *edits: Edit, metric: str = "accuracy", **given: Any) -> Explanation:
        text = catalogue.one(name).path.read_text(encoding="utf-8").split("stages:")[0]
        for before, after in edits:
            assert before in text
            text = text.replace(before, after)
        path = tmp_path / "planted.yaml"
        path.write_text(f"{text}claims:\n{CLAIM.format(metric=metric, value=value)}")
        study = Experiment(catalogue.local(path), given.pop("setup", setup))
        found = search._explain(study, given, tmp_path) if given else explain(study.entry, study.setup)
        assert not setup.runs.exists()
        json.dumps(found.data(), allow_nan=False)
        return found

    return explained


@dataclass(frozen=True)
class Few:
    """The first rows of the test split as anyone's own texts, and what the distilled student scores on them."""

    right: float
    path: Path
    texts: Sequence[tuple[str, ...]]
    labels: list[int]

    def jsonl(self, wrong: int = 0) -> bytes:
        """The rows, so many of them with another label."""
        pairs = zip(self.texts, self.labels, strict=True)
        lines = [{"a": a, "b": b, "label": (label + (i < wrong)) % 3} for i, ((a, b), label) in enumerate(pairs)]
        return "\n".join(map(json.dumps, lines)).encode()

    def edit(self, data: str) -> Edit:
        """To read them, where they lie as a recipe names it."""
        splits = "splits: [test], scored: [test], classes: [entailment, neutral, contradiction]"
        return "task: entailment", f"task: {{use: text_classification, data: {data}, text: [a, b], {splits}}}"


@pytest.fixture
def few(setup: RunContext, true: dict[str, Evaluation], tmp_path: Path) -> Few:
    split, arrays = Experiment(catalogue.one(DISTILLED), setup).task.load("test"), true[DISTILLED].arrays
    assert isinstance(split, TextSplit)
    right = float(np.mean(arrays["predictions"][:FEW] == arrays["labels"][:FEW]))
    found = Few(right, tmp_path / "few.jsonl", split.texts[:FEW], split.labels[:FEW].tolist())
    found.path.write_bytes(found.jsonl())
    return found


def accuracy(evaluation: Evaluation) -> float:
    return evaluation.scores["accuracy"].value


def named(explanation: Explanation) -> set[str]:
    assert explanation.state == "explained", explanation.text()
    return {attempt.factor for attempt in explanation.found}


def changed_weights(name: str, path: Path, **changes: Callable[[Any], Any]) -> Edit:
    """Write the starter's weights with parts of the classifier changed; the recipe then names that file."""
    state = weights_file.read(STARTER / f"{name}.safetensors")
    for part, change in changes.items():
        state[f"classifier.{part}"] = change(state[f"classifier.{part}"]).contiguous()
    path.write_bytes(to_safetensors(state))
    return f"weights: embedded:{name}.safetensors", f"weights: file:{path}"


def test_what_is_reproduced_needs_no_explanation(plant: Plant, true: dict[str, Evaluation]) -> None:
    found = plant(LARGE, accuracy(true[LARGE]))
    assert found.state == "nothing to explain"
    assert found.tried == ()
    assert "is reproduced as it is" in found.text()


def test_swapped_labels_are_named(plant: Plant, true: dict[str, Evaluation], tmp_path: Path) -> None:
    cycled = {part: lambda value: value[[1, 2, 0]] for part in ("weight", "bias")}
    found = plant(LARGE, accuracy(true[LARGE]), changed_weights(LARGE, tmp_path / "w.safetensors", **cycled))
    assert named(found) == {"label order"}
    assert found.found[0].change == "entailment, neutral, contradiction -> neutral, contradiction, entailment"
    assert found.found[0].computed == 0


def test_a_tokenizer_of_the_wrong_case_is_named(plant: Plant, true: dict[str, Evaluation]) -> None:
    found = plant(LARGE, accuracy(true[LARGE]), ("lowercase: false", "lowercase: true"))
    assert named(found) == {"tokenizer"}
    (sentence,) = found.sentences()
    value = f"{accuracy(true[LARGE]):.4f}"
    assert sentence.startswith(
        f"tokenizer: lowercase false instead of true restores agreement: accuracy on test {value}"
    )
    assert sentence in found.text()


def test_a_limit_that_cuts_is_named_and_only_the_cut_rows_are_computed(
    plant: Plant, true: dict[str, Evaluation]
) -> None:
    found = plant(DISTILLED, accuracy(true[DISTILLED]), ("task: entailment", "task: {use: entailment, max_length: 64}"))
    assert named(found) == {"max length"}
    (attempt,) = found.found
    assert attempt.said == "max_length 128 instead of 64"
    assert attempt.computed is not None and 0 < attempt.computed < ROWS / 10
    assert {a.change for a in found.tried if a.factor == "max length"} == {
        "max_length: 64 -> 32",
        "max_length: 64 -> 128",
    }


def test_padding_on_the_wrong_side_is_named(plant: Plant, true: dict[str, Evaluation]) -> None:
    """A row alone has no padding, so that is the same factor."""
    found = plant(LARGE, accuracy(true[LARGE]), ("lowercase: false", "lowercase: false, padding_side: left"))
    assert named(found) == {"padding"}
    assert [a.said for a in found.found] == ["padding_side right instead of left", "batch size 1 instead of 128"]


def test_a_reference_that_was_computed_in_bf16_is_named(plant: Plant, setup: RunContext, tmp_path: Path) -> None:
    """All logits are near 256, where bf16 counts in twos and fp32 loses nothing."""
    edit = changed_weights(PLAIN, tmp_path / "w.safetensors", bias=lambda bias: bias + 256)
    study = Experiment(catalogue.one(PLAIN), setup)
    model = study.published_model()[0]
    weights_file.load_into(model, tmp_path / "w.safetensors")
    task, on = study.task, setup.accelerator
    in_bf16 = evaluate(model, task, "test", study.metrics, accelerator=on, precision="bf16")
    found = plant(PLAIN, accuracy(in_bf16), edit, test=in_bf16.arrays)
    assert named(found) == {"precision"}
    assert [a.change for a in found.found] == ["fp32 -> bf16"]
    flips = [a.flips for a in found.tried if a.flips is not None]
    assert found.found[0].flips == min(flips) == 0


def test_another_average_is_named(plant: Plant, true: dict[str, Evaluation]) -> None:
    arrays = true[PLAIN].arrays
    macro = f1(arrays["predictions"], arrays["labels"], average="macro")
    edit = ("weights:", "metrics: [{use: f1, average: micro}]\nweights:")
    found = plant(PLAIN, macro, edit, metric="f1")
    assert named(found) == {"metric definition"}
    assert found.found[0].change == "micro f1 -> macro f1"


def test_an_older_commit_of_a_file_of_weights_is_named(
    plant: Plant, true: dict[str, Evaluation], tmp_path: Path
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
    found = plant(DISTILLED, accuracy(true[DISTILLED]), (f"embedded:{DISTILLED}.safetensors", f"file:{weights}"))
    assert named(found) == {"weights revision"}
    assert [a.change for a in found.found] == [f"the present one -> {first}"]


@pytest.fixture
def hub_setup(
    setup: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[LocalHub, RunContext]]:
    """A Hub on loopback whose `main` has other weights, and data with other labels, than the commit before."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    with LocalHub() as hub:
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        made = Hub()
        made.endpoint, made.cache = hub.url, tmp_path / "cache"
        sources = Sources(lock=Lock(tmp_path / "no.lock", {}, tmp_path / "trusted.json"), hub=made)
        sources.lock = Lock(sources.lock.path, Sources().lock.pins, sources.lock.own)
        yield hub, RunContext(builder=Builder(sources=sources), accelerator=setup.accelerator, runs=setup.runs)


def add_weights(hub: LocalHub, setup: RunContext) -> str:
    """Push the distilled weights, then a README, then the plain ones; returns the first commit."""
    study = Experiment(catalogue.one(DISTILLED), setup)
    config = study.published_model()[0].config.to_diff_dict() | {"model_type": "bert"}
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


def test_an_older_commit_on_the_hub_is_named(plant: Plant, hub_setup: tuple[LocalHub, RunContext], few: Few) -> None:
    hub, setup = hub_setup
    commit = add_weights(hub, setup)
    weights = (f"embedded:{DISTILLED}.safetensors", "hub:someone/entail")
    found = plant(DISTILLED, few.right, weights, few.edit(f"{{test: file:{few.path}}}"), setup=setup)
    assert named(found) == {"weights revision"}
    assert [a.change.split(" -> ")[1] for a in found.tried if a.factor == "weights revision"] == [commit[:12]]


def test_offline_no_other_commit_is_asked_for_and_that_is_said(
    hub_setup: tuple[LocalHub, RunContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, setup = hub_setup
    add_weights(hub, setup)
    study = Experiment(catalogue.one(DISTILLED), setup)
    study.entry.__dict__["recipe"] = replace(study.entry.recipe, weights="hub:someone/entail")
    study.published_model()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.requests)
    bench = VariantRunner(study, made={repr(("logits", "test")): torch.zeros(1, 3)})
    found = list(factors(bench, study.recipe.claims[:1], Path("none")))
    assert len(hub.requests) == asked
    (untried,) = (one for one in found if isinstance(one, Untried) and one.factor == "weights revision")
    assert untried.reason.startswith("HF_HUB_OFFLINE is set")


def test_an_older_commit_of_the_data_is_named(plant: Plant, hub_setup: tuple[LocalHub, RunContext], few: Few) -> None:
    hub, on_hub = hub_setup
    card = "---\nconfigs: [{config_name: default, data_files: [{split: test, path: test.jsonl}]}]\n---\n"
    commit = hub.add("datasets", "someone/pairs", {"README.md": card.encode(), "test.jsonl": few.jsonl()})
    hub.add("datasets", "someone/pairs", {"README.md": card.encode(), "test.jsonl": few.jsonl(wrong=9)})
    found = plant(DISTILLED, few.right, few.edit("hub:datasets/someone/pairs"), setup=on_hub)
    assert named(found) == {"data revision"}
    assert found.found[0].change.endswith(f"-> {commit[:12]}")


def test_two_faults_at_once_are_named_as_a_pair(plant: Plant, true: dict[str, Evaluation], few: Few) -> None:
    arrays, edit = true[LARGE].arrays, ("lowercase: false", "lowercase: true, padding_side: left")
    right = float(np.mean(arrays["predictions"][:FEW] == arrays["labels"][:FEW]))
    found = plant(LARGE, right, edit, few.edit(f"{{test: file:{few.path}}}"))
    assert named(found) == {"padding and tokenizer"}
    assert [attempt.change for attempt in found.found] == ["padding_side: left -> right; lowercase: true -> false"]


def test_what_nothing_restores_is_said_with_the_nearest_and_what_an_entry_of_images_has_not(
    setup: RunContext, tmp_path: Path
) -> None:
    path, text = tmp_path / "images.yaml", catalogue.one("digits-resnet8").path.read_text(encoding="utf-8")
    path.write_text(text.replace("value: 0.9788419", "value: 0.5"))
    found = explain(catalogue.local(path), setup)
    assert (found.state, found.canary) == ("unexplained", 32)
    first, second = found.sentences()
    assert first == "nothing that was tried restores agreement"
    assert found.nearest is not None
    assert second.startswith(f"{found.nearest.factor}: {found.nearest.said} comes nearest: accuracy on test")
    factors = list(dict.fromkeys(attempt.factor for attempt in found.tried))
    assert factors[:3] == ["label order", "metric definition", "tokenizer"]
    assert factors[3:9] == ["max length", "padding", "attention", "precision", "data revision", "weights revision"]
    untried = {attempt.factor: attempt.reason for attempt in found.tried if not attempt.change}
    assert untried["max length"] == untried["padding"] == "the task reads no texts"
    assert "TF32 needs a CUDA device" in found.text()


def test_a_claim_that_cannot_be_compared_is_said_to_be_so(plant: Plant) -> None:
    found = plant(LARGE, 0.5, metric="spearman")
    assert found.state == "nothing to compare"
    assert "The metric spearman was not measured" in found.sentences()[1]


def test_an_entry_without_weights_or_of_a_segmentation_is_refused(setup: RunContext, plant: Plant) -> None:
    with pytest.raises(UsageError, match="names no weights to evaluate"):
        plant(LARGE, 0.5, (f"weights: embedded:{LARGE}.safetensors\n", ""))
    with pytest.raises(UsageError, match="a segmentation's are of pixels"):
        explain(catalogue.select([], ["coco2017"])[0], setup)


def test_what_is_not_a_number_is_null() -> None:
    claim = ClaimResult(split="test", metric="f1", claimed=0.5, as_run=None, verdict="not-reproduced", why="")
    attempt = Attempt(factor="precision", change="fp32 -> fp16", values={"f1 on test": None})
    found = Explanation(entry="a", claims=(claim,), tried=(attempt,))
    assert json.loads(json.dumps(found.data(), allow_nan=False))["tried"][0]["shift"] is None
    assert found.state == "unexplained"
    assert found.sentences() == ["nothing that could be tried restores agreement, and nothing comes nearer"]


def test_rows_of_a_split_are_a_split() -> None:
    whole = digits().load("test")
    some = subset(whole, [2, 5])
    assert len(some) == 2
    assert some.labels.tolist() == whole.labels[[2, 5]].tolist()
    assert some.batch([1]).inputs.equal(whole.batch([5]).inputs)  # type: ignore[union-attr]
    assert list(some.rows()) == [row for i, row in enumerate(whole.rows()) if i in (2, 5)]


def test_a_published_tokenizer_can_be_read_in_another_case_and_pad_on_the_other_side(tmp_path: Path) -> None:
    with LocalHub() as hub:
        hub.add("models", "someone/tokenizer", {**TOKENIZER, "config.json": b'{"model_type": "bert"}'})
        with pytest.MonkeyPatch.context() as patch:
            template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
            patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
            made = Hub()
            made.endpoint, made.cache = hub.url, tmp_path / "cache"
            sources = Sources(lock=Lock(tmp_path / "no.lock", {}, tmp_path / "trusted.json"), hub=made)
            of = Source(sources, "hub:someone/tokenizer")
            as_it_is, cased, left = (
                published(of=of),
                published(of=of, lowercase=False),
                published(of=of, padding_side="left"),
            )
    assert as_it_is("The cat")["input_ids"] == as_it_is("the cat")["input_ids"] != cased("The cat")["input_ids"]
    assert (as_it_is.padding_side, cased.do_lower_case, left.padding_side) == ("right", False, "left")


def test_predictions_that_moved_are_a_fault_where_the_score_has_not(setup: RunContext, tmp_path: Path) -> None:
    """Of the shipped entry the predictions are committed: another computation with the same score is found out."""
    study = Experiment(catalogue.one(PLAIN), setup)
    arrays = next(study.evaluations(study.published_model()[0])).arrays
    right = arrays["predictions"] == arrays["labels"]
    moved = {**arrays, "predictions": arrays["predictions"].copy(), "logits": arrays["logits"].copy()}
    gained, lost = np.flatnonzero(~right)[:2].tolist(), np.flatnonzero(right)[:2].tolist()
    other_class = (arrays["labels"] + 1) % 3
    for row, label in [*((r, arrays["labels"][r]) for r in gained), *((r, other_class[r]) for r in lost)]:
        moved["predictions"][row] = label
        moved["logits"][row, label] += 20
    path = tmp_path / "same.yaml"
    head = study.entry.path.read_text(encoding="utf-8").split("stages:")[0]
    path.write_text(f"{head}claims:\n{CLAIM.format(metric='accuracy', value=float(np.mean(right)))}")
    same = search._explain(Experiment(catalogue.local(path), setup), {"test": arrays}, tmp_path)
    assert same.state == "nothing to explain"
    other = search._explain(Experiment(catalogue.local(path), setup), {"test": moved}, tmp_path)
    assert other.state == "unexplained"
    assert "4 of 320 predictions differ" in other.failing[0].why

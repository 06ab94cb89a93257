"""The GLUE entries, each downloaded, verified, evaluated, trained, judged and submitted, from a Hub on loopback."""

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import constants
from transformers import AutoModelForSequenceClassification, BertTokenizer

from harness.evaluation import label_order
from harness.judging.verdict import fill_published_value
from harness.records import torchdistill_log
from harness.records.record import read_record
from harness.runs import glue_submission
from tests.helpers.glue_hub import (
    LOGGED,
    ROWS,
    SIZES,
    VOCABULARY,
    at,
    classifier,
    encoder,
    filled,
    glue_data,
    parquet,
    pickled,
    save,
)
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT, Ended, Write, Zoo
from zoo.fetch.lock import read_lock
from zoo.models.sequence_classifier import published_classifier
from zoo.recipes import catalogue
from zoo.recipes.schema import Claim
from zoo.tasks.glue import GLUE

ENTRIES = catalogue.select(["glue"])
MRPC = "yoshitomo-matsubara/bert-base-uncased-mrpc"


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    with LocalHub() as server:
        yield filled(server)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def glue(zoo: Zoo, hub: LocalHub, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """The command line with that Hub, a lock that pins nothing, and a cache that the tests of this module share."""
    return at(hub, zoo, cache=cache, lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def data(ended: Ended) -> dict[str, dict[str, object]]:
    return {entry["entry"]: entry for entry in json.loads(ended.out)["entries"]}


def said(ended: Ended) -> list[str]:
    """What goes to stderr besides that a source is trusted, and that there is no lock yet."""
    return [line for line in ended.lines if not re.search("trusted on first use$|: no such lock yet: ", line)]


def test_there_are_27_and_their_names_are_those_of_their_repositories() -> None:
    names = {entry.name for entry in ENTRIES}
    kinds = ("bert-base-uncased-{}", "bert-large-uncased-{}", "bert-base-uncased-{}_from_bert-large-uncased-{}")
    assert names == {kind.format(task, task) for task in GLUE for kind in kinds}
    for entry in ENTRIES:
        assert entry.recipe.weights == f"hub:yoshitomo-matsubara/{entry.name}"
        assert 25 <= len(entry.path.read_text().splitlines()) <= 60, entry.name
        assert {claim.of for claim in entry.recipe.claims} == {"weights", "retrain", "test-server"}


def test_known_dev_scores_are_claims_and_six_stand_in_a_log() -> None:
    """The facts, counted: 21 of the 27 have a public score of the published weights, six only in `training.log`."""
    weights = {e.name: [c for c in e.recipe.claims if c.of == "weights"] for e in ENTRIES}
    assert sum(all(claim.value is not None for claim in claims) for claims in weights.values()) == 21
    logged = {name for name, claims in weights.items() if all(claim.log == "training.log" for claim in claims)}
    assert len(logged) == 6
    (mrpc,) = [c for c in weights["bert-base-uncased-mrpc"] if c.metric == "f1"]
    assert (mrpc.value, mrpc.decimals, mrpc.precision) == (0.90681, 7, "fp32")


def test_every_entry_is_evaluated_and_judged_in_one_process_and_one_json(glue: Zoo, hub: LocalHub) -> None:
    ended = glue("verify", "--suite", "glue", "--json", "--device", "cpu")
    found = data(ended)
    assert found.keys() == {entry.name for entry in ENTRIES}, ended.err
    assert all(entry["error"] is None for entry in found.values()), ended.err
    for entry in found.values():
        claims = entry["claims"]
        assert isinstance(claims, list)
        counted = [claim for claim in claims if claim["of"] == "weights"]
        assert all(claim["measured"] is not None for claim in counted)
        shown = [claim for claim in claims if claim["of"] == "test-server"]
        assert shown
        assert all((claim["measured"], claim["verdict"]) == (None, "not-compared") for claim in shown)
        assert entry["verdict"] in {claim["verdict"] for claim in counted}
    # what the log beside the weights says is the claim, to the decimals that are written there
    logged = [claim for claim in found["bert-base-uncased-stsb"]["claims"] if claim["of"] == "weights"]  # type: ignore[attr-defined]
    assert {claim["metric"]: claim["claimed"] for claim in logged} == {"pearson": 0.1, "spearman": 0.2}
    record = read_record(Path(found["bert-base-uncased-stsb"]["records"][0]))  # type: ignore[index]
    assert record.published["training.log"] == {"pearson": LOGGED["pearson"], "spearman": LOGGED["spearmanr"]}
    assert record.provenance["hub:yoshitomo-matsubara/bert-base-uncased-stsb"]["pinned"] == "first use"
    requests = len(hub.requests)
    used = record.identity.sources["files"]
    repository = "hub:yoshitomo-matsubara/bert-base-uncased-stsb"
    assert {f"{repository}/{name}" for name in ("config.json", "vocab.txt", "tokenizer_config.json")} < used.keys()
    again = glue("verify", "--suite", "glue", "--json", "--device", "cpu")
    assert data(again) == found
    assert len(hub.requests) == requests  # all is in the cache, and pinned


def test_every_entry_is_trained_again_and_judged_the_distilled_ones_with_their_teachers(glue: Zoo) -> None:
    ended = glue("verify", "--suite", "glue", "--train", "--seeds", "1", "--json", "--device", "cpu")
    found = data(ended)
    assert found.keys() == {entry.name for entry in ENTRIES}, ended.err
    assert all(entry["error"] is None for entry in found.values()), ended.err
    for name, entry in found.items():
        (path,) = entry["records"]  # type: ignore[misc]
        record = read_record(Path(path))
        assert {result.selection for result in record.results} == {"best", "last"}
        log = [json.loads(line) for line in Path(path).with_name("log.jsonl").read_text().splitlines()]
        assert len([line for line in log if "losses" in line]) >= 2
        teachers = [
            source for source in record.identity.sources["files"] if "bert-large" in source and "_from_" not in source
        ]
        assert bool(teachers) == ("_from_" in name or name.startswith("bert-large"))
        assert {
            source.rpartition("/")[0] for source in record.identity.sources["files"]
        } == record.provenance.keys() - {"hub:datasets/nyu-mll/glue"}


FAMILIES = ("bert-base-uncased-{0}", "bert-large-uncased-{0}", "bert-base-uncased-{0}_from_bert-large-uncased-{0}")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_submission_of_the_nine_tasks_is_refused_only_for_its_counts(family: str, glue: Zoo) -> None:
    names = [family.format(task) for task in GLUE]
    ended = glue("submit", *names, "--out", "submitted", "--device", "cpu")
    assert ended.code == 1
    assert sorted(path.name for path in Path("submitted").iterdir()) == sorted(
        [*glue_submission.FILES, glue_submission.ZIP]
    )
    expected = [
        f"{name}: {ROWS['test']} rows after the header, expected {file.rows}"
        for name, file in glue_submission.FILES.items()
    ]
    assert said(ended) == expected
    assert glue("submit", "--check", "submitted/submission.zip").lines == expected
    twice = glue("submit", "bert-base-uncased-mrpc", "bert-large-uncased-mrpc", "--out", "twice")
    assert (twice.code, len(said(twice))) == (2, 1)
    assert "another entry is of the same task" in twice.err


def test_without_a_hub_every_entry_is_not_run_and_nothing_is_written(zoo: Zoo, tmp_path: Path) -> None:
    started = time.monotonic()
    ended = zoo("verify", "--suite", "glue", "--json")  # conftest names a port that nobody listens at
    assert ended.code == 4
    assert time.monotonic() - started < 20  # one deadline of 2 s for all 27, and what it takes to read them
    found = data(ended)
    assert found.keys() == {entry.name for entry in ENTRIES}
    assert {entry["verdict"] for entry in found.values()} == {"not-run"}
    assert all("http://127.0.0.1:9 did not serve it" in str(entry["error"]) for entry in found.values())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not list(Path(constants.HF_HUB_CACHE).rglob("*nyu-mll*"))


OFFLINE = """
import os, socket, sys
import harness.runs.reproduce
from zoo.cli.app import main

def refuse(*_): raise AssertionError("a socket was opened")

def run(*words):
    sys.argv = ["zoo", *words]
    try: main()
    except SystemExit as end: return end.code

socket.socket.connect = refuse
verify = ("verify", sys.argv[1], "--json", "--device", "cpu")
child = os.fork()
if child == 0:
    os.dup2(2, 1)
    os._exit(run(*verify))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
sys.stdin.readline()
run(*verify)
run(*verify, "--train", "--seeds", "1")
"""


def test_an_entry_that_was_fetched_runs_without_a_network(
    zoo: Zoo, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process that imports once and cannot connect: a fork of it before the files are there, itself after."""
    entry = "bert-base-uncased-rte_from_bert-large-uncased-rte"
    online = at(hub, zoo, cache=tmp_path / "hf" / "hub", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)
    cached = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    environment = {**os.environ, **cached, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", OFFLINE, entry], text=True, env=environment, **pipes) as offline:
        assert offline.stdout is not None
        assert offline.stdout.readline() == "4\n"
        fetched = online("fetch", entry, "--train")
        assert (fetched.code, "MB to download" in fetched.err) == (0, True), fetched.err
        out, err = offline.communicate("go on\n")
    assert "HF_HUB_OFFLINE is set; `zoo fetch` gets it online" in err
    printed = [json.loads(text) for text in re.split(r"\n(?={)", out.strip())]
    assert [one["entries"][0]["error"] for one in printed] == [None, None], err


def test_a_published_checkpoint_gives_what_a_plain_call_of_transformers_gives(tmp_path: Path) -> None:
    """Of 2021: `LayerNorm.gamma` and `beta`, `position_ids`, a pickle, `vocab.txt` alone; also one kept in fp16."""
    old = classifier("base", 2, seed=3)
    half = {name: value.half() if value.is_floating_point() else value for name, value in _state(old).items()}
    for name, files in (("old", old), ("half", {**old, "pytorch_model.bin": pickled(half)})):
        folder = save(tmp_path / name, files)
        ours = published_classifier(folder, "pytorch_model.bin", {"num_labels": 2}).eval()
        plain = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
        inputs = BertTokenizer.from_pretrained(folder)("the old cat", "a new dog", return_tensors="pt")
        assert next(ours.parameters()).dtype == torch.float32
        with torch.no_grad():
            assert torch.equal(ours(**inputs).logits, plain(**inputs).logits)
        own = dict(ours.named_parameters())
        layer = "bert.encoder.layer.0.output.LayerNorm."
        assert torch.equal(own[f"{layer}weight"], _state(files)[f"{layer}gamma"].float())


def _state(files: dict[str, bytes]) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(io.BytesIO(files["pytorch_model.bin"]), weights_only=True)
    return state


class Malice:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, ("touch executed",)


REFUSED = {
    "a malicious pickle": lambda files: {**files, "pytorch_model.bin": pickled({"classifier.weight": Malice()})},
    "no head": lambda files: {
        **files, "pytorch_model.bin": pickled({n: v for n, v in _state(files).items() if "classifier" not in n}),
    },
    "another number of outputs": lambda files: {**files, **classifier("base", 3, seed=1)},
    "half a file": lambda files: {**files, "pytorch_model.bin": files["pytorch_model.bin"][:1000]},
    "custom code": lambda files: {
        **files, "config.json": files["config.json"].replace(
            b'"model_type": "bert"', b'"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}'
        ),
    },
}  # fmt: skip


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_trusted_is_refused_and_not_scored(
    change: Callable[[dict[str, bytes]], dict[str, bytes]], glue: Zoo, hub: LocalHub, tmp_path: Path
) -> None:
    hub.add("models", "someone/odd", change(classifier("base", 2, seed=1)))
    text = (ROOT / "configs" / "glue" / "bert-base-uncased-mrpc.yaml").read_text()
    text = text.replace(f"weights: hub:{MRPC}", "weights: hub:someone/odd")
    (tmp_path / "odd.yaml").write_text(text)
    ended = glue("reproduce", "odd.yaml", "--device", "cpu")
    assert ended.code == 5, ended.err
    assert len(said(ended)) == 1, ended.err
    assert "not-run" in ended.out
    assert not Path("executed").exists()
    assert not list(tmp_path.rglob("record.json"))


def test_a_model_whose_classes_are_in_another_order_is_scored_as_it_is_and_reported(
    glue: Zoo, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its predictions are planted: right on nine in ten, but with the two classes swapped."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    swapped = np.where(rng.random(200) < 0.9, 1 - labels, labels)
    names = ("entailment", "not_entailment")
    (found,) = label_order.findings({0: "LABEL_0", 1: "LABEL_1"}, names, swapped, labels)
    assert "if entailment is not_entailment, not_entailment is entailment" in found
    right = np.where(rng.random(200) < 0.6, labels, 1 - labels)
    assert label_order.findings({0: "LABEL_0", 1: "LABEL_1"}, names, right, labels) == ()
    (named,) = label_order.findings({0: "not_entailment", 1: "Entailment"}, names, right, labels)
    assert named.startswith("label order: the model names its classes not_entailment, entailment")
    # through the command line: the model's names are in another order than the data's
    files = classifier("base", 2, seed=1)
    settings = json.loads(files["config.json"]) | {"id2label": {"0": "equivalent", "1": "not_equivalent"}}
    hub.add("models", "someone/swapped", {**files, "config.json": json.dumps(settings).encode()})
    text = (ROOT / "configs" / "glue" / "bert-base-uncased-mrpc.yaml").read_text()
    (tmp_path / "swapped.yaml").write_text(text.replace(f"weights: hub:{MRPC}", "weights: hub:someone/swapped"))
    ended = glue("reproduce", "swapped.yaml", "--device", "cpu")
    assert "note: label order: the model names its classes equivalent, not_equivalent" in ended.out, ended.err


def test_an_order_that_the_predictions_speak_against_is_reported_and_not_scored(
    glue: Zoo, hub: LocalHub, tmp_path: Path
) -> None:
    """A published model that says only LABEL_0, LABEL_1, on rows labelled with the other class than it predicts."""
    files, name = glue_data(), "mrpc/validation-00000-of-00001.parquet"
    table = pq.read_table(io.BytesIO(files[name])).to_pydict()
    many = {column: values * 20 for column, values in table.items()}
    hub.add("models", "someone/other-order", classifier("base", 2, seed=1))
    text = (ROOT / "configs" / "glue" / "bert-base-uncased-mrpc.yaml").read_text()
    text = text.replace(f"weights: hub:{MRPC}", "weights: hub:someone/other-order")
    found: list[dict[str, Any]] = []
    for way in ("any", "swapped"):
        if found:
            record = Path(found[0]["records"][0])
            many["label"] = (1 - np.load(record.with_name("predictions-validation.npz"))["predictions"]).tolist()
        hub.add("datasets", f"someone/{way}", {**files, name: parquet(many, labels=pa.int64())})
        (tmp_path / f"{way}.yaml").write_text(text.replace("hub:datasets/nyu-mll/glue", f"hub:datasets/someone/{way}"))
        found += data(glue("reproduce", f"{way}.yaml", "--json", "--device", "cpu")).values()
    assert next(claim["measured"] for claim in found[1]["claims"] if claim["metric"] == "accuracy") == 0.0
    (said_of_it,) = found[1]["findings"]
    assert "if not_equivalent is equivalent, equivalent is not_equivalent" in said_of_it


def test_the_p_value_of_a_sign_test() -> None:
    assert label_order.sign_test(0, 0) == 1
    assert label_order.sign_test(5, 0) == pytest.approx(2 / 32)
    assert label_order.sign_test(8, 1) == pytest.approx(2 * (9 + 1) / 512)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "x\tValidation: accuracy = 0.1\nx\tTest: accuracy = 0.8725490196078431, f1 = 0.9\n",
            {"accuracy": "0.8725490196078431", "f1": "0.9"},
        ),
        ("Test: pearson = 0.9, spearmanr = 8.9e-1", {"pearson": "0.9", "spearman": "8.9e-1"}),
        ("Test: accuracy = 0.1\nTest: accuracy = 0.2\nTest: \n", {"accuracy": "0.2"}),
        ("Validation: accuracy = 0.1\n", {}),
        ("", {}),
    ],
)
def test_a_log_is_read_at_its_last_scores(text: str, expected: dict[str, str]) -> None:
    assert torchdistill_log.read_test_scores(text) == expected


def test_a_log_that_holds_no_score_is_not_compared(glue: Zoo, hub: LocalHub, tmp_path: Path) -> None:
    text = (ROOT / "configs" / "glue" / "bert-base-uncased-wnli.yaml").read_text()
    for name, log in (("silent", {"training.log": b"nothing\n"}), ("without", {})):
        hub.add("models", f"someone/{name}", {**classifier("base", 2, seed=1), **log})
        (tmp_path / f"{name}.yaml").write_text(
            text.replace("weights: hub:yoshitomo-matsubara/bert-base-uncased-wnli", f"weights: hub:someone/{name}")
        )
        ended = glue("reproduce", f"{name}.yaml", "--device", "cpu")
        assert ended.code == 3, ended.err
        assert "The file training.log should hold the claimed value, but it holds no such score." in ended.out


NAMED, RENAMED = b'"0": "not_equivalent", "1": "equivalent"', b'"0": "equivalent", "1": "not_equivalent"'
OTHER_DATA = [
    (lambda card: card.replace(NAMED, RENAMED), "expected not_equivalent, equivalent"),
    (lambda card: card.replace(b'"mrpc/train-*"', b'"mrpc/nothing-*"'), "the data have no split 'train'"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), OTHER_DATA, ids=["classes in another order", "no such split"])
def test_data_that_are_not_what_the_task_says_are_refused(
    change: Callable[[bytes], bytes], message: str, glue: Zoo, hub: LocalHub, tmp_path: Path
) -> None:
    files = glue_data()
    changed = change(files["README.md"])
    assert changed != files["README.md"]
    hub.add("datasets", "someone/glue", {**files, "README.md": changed})
    text = (ROOT / "configs" / "glue" / "bert-base-uncased-mrpc.yaml").read_text()
    (tmp_path / "other.yaml").write_text(text.replace("hub:datasets/nyu-mll/glue", "hub:datasets/someone/glue"))
    ended = glue("train", "other.yaml", "--device", "cpu")
    assert ended.code in (2, 5)
    assert message in ended.err


PUBLISHED = """\
name: published
task: {use: glue, name: mrpc, data: hub:datasets/nyu-mll/glue}
tokenizer: {use: published, of: hub:.}
model: {use: sequence_classifier, init: hub:google-bert/bert-base-uncased, num_labels: 2}
weights: hub:.
claims:
  - {of: weights, split: validation, metric: accuracy, value: 0.5, decimals: 1, source: its author}
"""


def test_a_recipe_is_published_beside_its_weights(glue: Zoo, hub: LocalHub) -> None:
    files = classifier("base", 2, seed=5)
    commit = hub.add("models", "someone/published", {**files, "zoo.yaml": PUBLISHED.encode()})
    later = hub.add("models", "someone/published", {**classifier("base", 2, seed=6), "zoo.yaml": b"name: [broken"})
    ended = glue("reproduce", f"someone/published@{commit}", "--json", "--device", "cpu")
    (entry,) = json.loads(ended.out)["entries"]
    assert entry["error"] is None, ended.err
    assert entry["entry"] == "published"
    record = read_record(Path(entry["records"][0]))
    assert record.provenance[f"hub:someone/published@{commit}"]["revision"] == commit
    broken = glue("reproduce", f"someone/published@{later}")
    assert broken.code == 2
    assert "zoo.yaml:1:" in broken.err
    missing = glue("reproduce", MRPC)
    assert missing.code == 4
    assert "has no file 'zoo.yaml'; it has config.json, " in missing.err
    unknown = glue("reproduce", "someone/nothing")
    assert (unknown.code, len(unknown.lines)) == (4, 1)
    hub.add(
        "models", "someone/evil", {"zoo.yaml": PUBLISHED.replace("use: glue, name: mrpc", "use: os.system").encode()}
    )
    assert "imports from 'os' are not allowed" in glue("reproduce", "someone/evil").err


def test_the_lock_is_checked_offline_and_renewed_by_name(glue: Zoo, hub: LocalHub, tmp_path: Path) -> None:
    assert glue("lock", "--check", "--lock", ROOT / "configs" / "zoo.lock").code == 0
    lock = tmp_path / "zoo.lock"
    first = glue("lock", "--update", "bert-base-uncased-cola")
    assert first.code == 0, first.err
    assert all(line.startswith("+ ") for line in first.out.splitlines())
    pinned = read_lock(lock).pins["hub:yoshitomo-matsubara/bert-base-uncased-cola"]
    repo = hub.repos["models", "yoshitomo-matsubara/bert-base-uncased-cola"]
    before, files = repo.main, dict(repo.commits[repo.main])
    assert pinned.revision == before
    try:
        hub.add("models", "yoshitomo-matsubara/bert-base-uncased-cola", {**files, **classifier("base", 2, seed=99)})
        again = glue("lock", "--update", "bert-base-uncased-cola")
        assert f"- hub:yoshitomo-matsubara/bert-base-uncased-cola revision {before}" in again.out
        assert glue("lock", "--update", "bert-base-uncased-cola").out == ""
    finally:
        hub.add("models", "yoshitomo-matsubara/bert-base-uncased-cola", files)
    own = glue("lock", "--update", "bert-base-uncased-cola", "--lock", ROOT / "configs" / "zoo.lock")
    assert (own.code, len(own.lines)) == (2, 1)
    assert f"is for https://huggingface.co, not for {hub.url}" in own.err
    listed = json.loads(glue("lock", "bert-base-uncased-cola", "--json").out)["sources"]
    assert all(source["pinned"] == "lock" for source in listed)


def test_hidden_labels_are_never_scored(glue: Zoo, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", predictions=np.zeros(ROWS["test"], np.int64))
    ended = glue("evaluate", "mine.npz", "--as", "bert-base-uncased-mrpc", "--split", "test")
    assert (ended.code, ended.lines[-1]) == (2, "the split 'test' is not scored; validation is")


def test_a_students_layers_are_some_of_its_teachers(glue: Zoo, hub: LocalHub, tmp_path: Path) -> None:
    recipe = (ROOT / "configs" / "glue" / "bert-large-uncased-mrpc.yaml").read_text()
    (tmp_path / "fewer.yaml").write_text(recipe.replace("num_labels: 2}", "num_labels: 2, layers: [0, 2]}"))
    ended = glue("train", "fewer.yaml", "--out", "fewer", "--device", "cpu")
    assert ended.code == 0, ended.err
    assert json.loads(Path("fewer/config.json").read_text())["num_hidden_layers"] == 2
    assert SIZES["large"]["num_hidden_layers"] == 3
    (tmp_path / "more.yaml").write_text(recipe.replace("num_labels: 2}", "num_labels: 2, layers: [0, 3]}"))
    assert "layers must be of 0 to 2, not [0, 3]" in glue("train", "more.yaml", "--device", "cpu").err


WRONG_CARDS = {
    "no name": {"configs": [{"data_files": []}]},
    "no list": {"configs": "mrpc"},
    "no split": {"configs": [{"config_name": "mrpc", "data_files": [{"path": "mrpc/*"}]}]},
    "odd files": {"configs": [{"config_name": "mrpc", "data_files": 7}]},
    "odd info": {"dataset_info": [{"config_name": "mrpc", "features": 7}]},
}


@pytest.mark.parametrize("card", WRONG_CARDS.values(), ids=WRONG_CARDS)
def test_a_damaged_card_is_told_and_loses_no_other_result(
    card: dict[str, Any], glue: Zoo, hub: LocalHub, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    name = f"someone/card-{request.node.callspec.id.replace(' ', '-')}"
    hub.add("datasets", name, {**glue_data(), "README.md": f"---\n{json.dumps(card)}\n---\n".encode()})
    text = (ROOT / "configs" / "glue" / "bert-base-uncased-mrpc.yaml").read_text()
    (tmp_path / "card.yaml").write_text(text.replace("hub:datasets/nyu-mll/glue", f"hub:datasets/{name}"))
    ended = glue("verify", "card.yaml", "bert-base-uncased-rte", "--json", "--device", "cpu")
    found = data(ended)
    assert "README.md: cannot be read as data" in str(found["bert-base-uncased-mrpc"]["error"]), ended.err
    assert found["bert-base-uncased-rte"]["error"] is None


def test_a_label_that_is_none_is_refused(glue: Zoo, hub: LocalHub, tmp_path: Path) -> None:
    files = glue_data()
    table = pq.read_table(io.BytesIO(files["mrpc/validation-00000-of-00001.parquet"])).to_pydict()
    broken = parquet({**table, "label": [None, *table["label"][1:]]}, labels=pa.int64())
    hub.add("datasets", "someone/null", {**files, "mrpc/validation-00000-of-00001.parquet": broken})
    text = (ROOT / "configs" / "glue" / "bert-base-uncased-mrpc.yaml").read_text()
    (tmp_path / "null.yaml").write_text(text.replace("hub:datasets/nyu-mll/glue", "hub:datasets/someone/null"))
    ended = glue("reproduce", "null.yaml", "--device", "cpu")
    assert ended.code == 5
    assert "mrpc, validation: row 0 has the label None, which is no number" in ended.err


@pytest.mark.parametrize("written", ["56.3", "5.7e1", "much", "nan"])
def test_a_log_that_holds_no_fraction_is_not_compared(written: str, glue: Zoo, hub: LocalHub, tmp_path: Path) -> None:
    log = f"Test: accuracy = {written}\n".encode()
    hub.add("models", "someone/logged", {**classifier("base", 2, seed=1), "training.log": log})
    text = (ROOT / "configs" / "glue" / "bert-base-uncased-wnli.yaml").read_text()
    own = "hub:yoshitomo-matsubara/bert-base-uncased-wnli"
    (tmp_path / "logged.yaml").write_text(text.replace(own, "hub:someone/logged"))
    found = data(glue("verify", "logged.yaml", "--json", "--device", "cpu", "--lock", f"{written}.lock"))
    assert (found["bert-base-uncased-wnli"]["verdict"], found["bert-base-uncased-wnli"]["error"]) == (
        "not-compared", None,
    )  # fmt: skip


def test_a_score_of_a_log_with_few_digits_is_compared_as_strictly() -> None:
    claim = Claim(of="weights", split="v", metric="accuracy", log="training.log", decimals=7, source="x")
    for written, value in (("0.5", 0.5), ("5.5e-01", 0.55)):
        found = fill_published_value(claim, {"training.log": {"accuracy": written}})
        assert (found.value, found.decimals, found.log) == (value, 7, None)
    own = fill_published_value(replace(claim, decimals=None), {"training.log": {"accuracy": "0.5"}})
    assert own.decimals == 16


def test_a_log_is_beside_the_weights_in_a_repository(zoo: Zoo, recipe_file: Write) -> None:
    claims = "claims: [{of: weights, split: test, metric: accuracy, log: x.log, source: x}]\n"
    ended = zoo("check", recipe_file(recipe_file().read_text() + claims))
    assert ended.code == 2
    assert "a claim's 'log' is a file in the repository of the weights" in ended.err


def test_a_model_that_does_not_fit_its_tokenizer_is_told_when_it_is_submitted(
    glue: Zoo, hub: LocalHub, tmp_path: Path
) -> None:
    words = [*VOCABULARY[:5], *(f"word{i}" for i in range(60)), *VOCABULARY[5:]]
    hub.add("models", "someone/wordy", {**classifier("base", 2, seed=1), "vocab.txt": "\n".join(words).encode()})
    text = (ROOT / "configs" / "glue" / "bert-base-uncased-mrpc.yaml").read_text()
    (tmp_path / "wordy.yaml").write_text(text.replace(f"of: hub:{MRPC}", "of: hub:someone/wordy"))
    ended = glue("submit", "wordy.yaml", "--out", "out", "--device", "cpu")
    assert (ended.code, len(said(ended))) == (2, 1)
    assert "IndexError" in ended.err


def test_the_minilm_recipes_train_and_are_judged_the_students_with_their_teachers(glue: Zoo, hub: LocalHub) -> None:
    hub.add("models", "sentence-transformers/all-MiniLM-L6-v2", encoder("base", num_hidden_layers=6))
    ended = glue("verify", "--suite", "minilm", "--train", "--seeds", "1", "--json", "--device", "cpu")
    found = data(ended)
    assert found.keys() == {entry.name for entry in catalogue.select(["minilm"])}
    assert all(entry["error"] is None and len(entry["records"]) == 1 for entry in found.values()), ended.err  # type: ignore[arg-type]
    student = read_record(Path(found["minilm-l3-mrpc_from_minilm-l6-mrpc"]["records"][0]))  # type: ignore[index]
    assert "run:minilm-l6-mrpc:1000" in student.identity.sources["files"]

"""evaluate --from, and what other commands do with the runs."""

import json
from pathlib import Path

import pytest

from harness.records.check import verify_record
from harness.records.record import read_record
from tests.helpers.project import ROOT, Zoo
from tests.helpers.tool_logs import inspect_log, lm_eval_sample, write_lighteval, write_lm_eval


@pytest.fixture
def log() -> Path:
    return write_lm_eval(Path("log"))


def imported(zoo: Zoo, log: Path, out: str, *words: str) -> None:
    completed = zoo("evaluate", log, "--from", "lm-eval", "--out", out, *words)
    assert completed.code == 0, completed.err


def test_a_log_becomes_a_record_that_passes_every_check(zoo: Zoo, log: Path) -> None:
    completed = zoo("evaluate", log, "--from", "lm-eval", "--json")
    assert completed.code == 0, completed.err
    data = json.loads(completed.out)
    assert [(r["split"], r["measured"], r["reported"], r["n"]) for r in data["results"]] == [
        ("boolq/acc", 0.75, 0.75, 4), ("boolq/acc_norm", 1.0, 1.0, 4),
    ]  # fmt: skip
    record = read_record(Path(data["record"]))
    verify_record(Path(data["record"]), record)
    assert (record.entry, record.identity.numerics["precision"]) == ("lm-eval-pythia-14m", "fp32")
    assert record.imported["tool"] == "lm-eval"
    assert zoo("evaluate", log, "--from", "lm-eval", "--json").out == completed.out


def test_a_folder_with_another_run_is_not_replaced(zoo: Zoo, log: Path) -> None:
    imported(zoo, log, "run")
    imported(zoo, log, "run", "--claim", "acc=0.75")
    before = Path("run/record.json").read_bytes()
    other = write_lm_eval(Path("other"), {"boolq": (1.0, 1.0)})
    completed = zoo("evaluate", other, "--from", "lm-eval", "--out", "run")
    assert (completed.code, len(completed.lines)) == (4, 1)
    assert "run has another run, of lm-eval-pythia-14m, which is not replaced; pass another --out" in completed.err
    assert Path("run/record.json").read_bytes() == before


def test_logs_of_the_other_tools_are_imported(zoo: Zoo) -> None:
    Path("inspect.json").write_text(json.dumps(inspect_log()))
    for tool, path in (("lighteval", write_lighteval(Path("lighteval"))), ("inspect", Path("inspect.json"))):
        completed = zoo("evaluate", path, "--from", tool, "--json")
        assert completed.code == 0, completed.err
        assert json.loads(completed.out)["results"][0]["measured"] == 0.75


def test_a_log_without_a_precision_counts_as_bf16(zoo: Zoo) -> None:
    Path("inspect.json").write_text(json.dumps(inspect_log()))
    completed = zoo("evaluate", "inspect.json", "--from", "inspect")
    assert "note: the log states no precision that zoo knows, so it counts as bf16" in completed.out


def test_two_logs_are_compared_sample_by_sample(zoo: Zoo) -> None:
    for name, rights in (("a", (1.0, 0.0) * 100), ("b", (0.0, 0.0) * 100)):
        imported(zoo, write_lm_eval(Path(name), {"boolq": rights}), f"run-{name}", "--group-by", "passage")
    completed = zoo("diff", "run-a", "run-b", "--json")
    assert completed.code == 0, completed.err
    split = json.loads(completed.out)["splits"][0]
    assert (split["split"], split["flips"]["lost"], split["flips"]["gained"]) == ("boolq/acc", 100, 0)
    assert split["groups"]["shared"] == "the field passage"
    text = zoo("diff", "run-a", "run-b").out
    assert "boolq/acc, 200 examples\n" in text and "example 0: right -> wrong" in text
    assert "epoch" not in text and "margins" not in text
    assert "100 groups of examples that share the field passage, at most 2 of 200 examples" in text


def test_real_valued_scores_have_intervals(zoo: Zoo) -> None:
    for name, low in (("a", 0.1), ("b", 0.3)):
        lines = [lm_eval_sample(n, 1.0, metrics=["f1"], f1=low + n / 100) for n in range(40)]
        folder = write_lm_eval(Path(name), {"t": (1.0,)}, samples=lines, results={})
        imported(zoo, folder, f"run-{name}")
    completed = zoo("diff", "run-a", "run-b", "--json")
    assert completed.code == 0, completed.err
    (change,) = json.loads(completed.out)["splits"][0]["metrics"]
    assert change["metric"] == "mean_score"
    assert (change["low"], change["high"]) == pytest.approx((0.2, 0.2), abs=0.002)


def test_logs_of_other_documents_are_not_compared(zoo: Zoo, log: Path) -> None:
    lines = [lm_eval_sample(number, 1.0, doc_hash="0" * 64) for number in range(4)]
    imported(zoo, log, "run-a")
    imported(zoo, write_lm_eval(Path("b"), {"boolq": (1.0,) * 4}, samples=lines), "run-b")
    completed = zoo("diff", "run-a", "run-b")
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert "not the same examples: boolq/acc has other documents or targets (4 and 4 examples)" in completed.err


def test_right_and_wrong_are_not_compared_with_real_valued_scores(zoo: Zoo) -> None:
    for name, scores in (("a", (0.0, 1.0)), ("b", (0.5, 1.0))):
        lines = [lm_eval_sample(n, 1.0, metrics=["f1"], f1=score) for n, score in enumerate(scores)]
        imported(zoo, write_lm_eval(Path(name), {"t": (1.0,)}, samples=lines, results={}), f"run-{name}")
    completed = zoo("diff", "run-a", "run-b")
    assert completed.code == 2
    assert "t/f1 has only the scores 0 and 1 in one log" in completed.err


def test_logs_with_other_groups_are_not_compared(zoo: Zoo, log: Path) -> None:
    imported(zoo, log, "run-a")
    imported(zoo, log, "run-b", "--group-by", "passage")
    completed = zoo("diff", "run-a", "run-b")
    assert completed.code == 2
    assert "import both with the same" in completed.err


@pytest.mark.parametrize(
    ("claim", "code", "verdict"),
    [
        ("boolq/acc=0.75", 0, "reproduced"), ("acc=0.750", 0, "reproduced"), ("acc=0.00", 1, "not-reproduced"),
        ("acc=0.61", 3, "not-compared"),
    ],
)  # fmt: skip
def test_a_claim_about_a_log_is_judged(claim: str, code: int, verdict: str, zoo: Zoo, log: Path) -> None:
    completed = zoo("evaluate", log, "--from", "lm-eval", "--claim", claim, "--json")
    assert completed.code == code, completed.err
    assert json.loads(completed.out)["claims"][0]["verdict"] == verdict


def test_an_imported_run_is_signed_with_its_claims_and_published(zoo: Zoo, log: Path) -> None:
    imported(zoo, log, "run", "--claim", "acc=0.75")
    assert zoo("attest", "key", "my.key").code == 0
    completed = zoo("attest", "sign", "run", "--key", "my.key", "--out", "a.json")
    assert "claimed 0.75, measured 0.7500: reproduced" in completed.out
    verified = zoo("attest", "verify", "a.json", "--key", "my.key.pub")
    assert verified.code == 0
    assert "/names of model and revision: " in verified.out
    card = zoo("publish", "run", "--to", "model-index", "--source", "https://example.org/a.json")
    assert "+      type: google/boolq" in card.out
    assert "+        verdict: reproduced" in card.out
    assert "+        claim: typed at the command line, without a source" in card.out
    assert "+        log_of: lm-eval 0.4.13" in card.out
    assert "weights_sha256" not in card.out
    shown = zoo("publish", "run", "--to", "every-eval-ever").out
    assert '+    "name": "lm-eval",' in shown
    assert "weights_sha256" not in shown


def test_only_what_a_log_says_is_published(zoo: Zoo) -> None:
    lines = [lm_eval_sample(n, 1.0, metrics=["acc", "bleu"], bleu=20.0 + n) for n in range(4)]
    means = {"boolq": {"acc,none": 1.0, "bleu,none": 21.5}}
    log = write_lm_eval(Path("log"), {"boolq": (1.0,)}, samples=lines, results=means, date=None, config={})
    imported(zoo, log, "run")
    shown = zoo("publish", "run", "--to", "every-eval-ever").out
    assert '"hf_split": "validation"' in shown
    assert '"metric_id": "bleu"' in shown
    assert shown.count('"max_score"') == 1
    assert "bf16" not in shown
    assert "evaluation_timestamp" not in shown
    entry = zoo("publish", "run", "--to", "eval-results", "--source", "https://example.org").out
    assert "split validation; task boolq; metric acc; measured only: acc 1 (4 of 4)" in entry
    assert "date" not in entry
    card = zoo("publish", "run", "--to", "model-index", "--source", "https://example.org").out
    assert (card.count("- task:"), card.count("type: bleu"), card.count("split: validation")) == (1, 1, 1)


def test_scores_of_an_unknown_split_are_not_published(zoo: Zoo) -> None:
    configs = {"boolq": {"task": "boolq", "dataset_path": "google/boolq"}}
    imported(zoo, write_lm_eval(Path("log"), configs=configs), "run")
    completed = zoo("publish", "run", "--to", "every-eval-ever")
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert "does not say which split of google/boolq the task boolq scored" in completed.err


@pytest.mark.parametrize("tool", ["lm-eval", "lighteval", "inspect"])
def test_a_log_that_does_not_exist_is_named(tool: str, zoo: Zoo) -> None:
    completed = zoo("evaluate", "nowhere/log", "--from", tool)
    assert completed.code == 4
    assert completed.err.lower().startswith("nowhere/log: no such file or ")


def test_the_folder_of_all_models_names_those_of_each(zoo: Zoo) -> None:
    write_lm_eval(Path("logs/model"))
    completed = zoo("evaluate", "logs", "--from", "lm-eval")
    assert completed.code == 2
    assert completed.err == "logs: no file samples_TASK_DATE.jsonl; name one of the folders inside: logs/model\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--from", "lm-eval", "--as", "digits-resnet8"], "--from reads a log, which has its own tasks"),
        (["--group-by", "task"], "--group-by, --claim, --out and --records are for logs"),
        ([], "pass --as ENTRY, whose task is scored, or --from TOOL"),
        (["--from", "lm-eval", "--claim", "f1=0.5"], "--claim f1=0.5: write SCORE=VALUE with one of these scores"),
        (["--from", "lm-eval", "--claim", "acc=75"], "--claim acc=75: the claim's value 75 is not a fraction"),
        (["--from", "lm-eval", "--claim", "acc=x"], "--claim acc=x: 'x' is no number; write a fraction such as 0.54"),
        (["--from", "lm-eval", "--claim", "acc=54%"], "--claim acc=54%: '54%' is no number; write a fraction such as"),
        (["--from", "lm-eval", "--claim", "acc=nan"], "--claim acc=nan: "),
        (["--from", "inspect"], "log: not a file"),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], error: str, zoo: Zoo, log: Path) -> None:
    completed = zoo("evaluate", log, *words)
    assert completed.code in (2, 4)
    assert completed.err.startswith(error)
    assert len(completed.lines) == 1


@pytest.mark.process
def test_importing_a_log_needs_no_torch(zoo_process: Zoo, tmp_path: Path) -> None:
    write_lm_eval(tmp_path / "log")
    (tmp_path / "torch.py").write_text("raise ImportError('torch is not needed')")
    completed = zoo_process("evaluate", "log", "--from", "lm-eval", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert completed.code == 0, completed.err

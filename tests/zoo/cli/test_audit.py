"""`zoo audit`: its text, its JSON, its exit codes, and that it is quick."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT, Zoo
from zoo.errors import UsageError

CARD = """\
---
model-index:
- name: m
  results:
  - dataset: {type: glue, name: GLUE MRPC, args: mrpc}
    metrics:
    - {type: accuracy, value: 0.8578431372549019}
    - {type: f1, value: 0.9023569023569024}
    - {type: loss, value: 0.4}
---
"""
TABLE = """\
model,metric,value,dataset,config,split
a,accuracy,0.8578,glue,mrpc,validation
b,accuracy,0.8577,glue,mrpc,validation
b,accuracy,,glue,mrpc,validation
"""


def test_an_entry_is_audited_on_one_line_for_each_claim(zoo: Zoo) -> None:
    completed = zoo("audit", "bert-base-uncased-mrpc")
    assert completed.code == 0, completed.err
    assert completed.out.splitlines()[:3] == [
        "bert-base-uncased-mrpc: consistent",
        "  accuracy 0.8725490 (glue mrpc, validation): 356 of 408: consistent (under 0.01 % by luck)",
        "  f1 0.9068100 (glue mrpc, validation): F1 implies 253 true positives: consistent (0.03 % by luck)",
    ]


def test_a_terminal_of_80_columns_is_enough(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert all(len(line) <= 80 for line in zoo("audit", "--suite", "glue").out.splitlines())


def test_a_card_and_a_table_are_audited(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(CARD, encoding="utf-8")
    (tmp_path / "claims.csv").write_text(TABLE, encoding="utf-8")
    assert zoo("audit", "README.md").code == 0
    completed = zoo("audit", "README.md", "claims.csv", "--json")
    assert completed.code == 1
    assert completed.err == "claims.csv:4:1: the row has no value\n"
    data = json.loads(completed.out)
    assert [(target["target"], target["verdict"]) for target in data["targets"]] == [
        ("README.md", "consistent"),
        ("a", "consistent"),
        ("b", "inconsistent"),
    ]
    assert data["summary"] == {"uninformative": 0, "consistent": 2, "inconsistent": 1, "impossible": 0}
    first, _, loss = data["targets"][0]["claims"]
    assert (first["line"], first["read_as"], first["text"]) == (7, "accuracy", "350 of 408 (validation): consistent")
    assert loss["text"] == "no rule for the metric 'loss': uninformative"
    assert first["findings"][0]["rule"] == "count" and first["findings"][0]["chance"] < 1e-6


def test_exit_3_means_that_arithmetic_cannot_tell(zoo: Zoo, tmp_path: Path) -> None:
    assert zoo("audit", "cifar10-resnet20").code == 3
    (tmp_path / "README.md").write_text("# No claims\n", encoding="utf-8")
    completed = zoo("audit", "README.md")
    assert completed.code == 3
    assert completed.out.startswith("README.md: no scores in its model-index, and zoo reads no others of a card; ")
    (tmp_path / "empty.csv").write_text("metric,value\n", encoding="utf-8")
    assert zoo("audit", "empty.csv").out.startswith("empty.csv: a header without rows\n")


def test_a_suite_with_entries_without_claims_shows_the_others(zoo: Zoo) -> None:
    completed = zoo("audit", "--suite", "cifar10-cpu")
    assert "cifar10-resnet20-short" not in completed.out
    assert "9,173 of 10,000: uninformative" in completed.out


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("none.md", 4, "none.md: no such file"),
        ("none.csv", 4, "none.csv: no such file"),
        ("bad.yaml", 2, "bad.yaml:1:1: unknown key 'x'"),
        ("bad.csv", 2, "bad.csv:1: a table needs the columns metric and value; this one has value\n"),
        (
            "semicolons.csv",
            2,
            "semicolons.csv:1: a table needs the columns metric and value; this one has metric;value;",
        ),
        ("latin.md", 2, "latin.md: not text in UTF-8: byte 0xff in line 2\n"),
        ("broken.md", 2, "broken.md:2:"),
        ("nothing-like-it", 2, "no entry 'nothing-like-it'"),
    ],
)
def test_what_cannot_be_read_is_an_error_by_name(
    zoo: Zoo, tmp_path: Path, target: str, code: int, message: str
) -> None:
    (tmp_path / "bad.yaml").write_text("x: 1\n", encoding="utf-8")
    (tmp_path / "bad.csv").write_text("value\n1\n", encoding="utf-8")
    (tmp_path / "semicolons.csv").write_text("metric;value\naccuracy;0,8\n", encoding="utf-8")
    (tmp_path / "broken.md").write_text("---\nmodel-index: {a: b: c}\n---\n", encoding="utf-8")
    (tmp_path / "latin.md").write_bytes(b"---\nname: \xff\n---\n")
    completed = zoo("audit", target)
    assert completed.code == code
    assert completed.err.startswith(message), completed.err


def test_one_target_that_cannot_be_read_does_not_stop_the_others(zoo: Zoo) -> None:
    completed = zoo("audit", "none.md", "bert-base-uncased-mrpc")
    assert completed.code == 4
    assert "bert-base-uncased-mrpc: consistent" in completed.out


def test_without_a_target_the_command_says_what_to_name(zoo: Zoo) -> None:
    completed = zoo("audit")
    assert completed.code == 2
    assert completed.err.startswith("nothing to do: name entries, recipes, OWNER/NAME of models")


@pytest.mark.parametrize("name", ["someone/carded", "hf://someone/carded"])
def test_a_model_of_the_hub_is_audited_without_its_weights(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    with LocalHub() as hub:
        commit = hub.add("models", "someone/carded", {"README.md": CARD.encode(), "model.safetensors": b"x" * 100})
        use_hub(hub, zoo, cache=tmp_path / "hf", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)
        completed = zoo("audit", name)
        assert completed.code == 0, completed.err
        assert completed.out.startswith(f"{name}@{commit[:7]}: consistent\n  accuracy 0.8578431372549019 (glue mrpc): ")
        assert zoo("audit", f"{name}@main").out.startswith(f"{name}@main ({commit[:7]}): consistent\n")
        assert not any("safetensors" in path for _, path, _ in hub.requests)


def test_the_python_function_returns_claims_and_a_table() -> None:
    result = zoo.audit("bert-base-uncased-mrpc", "none.md")
    assert result.verdict == "consistent"
    assert result.to_frame()["verdict"].tolist() == ["consistent", "consistent"]
    with pytest.raises(zoo.SourceError, match="no such file"):
        result.raise_error()
    with pytest.raises(UsageError, match="nothing to do"):
        zoo.audit()


@pytest.mark.process
def test_an_audit_of_three_suites_imports_nothing_heavy() -> None:
    code = """
import sys
from zoo.cli.app import main
sys.argv = ["zoo", "audit", "--suite", "glue", "--suite", "cifar10", "--suite", "cifar100"]
try:
    main()
except SystemExit as end:
    assert end.code == 3 or not end.code, end.code
heavy = {"torch", "scipy.stats", "datasets", "pandas", "sklearn", "transformers"}
print("heavy:", *sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "heavy:"

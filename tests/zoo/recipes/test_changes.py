"""The entries that a change affects, in a real git repository."""

import json
import shutil
from pathlib import Path

import pytest

from tests.helpers.git import git
from tests.helpers.project import ROOT, Zoo
from zoo import paths
from zoo.errors import UsageError
from zoo.recipes import catalogue
from zoo.recipes.changes import AFFECT_ALL, AFFECT_NONE, AFFECT_USERS, changed_since

SUITES = ("starter", "methods", "glue")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    for suite in SUITES:
        shutil.copytree(ROOT / "configs" / suite, root / "configs" / suite)
    shutil.copy(ROOT / "configs" / "zoo.lock", root / "configs")
    for folder in ("zoo", "harness"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "pyproject.toml").write_text("")
    (root / "README.md").write_text("")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "all")
    return root


@pytest.fixture
def checkout(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository as it was committed; this process uses it as its checkout."""
    git(repository, "reset", "--hard", "--quiet")
    git(repository, "clean", "-fdq")
    monkeypatch.setattr(paths, "checkout", lambda: repository)
    monkeypatch.setattr(paths, "configs", lambda: repository / "configs")
    monkeypatch.chdir(repository)
    return repository


def affected(revision: str = "HEAD") -> set[str]:
    return set(changed_since(revision, catalogue.entries()))


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def everything() -> set[str]:
    return {entry.name for entry in catalogue.entries()}


def test_pages_tests_and_code_that_only_reports_affect_no_entry(checkout: Path) -> None:
    assert affected() == set()
    for report in ("zoo/doctor/claim_checks.py", "harness/diagnosis/diff/text_report.py", "zoo/cli/render.py"):
        with (checkout / report).open("a") as file:
            file.write("\n")
    (checkout / "README.md").write_text("more")
    (checkout / "tests").mkdir()
    (checkout / "tests" / "test_new.py").write_text("")
    assert affected() == set()


def test_every_listed_path_exists() -> None:
    for path in (*AFFECT_ALL, *AFFECT_NONE, *AFFECT_USERS):
        assert (ROOT / path).exists(), path


def test_a_recipe_affects_its_entry_and_those_that_learn_from_it(checkout: Path) -> None:
    edit(checkout / "configs/glue/bert-large-uncased-rte.yaml", "epochs:", "epochs:  ")
    assert changed_since("HEAD", catalogue.entries()) == {
        "bert-large-uncased-rte": "configs/glue/bert-large-uncased-rte.yaml",
        "bert-base-uncased-rte_from_bert-large-uncased-rte": (
            "its teacher bert-large-uncased-rte: configs/glue/bert-large-uncased-rte.yaml"
        ),
    }


def test_shipped_weights_and_their_pin_affect_the_entries_that_read_them(checkout: Path) -> None:
    (checkout / "zoo/starter/digits-resnet8.safetensors").write_bytes(b"other")
    readers = {e.name for e in catalogue.entries() if "embedded:digits-resnet8.safetensors" in e.path.read_text()}
    assert affected() == readers
    assert "digits-resnet8" in readers
    git(checkout, "reset", "--hard", "--quiet")
    lock = json.loads((checkout / "configs/zoo.lock").read_text())
    lock["sources"]["embedded:"]["files"]["digits-resnet8.safetensors"]["size"] += 1
    (checkout / "configs/zoo.lock").write_text(json.dumps(lock))
    pin = "the lock's pin of embedded:digits-resnet8.safetensors"
    assert changed_since("HEAD", catalogue.entries()) == dict.fromkeys(readers, pin)


def test_a_model_or_loss_affects_the_entries_that_name_it_and_other_code_all(checkout: Path) -> None:
    with (checkout / "zoo/models/bert.py").open("a") as file:
        file.write("\n")
    text = {e.name for e in catalogue.entries() if "bert_classifier" in e.path.read_text()}
    assert affected() == text
    git(checkout, "reset", "--hard", "--quiet")
    with (checkout / "harness/losses/rkd.py").open("a") as file:
        file.write("\n")
    assert affected() == {"rkd"}
    git(checkout, "reset", "--hard", "--quiet")
    for shared in ("harness/metrics.py", "zoo/tasks/base.py", "harness/losses/functional.py", "pyproject.toml"):
        with (checkout / shared).open("a") as file:
            file.write("\n")
        assert affected() == everything()
        git(checkout, "reset", "--hard", "--quiet")


def test_new_records_and_commits_affect_their_entry(checkout: Path) -> None:
    folder = checkout / "leaderboard/records/kd/retrain-seed0-1"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{}")
    assert affected() == {"kd"}
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--message", "more")
    assert (affected(), affected("HEAD~1")) == (set(), {"kd"})
    git(checkout, "reset", "--hard", "--quiet", "HEAD~1")


@pytest.mark.parametrize("revision", ["nowhere", "--output=x"])
def test_a_revision_that_git_does_not_know_is_a_usage_error(revision: str, checkout: Path) -> None:
    with pytest.raises(UsageError, match="git rev-parse: no such revision"):
        affected(revision)
    assert not (checkout / "x").exists()


def test_changed_since_needs_a_git_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"--changed-since: .* is in no git repository"):
        affected()


def test_a_teacher_affects_its_student_even_if_it_is_not_selected(checkout: Path) -> None:
    edit(checkout / "configs/glue/bert-large-uncased-rte.yaml", "epochs:", "epochs:  ")
    student = catalogue.select_one("bert-base-uncased-rte_from_bert-large-uncased-rte")
    assert list(changed_since("HEAD", [student])) == [student.name]


def test_a_recipe_that_cannot_be_read_counts_as_affected(checkout: Path) -> None:
    (checkout / "configs/methods/kd.yaml").write_text("name: [")
    assert changed_since("HEAD", catalogue.entries()) == {"kd": "its recipe cannot be read"}


def test_a_moved_record_affects_both_entries(checkout: Path) -> None:
    folder = checkout / "leaderboard/records"
    for name in ("kd", "rkd"):
        (folder / name / "run").mkdir(parents=True)
    (folder / "kd/run/record.json").write_text("{}" * 100)
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--message", "a record")
    git(checkout, "mv", "leaderboard/records/kd/run/record.json", "leaderboard/records/rkd/run/record.json")
    assert affected() == {"kd", "rkd"}
    git(checkout, "reset", "--hard", "--quiet", "HEAD~1")


def test_a_checkout_may_be_a_subfolder_of_its_repository(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repository, "reset", "--hard", "--quiet")
    root = tmp_path / "mono" / "sub"
    shutil.copytree(repository, root, ignore=shutil.ignore_patterns(".git", "leaderboard"))
    monkeypatch.setattr(paths, "checkout", lambda: root)
    monkeypatch.setattr(paths, "configs", lambda: root / "configs")
    monkeypatch.chdir(root)
    git(root.parent, "init", "--quiet")
    git(root.parent, "add", ".")
    git(root.parent, "commit", "--quiet", "--message", "all")
    edit(root / "configs/zoo.lock", '"embedded:"', '"embedded:" ')
    with (root / "harness/losses/rkd.py").open("a") as file:
        file.write("\n")
    assert affected() == {"rkd"}
    monkeypatch.chdir(root.parent)
    assert affected() == {"rkd"}


def test_the_pin_of_an_archive_affects_the_entries_that_read_a_file_in_it(checkout: Path) -> None:
    lock = checkout / "configs/zoo.lock"
    data = json.loads(lock.read_text())
    archive = "https://example.org/all.zip"
    data["sources"][archive] = {"files": {"all.zip": {"size": 1}}}
    lock.write_text(json.dumps(data))
    edit(checkout / "configs/methods/kd.yaml", "embedded:digits-resnet14.safetensors", f"{archive}#w.pt")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--message", "an archive")
    data["sources"][archive]["files"]["all.zip"]["size"] = 2
    lock.write_text(json.dumps(data))
    assert changed_since("HEAD", catalogue.entries()) == {"kd": f"the lock's pin of {archive}"}
    git(checkout, "reset", "--hard", "--quiet", "HEAD~1")


def test_verify_changed_since_runs_only_affected_entries(
    checkout: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    done = zoo("verify", "--changed-since", "HEAD")
    assert (done.code, done.err) == (0, f"none of the {len(everything())} entries has changed since HEAD\n")
    edit(checkout / "configs/starter/digits-resnet8.yaml", "value: 0.9788419", "value: 0.9788418")
    done = zoo("verify", "--suite", "starter", "--changed-since", "HEAD", "--json")
    assert done.lines[0] == "changed: configs/starter/digits-resnet8.yaml: digits-resnet8"
    assert [entry["entry"] for entry in json.loads(done.out)["entries"]] == ["digits-resnet8"]

"""The scripts of live.yml in a real git repository, with a program `gh` that notes how it is called."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.helpers.project import ROOT

pytestmark = pytest.mark.process
GH = """\
#!/bin/sh
echo "$1 $2" >> "$CALLS"
case "$1 $2" in
  "pr list") echo "$OPEN" ;;
  api*) cat "$TARBALL" ;;
esac
"""


def script(job: str, name: str) -> str:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "live.yml").read_text(encoding="utf-8"))
    (found,) = [step["run"] for step in workflow["jobs"][job]["steps"] if step.get("name") == name]
    return str(found)


class Runner:
    """A clone of a repository with a leaderboard, and the folder of a runner."""

    def __init__(self, folder: Path) -> None:
        self.temp, self.clone, self.origin = (folder / name for name in ("temp", "clone", "origin.git"))
        self.temp.mkdir()
        program = folder / "bin" / "gh"
        program.parent.mkdir()
        program.write_text(GH)
        program.chmod(0o755)
        self.environment = {
            **os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "RUNNER_TEMP": str(self.temp),
            "CALLS": str(folder / "calls"), "TARBALL": str(folder / "tarball"), "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"), "GITHUB_REPOSITORY": "someone/zoo", "BASE": "main",
            "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }  # fmt: skip
        records = self.clone / "leaderboard" / "records"
        records.mkdir(parents=True)
        (records.parent / "suites").mkdir()
        pages = ("README.md", "methods.md", "suites/glue.md", "suites/former.md")
        for path in (records / "a", *(records.parent / name for name in pages)):
            path.write_text("before")
        self.run(
            f"git init -q --bare -b main {self.origin} && git init -q -b main && git add . && git commit -qm first"
        )
        self.run(f"git remote add origin {self.origin} && git push -q origin main")

    def run(self, text: str, **environment: str) -> str:
        command = ["bash", "-e", "-o", "pipefail", "-c", text]
        done = subprocess.run(
            command,
            cwd=self.clone,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def add_record(self) -> None:
        """Do what a night does: add a record, write the pages anew, and write a report."""
        (self.clone / "leaderboard" / "records" / "b").write_text("new")
        (self.clone / "leaderboard" / "README.md").write_text("after")
        (self.clone / "leaderboard" / "suites" / "glue.md").write_text("after")
        (self.clone / "leaderboard" / "suites" / "former.md").unlink()
        (self.temp / "report.md").write_text("One new record.")

    @property
    def calls(self) -> list[str]:
        return Path(self.environment["CALLS"]).read_text().splitlines()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_a_night_without_new_records_changes_nothing(runner: Runner) -> None:
    (runner.temp / "report.md").write_text("No new record.")
    runner.run(script("verify", "Look for new records"))
    assert Path(runner.environment["GITHUB_STEP_SUMMARY"]).read_text() == "No new record."
    assert not Path(runner.environment["GITHUB_OUTPUT"]).exists()


@pytest.mark.parametrize(
    ("number", "call"), [("", "pr create"), ("7", "pr edit")], ids=["no pull request", "one is open"]
)
def test_new_records_become_the_branch_of_one_pull_request(number: str, call: str, runner: Runner) -> None:
    runner.add_record()
    runner.run(script("verify", "Look for new records"))
    assert Path(runner.environment["GITHUB_OUTPUT"]).read_text() == "changed=true\n"
    runner.run("git clean -qfd && git checkout -q .")  # the second job has a checkout of its own
    runner.run("git push -q origin main:live-records")  # the branch of an earlier night
    runner.run(script("propose", "Open or update the pull request"), OPEN=number)
    changed = runner.run(f"git -C {runner.origin} diff --stat --name-only main live-records").splitlines()
    suites = ["leaderboard/suites/former.md", "leaderboard/suites/glue.md"]
    assert changed == ["leaderboard/README.md", "leaderboard/records/b", *suites]
    assert runner.calls == ["pr list", call, "workflow run"]


@pytest.mark.parametrize(("count", "found"), [("0", False), ("1", True)], ids=["closed", "open"])
def test_the_records_of_an_open_pull_request_are_fetched(count: str, found: bool, runner: Runner) -> None:
    runner.run('git archive --prefix=someone-zoo-123/ --format=tar.gz -o "$TARBALL" main')
    runner.run(script("verify", "Fetch the records that an open pull request proposes"), OPEN=count)
    assert (runner.temp / "proposed" / "leaderboard" / "records" / "a").exists() == found

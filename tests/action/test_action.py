"""The GitHub Action: its shell steps run here in order, with a small copy of GitHub's API on loopback."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from action.comment import marker, write_comment
from action.prepare import FOLDERS_OF_USERS, outputs
from action.run import MARKER, RECORDS, SEVERITY, code_and_note, diff_table, remove_earlier_records
from harness.judging.types import VERDICTS_BY_SEVERITY
from tests.helpers.loopback import LoopbackServer
from tests.helpers.project import ROOT, Zoo

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = ACTION["runs"]["steps"]


@dataclass
class Comments:
    """The comments of pull request 7. A token other than `writes` may only read."""

    items: list[dict[str, Any]] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        items = self.items

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = int(self.path.rpartition("=")[2])
                self.answer(200, items[100 * (page - 1) : 100 * page])

            def do_POST(self) -> None:
                self.write(self.path == "/repos/o/r/issues/7/comments", None)

            def do_PATCH(self) -> None:
                self.write(True, int(self.path.removeprefix("/repos/o/r/issues/comments/")))

            def write(self, known: bool, number: int | None) -> None:
                text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
                if not known or self.headers["Authorization"] != "Bearer writes":
                    self.answer(403, {"message": "Resource not accessible by integration"})
                elif number is None:
                    items.append(comment(len(items), text))
                    self.answer(201, items[-1])
                else:
                    items[number]["body"] = text
                    self.answer(200, items[number])

            def answer(self, status: int, content: object) -> None:
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def comment(number: int, body: str, author: str = "Bot") -> dict[str, Any]:
    return {"id": number, "body": body, "user": {"type": author}}


@dataclass(frozen=True, kw_only=True)
class Job:
    """The exit code, outputs, summary and log of a job."""

    code: int
    outputs: Mapping[str, str]
    summary: str
    log: str
    folder: Path


@dataclass
class Steps:
    """The state of a job after some of its steps."""

    inputs: Mapping[str, str]
    code: int = 0
    outputs: dict[str, str] = field(default_factory=dict)
    """`STEP.outputs.NAME` and `STEP.outcome` -> value."""

    def value(self, expression: str) -> str:
        """Replace the expressions that the action uses."""
        return re.sub(r"\$\{\{ (\S+) \}\}", lambda match: self.named(match[1]), expression)

    def named(self, name: str) -> str:
        if name == "github.action_path":
            return str(ROOT)
        kind, _, rest = name.partition(".")
        return self.inputs[rest] if kind == "inputs" else self.outputs.get(rest, "")

    def are_run(self, condition: str) -> bool:
        """Return whether a step with this condition is run."""
        terms = condition.split(" && ") if condition else []
        compared = [term.split(" == ") for term in terms if term != "always()"]
        return ("always()" in terms or not self.code) and all(self.named(a) == b.strip("'") for a, b in compared)


def run_action(folder: Path, api: str = "http://127.0.0.1:9", **given: str) -> Job:
    """Run the steps of the action that have a shell script, except the installation."""
    inputs = {name: str(value["default"]) for name, value in ACTION["inputs"].items()}
    steps = Steps(inputs | {"token": "writes"} | {name.replace("_", "-"): value for name, value in given.items()})
    event, output, summary = folder / "event.json", folder / "output", folder / "summary"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    summary.write_text("")
    python = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    of_job = {name: value for name, value in os.environ.items() if name not in FOLDERS_OF_USERS}
    runner = of_job | {
        "GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary), "PATH": python,
        "GITHUB_EVENT_PATH": str(event), "GITHUB_API_URL": api, "GITHUB_REPOSITORY": "o/r", "PYTHONPATH": str(ROOT),
        "RUNNER_TEMP": str(folder / "temp"), "RUNNER_OS": "Linux",
    }  # fmt: skip
    log = ""
    for step in (step for step in STEPS if "run" in step and step["name"] != "Install zoo"):
        if not steps.are_run(step.get("if", "")):
            continue
        output.write_text("")
        env = {name: steps.value(text) for name, text in step["env"].items()}
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step["run"]], cwd=folder, env=runner | env,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        steps.code, log = steps.code or done.returncode, log + done.stdout + done.stderr
        if "id" in step:
            steps.outputs[f"{step['id']}.outcome"] = "failure" if done.returncode else "success"
            written = (line.split("=", 1) for line in output.read_text().splitlines())
            steps.outputs |= {f"{step['id']}.outputs.{name}": value for name, value in written}
    outputs = {name: steps.value(value["value"]) for name, value in ACTION["outputs"].items()}
    return Job(code=steps.code, outputs=outputs, summary=summary.read_text(), log=log, folder=folder)


@pytest.mark.slow
@pytest.mark.process
def test_the_action_verifies_the_starter_suite_and_keeps_one_comment(tmp_path: Path) -> None:
    comments = Comments([comment(i, "hello") for i in range(100)])
    with LoopbackServer(comments.handler()) as server:
        first, second = (run_action(tmp_path, f"http://127.0.0.1:{server.port}", suite="starter") for _ in range(2))
    assert (first.code, second.code) == (0, 0), first.log
    assert first.outputs["verdict"] == "reproduced"
    assert json.loads(first.outputs["verdicts"])["reproduced"] == 6
    assert first.summary.count("| reproduced |") == 6
    assert len(comments.items) == 101
    assert comments.items[-1]["body"].count("| reproduced |") == 6
    assert "Wrote the comment." in first.log
    assert "Updated the comment." in second.log
    report = tmp_path / "zoo-report"
    assert len(json.loads((tmp_path / first.outputs["report"]).read_text())["entries"]) == 6
    assert len(list(report.glob("zoo-records/*/*/record.json"))) == 6
    assert (report / "zoo.xml").read_text().count("<testcase") == 6


@pytest.mark.slow
@pytest.mark.process
def test_a_token_that_only_reads_leaves_a_notice_and_the_summary(tmp_path: Path) -> None:
    comments = Comments()
    with LoopbackServer(comments.handler()) as server:
        job = run_action(tmp_path, f"http://127.0.0.1:{server.port}", targets="digits-resnet8", token="reads")  # noqa: S106
    assert job.code == 0, job.log
    assert comments.items == []
    assert "::notice title=zoo::No comment on the pull request: the token may not write" in job.log
    assert "| reproduced |" in job.summary


@pytest.mark.slow
@pytest.mark.process
def test_a_significant_difference_passes_and_the_summary_shows_its_interval(tmp_path: Path) -> None:
    runs = {"baseline": "entail-bert-l2h32:1000", "targets": "entail-bert-l2h32:1001", "arguments": "--limit 0"}
    job = run_action(tmp_path, comment="false", command="diff", **runs)
    assert job.code == 0, job.log
    found = json.loads((tmp_path / job.outputs["report"]).read_text())
    (split,) = found["splits"]
    (accuracy,) = (metric for metric in split["metrics"] if metric["metric"] == "accuracy")
    assert (found["a"]["seed"], found["b"]["seed"], split["flips"]["better"]) == (1000, 1001, "B")
    assert 0 < accuracy["low"] < accuracy["difference"] < accuracy["high"]
    assert f"| {accuracy['difference']:+.4f} | {accuracy['low']:+.4f} to {accuracy['high']:+.4f} |" in job.summary
    assert job.outputs["verdict"] == ""


def test_a_diff_without_an_interval_shows_the_reason() -> None:
    metric = {"metric": "f1", "a": 0.5, "b": None, "difference": None, "low": None, "high": None, "why": "no labels"}
    text = diff_table({"splits": [{"split": "test", "metrics": [metric]}]})
    assert "| test | f1 | 0.5000 |  |  | no labels |" in text


def test_a_diff_of_another_version_of_zoo_is_shown_as_far_as_it_is_known() -> None:
    splits = [{"split": "test", "metrics": [{"metric": "f1", "a": "0.5", "low": 0.1}, {}]}, {}]
    assert diff_table({"splits": splits}).endswith("| test | f1 | 0.5 |  |  |  |\n| test |  |  |  |  |  |\n")
    assert diff_table({"splits": None}).endswith(":--|\n")


def test_no_markup_and_no_mention_of_a_diff_reaches_the_comment() -> None:
    name = "<img src=x>\n| @someone & `a` [b](https://c.d) *e* www.f.g mnli_matched #7"
    text = diff_table({"splits": [{"split": name, "metrics": [{"metric": "f1", "why": name}]}]})
    *_, row = text.splitlines()
    cell = (r"&lt;img src=x&gt; \| @%someone &amp; \`a\` \[b\](https:\//c.d) \*e\* www\.f.g mnli_matched #%7").replace(
        "%", "\u200b"
    )
    assert row == f"| {cell} | f1 |  |  |  | {cell} |"


def test_records_of_an_earlier_use_are_removed_and_folders_of_the_user_are_kept(tmp_path: Path) -> None:
    records = tmp_path / RECORDS
    remove_earlier_records(records)
    record = records / "entry" / "record.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    link = tmp_path / "link"
    link.symlink_to(records)
    with pytest.raises(SystemExit, match=r"::error title=zoo::.*zoo-records exists, and the action did not write it"):
        remove_earlier_records(records)
    (records / MARKER).write_text("")
    with pytest.raises(SystemExit, match="link exists"):
        remove_earlier_records(link)
    assert record.exists()
    remove_earlier_records(records)
    assert not records.exists()


def test_the_action_orders_verdicts_as_zoo_does() -> None:
    assert SEVERITY == VERDICTS_BY_SEVERITY


@pytest.mark.parametrize(
    ("counts", "code", "fail_on", "expected"),
    [
        ({"not-run": 2}, 0, "not-reproduced", 3),
        ({"not-run": 1, "not-compared": 1}, 0, "not-reproduced,inconclusive", 3),
        ({"not-run": 2}, 0, "none", 0),
        ({"not-run": 2, "reproduced": 1}, 0, "not-reproduced", 0),
        ({"not-run": 2, "inconclusive": 1}, 0, "not-reproduced", 0),
        ({"not-run": 0, "reproduced": 0}, 0, "not-reproduced", 0),  # the change affects no entry
        ({}, 4, "not-reproduced", 4),
    ],
)
def test_a_job_fails_if_no_claim_was_judged(counts: dict[str, int], code: int, fail_on: str, expected: int) -> None:
    found, note = code_and_note(counts, code, fail_on)
    assert found == expected
    assert bool(note) == (bool(counts.get("not-run")) and not (counts.keys() & {"reproduced", "inconclusive"}))


@pytest.mark.slow
@pytest.mark.process
def test_an_entry_that_was_not_run_fails_the_job_and_the_comment_says_why(tmp_path: Path) -> None:
    comments = Comments()
    with LoopbackServer(comments.handler()) as server:
        job = run_action(tmp_path, f"http://127.0.0.1:{server.port}", targets="abkd", cache="false")
    assert (job.code, job.outputs["exit-code"], job.outputs["verdict"]) == (3, "3", "not-run"), job.log
    assert "::error title=zoo::No claim was judged (1 not-run)" in job.log
    assert "**No claim was judged (1 not-run)" in job.summary
    assert "**No claim was judged (1 not-run)" in comments.items[0]["body"]


def prepared(tmp_path: Path, **changes: str) -> dict[str, str]:
    """Return the outputs of the first step, for a job with these inputs and variables."""
    inputs = dict.fromkeys(("TARGETS", "SUITE", "BASELINE", "ARGUMENTS", "ZOO", "PYTHON_VERSION"), "")
    environment = {f"INPUT_{name}": value for name, value in (inputs | {"CACHE": "true", "NAME": "a b/c"}).items()}
    return outputs(
        environment | {"RUNNER_TEMP": str(tmp_path / "temp"), "RUNNER_OS": "macOS", "ACTION_PATH": str(ROOT)} | changes
    )


def test_downloads_are_cached_by_lock_and_targets_in_the_temporary_folder(tmp_path: Path) -> None:
    lock = tmp_path / "my.lock"
    lock.write_text("{}")
    first = prepared(tmp_path, INPUT_TARGETS="recipes", ZOO_LOCK=str(lock))
    assert re.fullmatch(r"zoo-macOS-a-b-c-[0-9a-f]{16}-", first["key"])
    folders = [first[name] for name in ("hf-home", "hub", "home", "downloads", "trusted", "pip")]
    assert all(Path(folder).is_relative_to(tmp_path / "temp") for folder in folders)
    changed = f"--changed-since origin/{'main' * 99} --where ."
    assert prepared(tmp_path, INPUT_TARGETS="recipes", ZOO_LOCK=str(lock), INPUT_ARGUMENTS=changed) == first
    assert prepared(tmp_path, INPUT_TARGETS="recipes", INPUT_ARGUMENTS=f"--lock={lock}") == first
    assert prepared(tmp_path, INPUT_TARGETS="others", ZOO_LOCK=str(lock))["key"] != first["key"]
    lock.write_text('{"changed": 1}')
    assert prepared(tmp_path, INPUT_TARGETS="recipes", ZOO_LOCK=str(lock))["key"] != first["key"]


@pytest.mark.parametrize("name", FOLDERS_OF_USERS)
def test_folders_that_the_job_names_are_used_and_not_cached(tmp_path: Path, name: str) -> None:
    found = prepared(tmp_path, **{name: str(tmp_path / "mine")})
    assert found["cache"] == "false"
    assert str(tmp_path / "mine") in (found["hf-home"], found["hub"], found["home"])


@pytest.mark.process
def test_downloads_are_pruned_and_saved_only_if_they_changed(tmp_path: Path) -> None:
    hub, output = tmp_path / "hf" / "hub", tmp_path / "output"
    needed, old = hub / "models--google-bert--bert-base-uncased", hub / "models--some--other"
    for folder in (needed, old):
        (folder / "snapshots" / ("a" * 40)).mkdir(parents=True)
        (folder / "snapshots" / ("a" * 40) / "config.json").write_text("{}")
        (folder / "blobs").mkdir()
        (folder / "blobs" / "0.incomplete").write_text("half")
    runner = os.environ | {
        "GITHUB_OUTPUT": str(output), "HF_HOME": str(tmp_path / "hf"), "ZOO_HOME": str(tmp_path / "home"),
        "KEY": "zoo-Linux-zoo-0-", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    runner.pop("HF_HUB_CACHE", None)
    found: list[dict[str, str]] = []
    for restored in ("", "last"):
        output.write_text("")
        more = {"RESTORED_KEY": restored and found[0]["key"]}
        subprocess.run([sys.executable, ROOT / "action" / "tidy.py"], env=runner | more, cwd=tmp_path, check=True)
        found.append(dict(line.split("=", 1) for line in output.read_text().splitlines()))
    assert [path.name for path in hub.iterdir() if path.name.startswith("models--")] == [needed.name]
    assert not list(hub.rglob("*.incomplete"))
    assert re.fullmatch(r"zoo-Linux-zoo-0-[0-9a-f]{16}", found[0]["key"])
    assert found == [{"key": found[0]["key"], "save": "true"}, {"key": found[0]["key"], "save": "false"}]


def test_restored_and_saved_folders_are_the_same_and_hold_no_runs() -> None:
    """GitHub finds a cache only by the same paths. A job that restored runs would measure nothing."""
    paths = [step["with"]["path"] for step in STEPS if step.get("uses", "").startswith("actions/cache/")]
    assert len(paths) == 2
    assert paths[0] == paths[1]
    found = [f"outputs.{name}" in paths[0] for name in ("hub", "downloads", "trusted", "home")]
    assert found == [True, True, True, False]


@pytest.mark.process
@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"targets": "no-such-entry"}, 2, "no-such-entry"),
        ({"command": "diff", "targets": "digits-resnet8"}, 1, "needs the input 'baseline'"),
        ({"command": "rm"}, 1, "Unknown command 'rm'"),
        ({"targets": "it's"}, 1, "The input 'targets' has a quote that is not closed"),
        ({"targets": "$(touch stolen) `touch stolen` ; touch stolen"}, 2, "touch"),
    ],
)
def test_a_wrong_input_fails_the_job(tmp_path: Path, given: dict[str, str], code: int, message: str) -> None:
    job = run_action(tmp_path, comment="false", **given)
    assert job.code == code, job.log
    assert message in job.log
    assert not list(tmp_path.rglob("stolen"))


@pytest.mark.process
def test_a_wrong_input_leaves_the_comment_of_an_earlier_job(tmp_path: Path) -> None:
    comments = Comments([{"id": 0, "body": None, "user": None}, comment(1, f"{marker('zoo')}\nverdicts")])
    with LoopbackServer(comments.handler()) as server:
        job = run_action(tmp_path, f"http://127.0.0.1:{server.port}", command="rm")
    assert job.code == 1
    assert [one["body"] for one in comments.items] == [None, f"{marker('zoo')}\nverdicts"]


@pytest.mark.process
def test_no_module_of_the_checked_out_repository_is_imported_and_an_error_is_commented(tmp_path: Path) -> None:
    (tmp_path / "psutil.py").write_text("open('stolen', 'w').close()")
    committed = tmp_path / "leaderboard" / "records" / "record.json"
    committed.parent.mkdir(parents=True)
    committed.write_text("{}")
    comments = Comments([{"id": 0, "body": None, "user": None}])
    with LoopbackServer(comments.handler()) as server:
        job = run_action(tmp_path, f"http://127.0.0.1:{server.port}", targets="no-such-entry", report="leaderboard")
    assert job.code == 2
    assert not list(tmp_path.rglob("stolen"))
    assert "exit code 2" in comments.items[1]["body"]
    assert committed.exists()


@pytest.mark.slow
@pytest.mark.process
def test_no_module_of_the_checked_out_repository_is_imported_by_processes_of_jobs(tmp_path: Path) -> None:
    (tmp_path / "psutil.py").write_text("open('stolen', 'w').close()")
    job = run_action(tmp_path, comment="false", cache="false", suite="starter", arguments="--jobs 2")
    assert (job.code, json.loads(job.outputs["verdicts"])["reproduced"]) == (0, 6), job.log
    assert not list(tmp_path.rglob("stolen"))


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "JSONDecodeError"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "BadStatusLine"),
        (b"", "RemoteDisconnected"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"message": "hello"}', "TypeError: the server does not answer with a list"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", "HTTP Error 503: Busy"),
    ],
)
def test_a_server_that_does_not_answer_as_github_leaves_a_notice(tmp_path: Path, answer: bytes, written: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            self.connection.recv(65536)
            self.wfile.write(answer)

    with LoopbackServer(Handler) as server:
        found = write_comment(pull_request(tmp_path, f"http://127.0.0.1:{server.port}"))
    assert found.startswith("::notice title=zoo::No comment on the pull request: ")
    assert written in found
    assert len(found.splitlines()) == 1


def test_a_wrong_address_of_the_server_leaves_a_notice(tmp_path: Path) -> None:
    found = write_comment(pull_request(tmp_path, "http://127.0.0.1:9/a b"))
    assert found.startswith("::notice title=zoo::No comment on the pull request: InvalidURL")


def test_comments_without_a_number_or_an_author_are_of_others(tmp_path: Path) -> None:
    start = marker("zoo")
    comments = Comments([{}, {"body": start}, {"body": start, "user": {"type": "Bot"}}, {"id": 3, "user": "Bot"}])
    with LoopbackServer(comments.handler()) as server:
        assert write_comment(pull_request(tmp_path, f"http://127.0.0.1:{server.port}")) == "Wrote the comment."
    assert len(comments.items) == 5


def pull_request(tmp_path: Path, api: str) -> dict[str, str]:
    """Return the variables of the step that comments, for a job with a summary."""
    (tmp_path / "summary.md").write_text("the verdicts")
    (tmp_path / "event.json").write_text(json.dumps({"pull_request": {"number": 7}}))
    return {
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"), "GITHUB_API_URL": api, "GITHUB_REPOSITORY": "o/r",
        "INPUT_REPORT": str(tmp_path), "INPUT_NAME": "zoo", "INPUT_TOKEN": "writes",
    }  # fmt: skip


def test_the_exit_code_of_zoo_is_returned_whatever_becomes_of_the_comment_and_the_artifact() -> None:
    last = STEPS[-1]
    assert (last["name"], last["if"]) == ("Fail if a verdict fails", "always() && steps.run.outcome == 'success'")


def test_the_artifact_has_only_files_of_the_action() -> None:
    (upload,) = (step["with"]["path"] for step in STEPS if step.get("uses", "").startswith("actions/upload-artifact"))
    names = re.findall(r"inputs.report }}(.*)", upload)
    assert names == ["/zoo.json", "/summary.md", f"/{RECORDS}"]


def test_shell_scripts_of_the_action_contain_no_expression() -> None:
    assert all("${{" not in step["run"] for step in STEPS if "run" in step)
    assert all(set(re.findall(r"\$(\w+)|\$\{(\w+)", step["run"])) for step in STEPS if "run" in step)


def test_the_action_uses_every_input_and_declares_those_that_it_uses() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])


PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
"""The workflow that the page offers."""


def test_the_workflow_of_the_page_names_the_last_release_and_inputs_that_exist() -> None:
    checkout, action = WORKFLOW["jobs"]["verify"]["steps"]
    released = re.findall(r"^## \[(\d.*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[0]
    assert (checkout["with"]["fetch-depth"], action["uses"]) == (0, f"OWNER/zoo@v{released}")
    assert action["with"].keys() <= ACTION["inputs"].keys()
    assert (action["with"]["targets"], action["with"]["fail-on"]) == ("recipes", "not-reproduced")
    assert "--changed-since" in action["with"]["arguments"]


def test_the_page_lists_every_input_and_output() -> None:
    assert set(re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE)) == set(ACTION["inputs"])
    outputs_of_page = PAGE.partition("The outputs are")[2].partition("\n\n")[0]
    assert set(ACTION["outputs"]) <= set(re.findall(r"`([\w-]+)`", outputs_of_page))


HOOK = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))[0]


@pytest.mark.parametrize(
    ("path", "matches"),
    [
        ("recipes/mine.yaml", True), ("a/recipes/b/c.yml", True), ("configs/model/hydra.yaml", False),
        ("my-recipes/mine.yaml", False), ("docs/zoo.yaml", False), ("recipes.yaml", False),
    ],
)  # fmt: skip
def test_the_hook_checks_yaml_files_in_recipes(path: str, matches: bool) -> None:
    assert bool(re.search(HOOK["files"], path)) == matches
    assert HOOK["types"] == ["yaml"]


def test_the_entry_of_the_hook_rejects_a_wrong_recipe_among_several(zoo: Zoo, tmp_path: Path) -> None:
    program, *arguments = HOOK["entry"].split()
    text = (ROOT / "configs" / "starter" / "digits-resnet8.yaml").read_text(encoding="utf-8")
    right, wrong = tmp_path / "right.yaml", tmp_path / "wrong.yaml"
    right.write_text(text)
    wrong.write_text(text.replace("epochs: 20", "epoch: 20"))
    checked = zoo(*arguments, right, wrong, "--json")
    found = {Path(recipe["path"]).name: recipe["ok"] for recipe in json.loads(checked.out)["recipes"]}
    assert (program, checked.code, found) == ("zoo", 2, {"right.yaml": True, "wrong.yaml": False})

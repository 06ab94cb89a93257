"""A model that a user trains on their own data is uploaded to the Hub, and verified from there by somebody else."""

import json
import logging
import shlex
import shutil
import time
from pathlib import Path

import pytest

from harness.publishing.hub_change import change_hub
from harness.publishing.upload import DEADLINE
from harness.records.record import read_record
from tests.helpers.hub_server import STRANGER, LocalHub
from tests.helpers.project import TINY, Write, Zoo
from zoo.fetch.hub import Hub
from zoo.fetch.source_types import HubRepo

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # raised inside huggingface_hub
REVIEWS = "text,label\n" + "".join(
    f"a {'good' if row % 2 else 'bad'} film {row},{'yes' if row % 2 else 'no'}\n" for row in range(60)
)


REFUSED_CARD = b'{"errors": [{"message": "license must be known"}]}'


@pytest.fixture
def run(zoo: Zoo, recipe_file: Write) -> str:
    """Return the folder of a training that reads no data of this machine."""
    assert zoo("train", recipe_file(TINY), "--out", "run").code == 0
    return "run"


def files_of(writable_hub: LocalHub, name: str) -> dict[str, bytes]:
    repo = writable_hub.repos["models", name]
    return dict(repo.commits[repo.main])


def test_the_first_ten_minutes_end_with_a_published_model_that_is_reproduced(
    zoo: Zoo, writable_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These are the commands of docs/getting-started.md."""
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    assert zoo("init", "--data", "reviews.csv", "--model", "bert_classifier", "--for", "train").code == 0
    assert zoo("check", "mine.yaml").code == 0
    assert zoo("train", "mine.yaml", "--out", "mine").code == 0
    assert zoo("plot", "mine", "--out", "curves.svg").code == 0
    refused = zoo("upload", "mine", "someone/reviews")
    assert refused.code == 2
    assert "reviews.csv; pass --with-data to upload it too" in refused.err
    uploaded = zoo("upload", "mine", "someone/reviews", "--with-data")
    assert uploaded.code == 0, uploaded.err
    commit = writable_hub.repos["models", "someone/reviews"].main
    assert uploaded.lines[-1] == f"next: zoo verify someone/reviews@{commit}"
    files = files_of(writable_hub, "someone/reviews")
    assert {"zoo.yaml", "reviews.csv", "model.safetensors", "README.md", "record.json", "curves.svg"} <= files.keys()
    assert b"zoo verify someone/reviews" in files["README.md"]
    assert b"files that are not here" not in files["README.md"]
    assert not [name for name, content in files.items() if str(tmp_path).encode() in content]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    verified = zoo("verify", "someone/reviews")
    assert verified.code == 0, verified.err
    assert "1 entry: 1 reproduced" in verified.out


def test_without_its_data_a_model_says_what_is_missing_and_is_verified_where_they_are(
    zoo: Zoo, writable_hub: LocalHub, tmp_path: Path
) -> None:
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    assert zoo("init", "--data", "reviews.csv", "--model", "bert_classifier", "--for", "train").code == 0
    assert zoo("train", "mine.yaml", "--out", "mine").code == 0
    uploaded = zoo("upload", "mine", "someone/secret", "--without-data", "--private")
    assert uploaded.lines[-1].endswith(" --data reviews.csv=PATH")
    files = files_of(writable_hub, "someone/secret")
    assert "reviews.csv" not in files
    assert b"- `reviews.csv`" in files["README.md"]
    assert b"zoo verify someone/secret --data reviews.csv=PATH" in files["README.md"]
    assert writable_hub.repos["models", "someone/secret"].private
    refused = zoo("verify", "someone/secret")
    assert refused.code == 4
    assert (
        "its recipe reads reviews.csv, which its author has not published; if you have it, pass --data " in refused.err
    )
    shutil.move("reviews.csv", tmp_path / "own.csv")
    verified = zoo("verify", "someone/secret", "--data", "reviews.csv=own.csv")
    assert verified.code == 0, verified.err
    downloaded = tmp_path / "downloaded"
    downloaded.mkdir()
    for name, content in files.items():
        (downloaded / name).write_bytes(content)
    shutil.copy("own.csv", downloaded / "reviews.csv")
    assert zoo("verify", "downloaded/zoo.yaml").code == 0


def test_a_dry_run_lists_the_files_and_sends_nothing(zoo: Zoo, writable_hub: LocalHub, run: str) -> None:
    shown = zoo("upload", run, "someone/digits", "--dry-run")
    assert shown.code == 0
    assert "model.safetensors" in shown.out
    assert shown.lines[-1].endswith("nothing was sent; leave out --dry-run to upload it")
    assert not writable_hub.requests


def test_the_same_model_is_sent_once(zoo: Zoo, writable_hub: LocalHub, run: str) -> None:
    first = json.loads(zoo("upload", run, "someone/digits", "--json").out)
    assert sorted(first["sent"]) == sorted(first["files"])
    again = zoo("upload", run, "hf://someone/digits")
    assert (again.code, again.lines[0]) == (
        0,
        f"{writable_hub.url}/someone/digits has these files already; nothing was sent",
    )


def test_files_of_another_model_are_replaced_only_with_overwrite(zoo: Zoo, writable_hub: LocalHub, run: str) -> None:
    writable_hub.add("models", "someone/digits", {"README.md": b"# Mine\n", "notes.txt": b"kept"})
    refused = zoo("upload", run, "someone/digits")
    assert (refused.code, len(refused.lines)) == (2, 1)
    assert "has other files of these names: README.md; pass --overwrite" in refused.err
    assert files_of(writable_hub, "someone/digits").keys() == {"README.md", "notes.txt"}
    assert zoo("upload", run, "someone/digits", "--overwrite").code == 0
    assert files_of(writable_hub, "someone/digits")["notes.txt"] == b"kept"
    assert b"# tiny" in files_of(writable_hub, "someone/digits")["README.md"]


def test_a_private_model_is_not_uploaded_to_a_public_repository(zoo: Zoo, writable_hub: LocalHub, run: str) -> None:
    writable_hub.add("models", "someone/digits", {})
    refused = zoo("upload", run, "someone/digits", "--private")
    assert refused.code == 2
    assert "someone/digits exists already and is public" in refused.err
    assert not files_of(writable_hub, "someone/digits")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("digits-resnet8:weights", "someone/digits"), "it is an evaluation"),
        (("run", "someone/digits@main"), "without an address and a revision"),
        (("run", "https://huggingface.co/someone/digits"), "OWNER/NAME"),
        (("run", "digits"), "OWNER/NAME"),
        (("gone", "someone/digits"), "gone"),
    ],
)
def test_what_cannot_be_uploaded_is_one_line(
    zoo: Zoo, writable_hub: LocalHub, run: str, words: tuple[str, ...], error: str
) -> None:
    refused = zoo("upload", *words)
    assert (refused.code, len(refused.lines)) == (2, 1)
    assert error in refused.err
    assert not writable_hub.repos


def test_an_upload_without_a_token_or_with_a_wrong_one_is_one_line(
    zoo: Zoo, writable_hub: LocalHub, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    refused = zoo("upload", run, "someone/digits")
    assert (refused.code, len(refused.lines)) == (4, 1)
    assert STRANGER not in refused.err
    monkeypatch.delenv("HF_TOKEN")
    without = zoo("upload", run, "someone/digits")
    assert without.code == 2
    assert without.err == "an upload needs a token that may write to the Hub: set HF_TOKEN, or run: hf auth login\n"


def test_an_upload_that_the_hub_does_not_serve_is_an_error_and_is_not_repeated(
    zoo: Zoo, writable_hub: LocalHub, run: str
) -> None:
    writable_hub.fault("POST .*/commit/", "status", status=503, times=9)
    refused = zoo("upload", run, "someone/digits")
    assert (refused.code, len(refused.lines)) == (4, 1)
    assert len([path for method, path, _ in writable_hub.requests if method == "POST" and "/commit/" in path]) == 1


def test_a_card_that_the_hub_refuses_is_named(zoo: Zoo, writable_hub: LocalHub, run: str) -> None:
    writable_hub.fault(
        "POST /api/validate-yaml", "status", status=400, body=b'{"errors": [{"message": "license must be known"}]}'
    )
    refused = zoo("upload", run, "someone/digits")
    assert (refused.code, len(refused.lines)) == (2, 1)
    assert "README.md: the Hub refuses its metadata" in refused.err
    assert "license must be known" in refused.err


def test_a_card_that_is_no_text_is_named(zoo: Zoo, writable_hub: LocalHub, run: str) -> None:
    Path(run, "README.md").write_bytes(b"# Mine\n\xff")
    refused = zoo("upload", run, "someone/digits")
    assert refused.code == 2
    assert refused.err.endswith("README.md:2: not text in UTF-8; save it as UTF-8\n")


def test_a_second_upload_is_the_one_that_is_verified_next(zoo: Zoo, writable_hub: LocalHub, recipe_file: Write) -> None:
    recipe = recipe_file(TINY)
    for seed in ("1", "2"):
        assert zoo("train", recipe, "--seed", seed, "--out", f"run{seed}").code == 0
        uploaded = zoo("upload", f"run{seed}", "someone/digits", "--overwrite")
        words = shlex.split(uploaded.lines[-1].removeprefix("next: zoo "))
        verified = zoo(*words, "--json")
        assert verified.code == 0
        path = json.loads(verified.out)["entries"][0]["records"][0]
        assert read_record(Path(path)).weights == read_record(Path(f"run{seed}/record.json")).weights


def test_files_that_the_hub_left_out_are_named(zoo: Zoo, writable_hub: LocalHub, run: str) -> None:
    writable_hub.ignored = ("curves.svg",)
    refused = zoo("upload", run, "someone/digits")
    assert refused.code == 4
    assert "these files are not in the new commit: curves.svg; look into the .gitignore" in refused.err


def test_a_long_upload_outlasts_a_warning_of_the_library(
    writable_hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Hub that has answered before has more time than the first connection."""
    monkeypatch.setattr("zoo.fetch.limits.CONNECT_DEADLINE", 0.2)
    connection = Hub()
    connection.servers.answered.add(connection.address)
    done = []

    def upload() -> None:
        logging.getLogger("huggingface_hub.utils._http").warning("[Errno -3] Temporary failure in name resolution")
        time.sleep(0.6)
        done.append(True)

    change_hub(connection, HubRepo("model", "someone/digits"), "upload", upload, deadline=DEADLINE)
    assert done == [True]

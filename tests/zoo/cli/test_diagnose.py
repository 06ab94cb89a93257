"""fingerprint, and the data that diff reads."""

import json
from pathlib import Path

import pytest

from tests.helpers.project import Zoo
from zoo.fetch import hub_connection


def test_fingerprint_compares_a_suite_and_counts_verdicts(zoo: Zoo) -> None:
    completed = zoo("fingerprint", "digits*")
    assert completed.code == 0, completed.err
    assert completed.out.endswith("\n\n3 entries: 3 reproduced\n")
    data = json.loads(zoo("fingerprint", "digits-resnet8", "--json").out)
    assert data["summary"]["reproduced"] == 1
    assert data["entries"][0]["entry"] == "digits-resnet8"


def test_fingerprint_update_writes_it_beside_the_recipe(zoo: Zoo, damaged: Path) -> None:
    path = damaged / "configs" / "starter" / "digits-resnet8.fingerprint.json"
    path.unlink()
    assert zoo("fingerprint", "digits-resnet8").code == 3
    completed = zoo("fingerprint", "digits-resnet8", "--update")
    assert completed.code == 0, completed.err
    assert path.is_file()
    assert zoo("fingerprint", "digits-resnet8").code == 0


def test_an_unknown_entry_is_exit_2(zoo: Zoo) -> None:
    assert zoo("fingerprint", "digits-resnet9").code == 2


def test_diff_clusters_texts_without_showing_examples(zoo: Zoo) -> None:
    (split,) = json.loads(
        zoo("diff", "entail-bert-l2h32:1000", "entail-bert-l2h32:1001", "--limit", "0", "--json").out
    )["splits"]
    assert split["groups"]["count"] == 581 and split["metrics"][0]["interval"] == "cluster jackknife"


def test_diff_sends_no_request_to_find_groups(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_connection, "_call_in_thread", pytest.fail)
    done = zoo("diff", "minilm-l6-stsb:1000", "minilm-l6-stsb:1001")
    reason = "the texts of minilm-l6-stsb are not on this machine; `zoo fetch minilm-l6-stsb` downloads them"
    assert (done.code, f"examples are treated as independent: {reason}" in done.out) == (0, True)

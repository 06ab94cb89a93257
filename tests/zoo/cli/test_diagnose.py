"""fingerprint."""

import json
from pathlib import Path

from tests.helpers.project import Zoo


def test_fingerprint_compares_a_suite_and_counts_verdicts(zoo: Zoo) -> None:
    completed = zoo("fingerprint", "digits*")
    assert completed.code == 0, completed.err
    assert completed.out.endswith("\n\n3 reproduced\n")
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

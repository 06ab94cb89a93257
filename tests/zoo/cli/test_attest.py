"""attest sign, attest verify, attest key."""

import json
import os
from pathlib import Path

import pytest

from tests.helpers.project import ROOT, TINY, Write, Zoo

WEIGHTS = ROOT / "zoo" / "starter" / "digits-resnet8.safetensors"
CLAIMED = """
claims:
  - {of: retrain, split: test, metric: accuracy, value: 0.9, sigma: 0.01, source: made up}
"""


@pytest.fixture
def signed(zoo: Zoo) -> Path:
    assert zoo("attest", "key", "my.key").code == 0
    completed = zoo("attest", "sign", "digits-resnet8:weights", "--key", "my.key", "--out", "a.json")
    assert completed.code == 0, completed.err
    assert "accuracy on test: claimed 0.9788419, measured 0.9788419: reproduced\nwrote a.json" in completed.out
    return Path("a.json")


def test_a_signed_result_is_verified(zoo: Zoo, signed: Path) -> None:
    completed = zoo("attest", "verify", signed, "--key", "my.key.pub", "--artifact", WEIGHTS)
    assert (completed.code, completed.err) == (0, "")
    assert completed.out.startswith("a.json: intact, PASSED; signed by the signer you named\nsigner: the key ")


def test_the_report_has_the_decimals_of_claims_and_the_recipe(zoo: Zoo, signed: Path) -> None:
    out = zoo("attest", "verify", signed, "--key", "my.key.pub").out
    assert "\naccuracy on test: claimed 0.9788419 (7 decimals), measured 0.9788418708240535: reproduced\n" in out
    assert "digits-resnet8: recipe: " in out


def test_another_attestation_is_never_overwritten(zoo: Zoo, signed: Path) -> None:
    sign = ("attest", "sign", "digits-resnet8:weights", "--out", "a.json")
    assert zoo(*sign, "--key", "my.key").code == 0
    before = signed.read_bytes()
    assert zoo("attest", "key", "other.key").code == 0
    for words in (["--key", "other.key"], ["--sigstore"]):
        completed = zoo(*sign, *words)
        assert (completed.code, len(completed.lines)) == (2, 1)
        assert "a.json exists already and is another file" in completed.err
    assert signed.read_bytes() == before


def test_without_a_key_trust_is_not_established(zoo: Zoo, signed: Path) -> None:
    completed = zoo("attest", "verify", signed)
    assert completed.code == 3
    assert completed.out.startswith("a.json: intact, PASSED; you did not name its signer\n")
    assert "that does not say by whom" in completed.err


def test_verification_as_json(zoo: Zoo, signed: Path) -> None:
    completed = zoo("attest", "verify", signed, "--key", "my.key.pub", "--json")
    data = json.loads(completed.out)
    assert (data["intact"], data["trusted"], data["result"], data["verdict"]) == (True, True, "PASSED", "reproduced")
    assert len(data["signer"]) == 64


def test_a_changed_attestation_is_exit_5(zoo: Zoo, signed: Path) -> None:
    signed.write_text(signed.read_text()[:-40])
    completed = zoo("attest", "verify", signed, "--key", "my.key.pub")
    assert (completed.code, completed.out, len(completed.lines)) == (5, "", 1)


def test_another_file_is_not_attested(zoo: Zoo, signed: Path) -> None:
    completed = zoo("attest", "verify", signed, "--key", "my.key.pub", "--artifact", "my.key")
    assert completed.code == 5
    assert "my.key: the attestation is about no file with its SHA-256" in completed.err


def test_a_training_of_ones_own_recipe_is_signed_with_its_claims(zoo: Zoo, recipe_file: Write) -> None:
    assert zoo("train", recipe_file(TINY + CLAIMED), "--out", "run").code == 0
    assert zoo("attest", "key", "my.key").code == 0
    completed = zoo("attest", "sign", "run", "--key", "my.key", "--json")
    (claim,) = json.loads(completed.out)["claims"]
    assert claim["verdict"] in ("not-reproduced", "inconclusive")
    verify = ("attest", "verify", json.loads(completed.out)["attestation"], "--key", "my.key.pub")
    assert "\naccuracy on test after the last epoch: claimed 0.9 (1 decimal), measured " in zoo(*verify).out
    completed = zoo(*verify, "--json")
    assert completed.code == {"not-reproduced": 1, "inconclusive": 3}[claim["verdict"]]
    assert json.loads(completed.out)["result"] in ("FAILED", "WARNED")


def test_a_run_without_claims_is_signed_as_measured(zoo: Zoo, recipe_file: Write) -> None:
    assert zoo("train", recipe_file(), "--out", "run").code == 0
    assert zoo("attest", "key", "my.key").code == 0
    completed = zoo("attest", "sign", "run", "--key", "my.key", "--out", "a.json")
    assert "no claim is known, so the attestation says what was measured" in completed.out
    completed = zoo("attest", "verify", "a.json", "--key", "my.key.pub", "--json")
    assert (completed.code, json.loads(completed.out)["verdict"]) == (0, None)


def test_a_changed_run_is_not_signed(zoo: Zoo, recipe_file: Write) -> None:
    assert zoo("train", recipe_file(), "--out", "run").code == 0
    assert zoo("attest", "key", "my.key").code == 0
    Path("run/predictions-test.npz").write_bytes(b"x")
    assert zoo("attest", "sign", "run", "--key", "my.key").code == 5


def test_the_recipe_must_be_the_one_that_was_run(zoo: Zoo, recipe_file: Write) -> None:
    assert zoo("attest", "key", "my.key").code == 0
    completed = zoo("attest", "sign", "digits-resnet8:weights", "--key", "my.key", "--recipe", recipe_file())
    assert completed.code == 2
    assert "the run is of another recipe than" in completed.err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["sign", "digits-resnet8:weights"], "pass --key FILE or --sigstore"),
        (["sign", "digits-resnet8:weights", "--key", "a", "--sigstore"], "pass --key FILE or --sigstore"),
        (["verify", "none.json", "--identity", "me"], "pass --identity and --issuer together"),
        (["sign", "digits-resnet8:weights", "--key", "none"], "none: No such file"),
        (["verify", "none.json"], "none.json: No such file"),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], error: str, zoo: Zoo) -> None:
    completed = zoo("attest", *words)
    assert completed.code in (2, 4)
    assert completed.err.startswith(error)
    assert len(completed.lines) == 1


def test_signing_and_verifying_import_no_torch(zoo_commands_process: Zoo, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('torch is not needed')")
    sign = ("attest", "sign", "digits-resnet8:weights", "--key", "my.key", "--out", "a.json")
    completed = zoo_commands_process(
        ("attest", "key", "my.key"), sign, ("attest", "verify", "a.json", "--key", "my.key.pub"),
        PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]),
    )  # fmt: skip
    assert completed.code == 0, completed.err
    assert "a.json: intact, PASSED; signed by the signer you named" in completed.out

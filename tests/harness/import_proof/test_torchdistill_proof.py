"""One training step of an imported recipe has the loss of torchdistill's own boxes: to 1e-9 in float64."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.project import Zoo
from tests.helpers.torchdistill_configs import config_file

pytest.importorskip("torchdistill", reason="the extra `parity` is not installed")

from harness.import_proof import torchdistill_proof
from harness.import_proof.stage_proof import StageProof
from harness.import_proof.torchdistill_proof import prove
from zoo.errors import UsageError
from zoo.importers.outcome import ImportedRecipe
from zoo.importers.torchdistill.convert import convert

EQUAL = (
    "kd", "glue-stsb", "kr", "ce-split", "at", "dab", "ft", "glue-rte", "hub-emotions", "ickd", "ktaad", "logits",
    "pad", "relations", "srd", "sskd", "vid", "voc",
)  # fmt: skip
QUICK = ("kd", "glue-stsb")
DIFFERENT = {
    "cckd": "CCKDLoss of torchdistill differs from the paper",
    "papers": "DISTPlusLoss, FSPLoss, SPKDLoss of torchdistill differ from the papers",
}


def proofs(name: str) -> list[StageProof]:
    return prove(config_file(name))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in EQUAL]
)
def test_a_step_of_every_stage_has_the_loss_of_torchdistills_box(name: str) -> None:
    for proof in proofs(name):
        assert proof.verdict == "equal", proof
        assert proof.losses["float64"] != proof.losses["float64 after a step"]


@pytest.mark.slow
@pytest.mark.parametrize("name", DIFFERENT)
def test_losses_that_follow_the_paper_differ_as_stated(name: str) -> None:
    (proof,) = proofs(name)
    assert proof.verdict == "differs as stated"
    assert DIFFERENT[name] in proof.differs_by_design


@pytest.mark.slow
def test_fitnets_differs_by_its_regressor_in_the_first_stage_alone() -> None:
    first, second = proofs("imagenet-fitnets")
    assert (first.verdict, second.verdict) == ("differs as stated", "equal")


def test_random_draws_are_not_compared() -> None:
    (proof,) = proofs("crd")
    assert proof.verdict == "not compared"


def test_a_wrong_weight_is_noticed() -> None:
    proof = StageProof(
        stage=1, losses={"float64": (1.0, 1.0 + 1e-8), "float64 after a step": (1.0, 1.0), "float32": (1.0, 1.0)}
    )
    assert proof.verdict == "differs"


@pytest.mark.parametrize(("name", "term"), [("glue-stsb", "mse"), pytest.param("papers", "ce", marks=pytest.mark.slow)])
def test_one_wrong_weight_of_a_configuration_is_noticed_beside_losses_that_differ_as_stated(
    name: str, term: str, monkeypatch: pytest.MonkeyPatch, zoo: Zoo
) -> None:
    def with_wrong_weight(*arguments: Any) -> ImportedRecipe:
        imported = convert(*arguments)
        imported.recipe["stages"][0]["criterion"][term]["weight"] = 4.001
        return imported

    monkeypatch.setattr(torchdistill_proof, "convert", with_wrong_weight)
    done = zoo("import", "torchdistill", str(config_file(name)), "--prove")
    assert done.code == 1, done.err
    assert "stage 1: differs" in done.err
    assert "differs as stated" not in done.err


def test_rounding_of_float32_is_measured_by_torchdistills_own() -> None:
    losses = {"float64": (2.0, 2.0), "float64 after a step": (1.0, 1.0), "float32": (2.0004, 2.0003)}
    assert StageProof(stage=1, losses=losses).verdict == "equal"
    losses["float32"] = (2.001, 2.0003)
    assert StageProof(stage=1, losses=losses).verdict == "differs"


def test_the_older_format_and_what_torchdistill_cannot_build_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"old-cifar\.yaml:51:5: --prove needs a criterion of torchdistill 1\.x"):
        proofs("old-cifar")
    broken = tmp_path / "broken.yaml"
    text = config_file("cckd").read_text().replace("type: 'gaussian'", "key: 'gaussian'")
    broken.write_text(text)
    with pytest.raises(UsageError, match="torchdistill cannot build this stage: KeyError: 'type'"):
        prove(broken)
    unhooked = tmp_path / "unhooked.yaml"
    unhooked.write_text(config_file("at").read_text().replace("output: ['layer2', 'layer3']", "output: []"))
    with pytest.raises(UsageError, match=r"unhooked\.yaml:\d+:\d+: this stage cannot be run by both tools: KeyError"):
        prove(unhooked)

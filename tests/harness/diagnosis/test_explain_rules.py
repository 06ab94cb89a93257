"""`zoo explain` accepts a change only by fixed rules, and says how many changes would hit a claim by chance."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from harness.diagnosis.explain import explain, split_factors
from harness.diagnosis.explain.candidates import Untried, until_error
from harness.diagnosis.explain.chance import chance_hits
from harness.diagnosis.explain.claim_results import is_exact
from harness.diagnosis.explain.explanation import Attempt, ClaimResult, Explanation
from harness.diagnosis.explain.image_factors import images
from harness.diagnosis.explain.image_settings import settings_of
from harness.diagnosis.explain.variant import Variant
from harness.judging.types import Judgement
from harness.models.environment import accelerator_on
from harness.runs.experiment import RunContext
from tests.helpers.device import device
from tests.helpers.project import ROOT
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.claim import Claim
from zoo.tasks.image_defaults import MEAN, STD
from zoo.tasks.pixels import PixelSplit


@pytest.mark.parametrize("fewer", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_a_count_that_no_change_gives_stays_unexplained(tmp_path: Path, fewer: int) -> None:
    """Matthews correlation is two predictions below the accuracy, and the tolerance of bf16 would allow more."""
    path, text = tmp_path / "invented.yaml", catalogue.select_one("digits-resnet8").path.read_text(encoding="utf-8")
    path.write_text(text.replace("value: 0.9788419", f"value: {(879 - fewer) / 898:.7f}"))
    context = RunContext(builder=Builder(), accelerator=accelerator_on(device()), runs=tmp_path / "none")
    explanation = explain(catalogue.local(path), context, evidence=ROOT / "leaderboard" / "records")
    assert explanation.state == "unexplained", explanation.text()
    values = {attempt.change: attempt.values["accuracy on test"] for attempt in explanation.attempts if attempt.values}
    assert values["accuracy -> matthews correlation"] == pytest.approx(0.9765253, abs=1e-6)
    assert "accuracy -> matthews correlation; fp32 -> bf16" in values
    assert re.search(r"it is no cause: .* predictions differ from those recorded", explanation.sentences()[1])


@pytest.mark.parametrize(
    ("measured", "claimed", "decimals", "expected"),
    [
        (0.82549, 0.825, 3, True),
        (0.8256, 0.825, 3, True),
        (0.8245, 0.825, 3, True),
        (0.8261, 0.825, 3, False),
        (0.8254716981132076, 0.8254716992378235, 16, True),
        (0.8254716981132076, 0.8254726981132076, 16, False),
        (0.8244, 0.825, 3, False),
    ],
)
def test_the_digits_of_a_claim_are_rounded_or_cut_off(
    measured: float, claimed: float, decimals: int, expected: bool
) -> None:
    claim = Claim(of="weights", split="test", metric="f1", source="a", value=claimed, decimals=decimals)
    assert is_exact(Judgement(claim=claim, verdict="reproduced", why="", measured=measured)) is expected


def result(claimed: int, run: int, *, metric: str = "accuracy", decimals: int = 6) -> ClaimResult:
    return ClaimResult(
        split="test", metric=metric, claimed=claimed / 1000, as_run=run / 1000, verdict="not-reproduced", why="",
        decimals=decimals, rows=1000,
    )  # fmt: skip


def scored(*right: int, metric: str = "accuracy") -> list[Attempt]:
    return [Attempt(factor="a", agrees=True, exact=True, values={f"{metric} on test": r / 1000}) for r in right]


@pytest.mark.parametrize(
    ("claim", "right", "exact", "expected"),
    [
        (result(900, 500), [900], True, 1 / 301),  # counts from 700 to 1000
        (result(900, 500), [900, 501, 502, 503, 504], True, 1 / 301),
        (result(900, 500), [900, 890, 880, 870, 510], True, 4 / 301),
        (result(900, 500), [901, 890, 880, 870, 510], False, 3 * 4 / 301),  # 899 and 900 are as near
        (result(900, 500, decimals=2), [900], True, 10 / 301),  # 0.90 is one of ten counts
        (result(898, 900), [898], True, 1 / 3),
        (result(898, 900), [898, 897, 902], True, 2 / 3),
        (result(899, 900, decimals=2), [899], True, 1),
    ],
)
def test_chance_hits_are_the_density_of_scores_around_the_claim(
    claim: ClaimResult, right: list[int], exact: bool, expected: float
) -> None:
    tried = scored(*right)
    attempt = Attempt(factor="a", agrees=True, exact=exact, values=tried[0].values)
    assert chance_hits([claim], attempt, tried) == pytest.approx(expected)


def test_no_chance_is_known_of_scores_that_are_no_counts() -> None:
    (attempt,) = scored(900, metric="f1")
    assert chance_hits([result(900, 500, metric="f1")], attempt, [attempt]) is None
    (share,) = scored(900)
    both = Attempt(factor="a", values={**attempt.values, **share.values}, exact=True)
    assert chance_hits([result(900, 500, metric="f1"), result(900, 500)], both, [both]) == pytest.approx(1 / 301)


@pytest.mark.parametrize(
    ("hits", "words"),
    [
        (0.3, "about 0.3 of the 41 changes that were scored would come as near to an invented claim by chance"),
        (
            0.0003,
            "fewer than 0.001 of the 41 changes that were scored would come as near to an invented claim by chance",
        ),
        (None, "one of the 41 changes that were scored may do so by chance"),
    ],
)
def test_a_cause_is_only_possible_and_its_chance_is_printed(hits: float | None, words: str) -> None:
    attempt = Attempt(
        factor="precision", description="bf16 instead of fp32", agrees=True, exact=True, chance_hits=hits,
        values={"accuracy on test": 0.9},
    )  # fmt: skip
    explanation = Explanation(entry="a", title="a", claims=(result(900, 500),), attempts=(attempt,), scored=41)
    (sentence,) = explanation.sentences()[-1:]
    assert sentence == (
        "precision: bf16 instead of fp32 reproduces the claims: accuracy on test 0.900000, claimed 0.900000 (0.500000"
        f" without the change); a possible cause: {words}"
    )


def test_an_error_ends_one_factor_with_its_reason() -> None:
    def candidates() -> Iterator[Any]:
        yield Variant(precision="bf16")
        raise OSError(5, "Input/output error", "data/a.png")

    first, second = until_error("split", candidates())
    assert first == Variant(precision="bf16")
    assert second == Untried("split", "data/a.png: Input/output error")


def variants_of_images(mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Variant]:
    split = PixelSplit(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2), mean=mean, std=std)
    runner: Any = SimpleNamespace(split=lambda name: split, image_settings=settings_of)
    variants = [candidate for candidate in images(runner, "test") if isinstance(candidate, Variant)]
    return {change.after: variant for variant in variants for change in variant.changes}


def test_changes_of_the_same_setting_are_not_combined() -> None:
    variants = variants_of_images(MEAN, STD)
    clip, caffe, bgr = variants["CLIP"], variants["BGR, 0 to 255 minus the mean, as in Caffe"], variants["BGR"]
    assert clip.conflicts_with(caffe) and caffe.conflicts_with(bgr)
    assert not clip.conflicts_with(bgr)
    assert Variant(train=True, batch_size=8).conflicts_with(Variant(batch_size=1))
    assert not Variant(precision="bf16").conflicts_with(clip)
    combined = clip.combined_with(bgr)
    assert combined.images == {**(clip.images or {}), **(bgr.images or {})}


@pytest.mark.parametrize(("mean", "std"), [(MEAN, STD), ((0.0,) * 3, (1.0,) * 3), ((0.5,) * 3, (0.5,) * 3)])
def test_no_two_changes_of_images_are_equal(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    defaults = {"mean": mean, "std": std, "largest": 1.0, "bgr": False}
    settings = [repr({**defaults, **(variant.images or {})}) for variant in variants_of_images(mean, std).values()]
    assert len(settings) > 5
    assert len(set(settings)) == len(settings)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([-1, -1, -1], "the labels of test are hidden: all are -1"), ([-1], ""), ([0, 1, 0], ""),
        ([2.5, 2.5], "the labels of test are hidden: all are 2.5"),
    ],
)  # fmt: skip
def test_another_split_is_not_tried_if_its_labels_are_hidden(labels: list[float], reason: str) -> None:
    assert split_factors._hidden_labels(torch.tensor(labels), "test") == reason

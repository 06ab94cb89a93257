"""The trainings behind the rates of real verdicts: recipes with planted faults, and the committed scores."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from benchmarks.verdicts import faults
from benchmarks.verdicts.trainings import CASES, SCORES, Case, read_scores, write_scores
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import local
from zoo.recipes.check import check_entry

BUILDER = Builder(trust=frozenset({"benchmarks"}))


@pytest.mark.parametrize("case", [case for case in CASES if case.fault], ids=lambda case: case.name)
def test_a_recipe_with_a_planted_fault_is_a_valid_recipe(case: Case, tmp_path: Path) -> None:
    path = tmp_path / f"{case.entry}.yaml"
    path.write_text(case.recipe(), encoding="utf-8")
    check_entry(local(path), BUILDER)


def test_there_are_ten_faults_or_more_and_each_has_a_correct_recipe() -> None:
    assert sum(bool(case.fault) for case in CASES) >= 10
    assert {case.entry for case in CASES if case.fault} == {case.name for case in CASES if not case.fault}


def test_the_committed_scores_are_shares_of_the_test_split_and_belong_to_a_case() -> None:
    rows: Mapping[str, int] = {"digits": 898, "entail": 1200}
    scores, seeds = read_scores(), {case.name: set(case.seeds) for case in CASES}
    assert scores
    for case, of_case in scores.items():
        assert of_case.keys() <= seeds[case]
        for accuracy in of_case.values():
            count = accuracy * rows[case[:6]]
            assert count == pytest.approx(round(count), abs=1e-3)


def test_scores_of_several_processes_are_joined_to_one_sorted_file(tmp_path: Path) -> None:
    case, path = CASES[0], tmp_path / SCORES.name
    for part, seed in enumerate((case.seeds[1], case.seeds[0])):
        path.with_name(f"{path.stem}-{part}.csv").write_text(f"{case.name},{seed},0.5{part}00000\n")
    write_scores(read_scores(path), path)
    expected = f"{case.name},{case.seeds[0]},0.5100000\n{case.name},{case.seeds[1]},0.5000000\n"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == expected


def test_wrong_labels_are_a_share_of_one_class_and_the_same_in_every_training() -> None:
    labels = torch.arange(10).repeat_interleave(40)
    changed = faults.shuffled_labels(labels, 3, 0.25)
    assert int((changed != labels).sum()) == 10
    assert set(labels[changed != labels].tolist()) == {3}
    assert torch.equal(changed, faults.shuffled_labels(labels, 3, 0.25))


def test_a_frozen_batch_norm_keeps_its_statistics_in_training() -> None:
    network = faults.frozen_batch_norm(depth=8, width=2, num_classes=10, in_channels=1).train()
    before = {name: value.clone() for name, value in network.named_buffers()}
    network(torch.randn(4, 1, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


def test_planted_faults_of_the_digits_change_what_they_name() -> None:
    plain, few = (task.load("train") for task in (faults.digits(), faults.few_digits()))
    assert len(few) == (len(plain) + 1) // 2
    images, mirrored = (task.load("train").batch([0, 1]).inputs for task in (faults.digits(), faults.mirrored_digits()))
    assert torch.equal(mirrored[0], torch.flip(images[0], (-1,)))
    assert torch.equal(mirrored[1], images[1])
    raw = faults.digits_not_normalized()
    assert all(float(raw.load(split).batch([0]).inputs.min()) >= 0 for split in ("train", "test"))

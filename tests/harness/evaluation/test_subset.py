"""Selected rows of a split are a split."""

from harness.evaluation.subset import subset
from zoo.tasks import digits


def test_a_subset_has_the_labels_inputs_and_hashed_rows_of_its_positions() -> None:
    split = digits().load("test")
    selected = subset(split, [2, 5])
    assert len(selected) == 2
    assert selected.labels.tolist() == split.labels[[2, 5]].tolist()
    assert selected.batch([1]).inputs.equal(split.batch([5]).inputs)  # type: ignore[union-attr]
    assert list(selected.rows()) == [row for i, row in enumerate(split.rows()) if i in (2, 5)]

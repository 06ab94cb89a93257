"""The interface of a task whose predictions are more than one class or number a row."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from zoo.tasks.base import Batch, Split, Task

Arrays = Mapping[str, NDArray[Any]]
"""The arrays of a prediction file by name; the first dimension of each counts the N examples."""


class Readout(Protocol):
    """Turns the logits of a task whose predictions are more than one class or number a row into arrays for metrics.

    Examples are the pixels of an image, the tags of a sentence, the answer to a question, and the objects of an image.
    The harness runs the model batch by batch, keeps only what `read` returns, and passes all of it to `arrays`.

    The module of the readout is part of a run's identity. A readout that scores with functions of other modules lists
    one of each in a class attribute `scored_by`, and these modules are part of it, too.
    """

    def check(self, task: "Task", logits: Tensor, labels: Tensor) -> None:
        """Raise OutputsError if the outputs of a model for a batch do not fit the task."""
        ...

    def read(self, logits: Tensor, batch: "Batch") -> Tensor:
        """Return what the metrics need of each row of a batch.

        Args:
            logits: The outputs of the model, `(B, ...)`, on the device of the batch.
            batch: The batch.

        Returns:
            A tensor `(B, ...)` on the same device, of one shape for all rows of the split. A row whose outputs are NaN
            or infinite may have any values: the harness marks it.
        """
        ...

    def arrays(self, rows: NDArray[Any], split: "Split") -> Arrays:
        """Return the arrays that the metrics read, from what `read` returned for all N rows of a split, in order.

        The number of examples may differ from that of the rows: several rows may belong to one question.
        """
        ...

    def examples_of(self, rows: NDArray[np.bool_], split: "Split") -> NDArray[np.bool_]:
        """Return which examples belong to the marked rows `(N,)`."""
        ...

    def example(self, outputs: int, split: "Split") -> Arrays:
        """Return arrays of a few made-up examples to try metrics with.

        Args:
            outputs: The number of outputs of the model.
            split: The split that is to be scored; its arrays have the same shapes, apart from the first dimension.
        """
        ...

"""Group the examples of a split that share a text. This module does not import torch.

Three hypotheses about one premise are not three independent examples: a model that misreads the premise gets all of
them wrong. Standard errors that treat them as independent are then too small (Miller, Adding Error Bars to Evals,
arXiv:2411.00640, section 2.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

LARGEST_SHARE, LARGEST_GROUP = 0.1, 10
"""Chains of shared texts are used as groups unless one has more than this share of the examples, and this many."""


@dataclass(frozen=True, kw_only=True)
class Groups:
    """A partition of the examples; `ids` has the number of the group of each example, `(N,)`, from 0 on."""

    ids: NDArray[np.int64]
    shared: str = "a text"
    """The property that the examples of a group have in common, for messages."""

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """The number of examples of each group, `(G,)`."""
        return np.bincount(self.ids)

    @property
    def effective(self) -> float:
        """The number of equal groups with as much information: `n^2 / sum n_g^2`, at most the number of groups."""
        return float(self.sizes.sum() ** 2 / np.square(self.sizes).sum())

    @property
    def are_single(self) -> bool:
        """Whether each group is one example."""
        return len(self.sizes) == len(self.ids)


def single_groups(n: int) -> Groups:
    """Return groups of one example each, for examples that are independent."""
    return Groups(ids=np.arange(n), shared="nothing")


def group_by_texts(texts: Sequence[tuple[str, ...]]) -> Groups:
    """Return the groups of examples that share a text in any column, directly or through other examples.

    In a pair of questions, A may be asked with B and B with C; then all three questions are one group. Such chains can
    join most examples of a data set. If one group has more than `LARGEST_SHARE` of them, only examples with the same
    first text (MNLI's premise) form a group. Blank texts join nothing.

    Args:
        texts: One text or several for each example.
    """
    chained = Groups(ids=_connected(texts))
    if chained.sizes.max() <= max(LARGEST_SHARE * len(texts), LARGEST_GROUP):
        return chained
    return Groups(ids=_connected([row[:1] for row in texts]), shared="the first text")


def _connected(texts: Sequence[tuple[str, ...]]) -> NDArray[np.int64]:
    """Return the connected component of each example in the graph of examples and their texts."""
    nodes: dict[str, int] = {}
    edges = [
        (row, nodes.setdefault(text, len(nodes))) for row, of_row in enumerate(texts) for text in of_row if text.strip()
    ]
    rows, columns = np.array(edges, np.int64).reshape(-1, 2).T
    size = len(texts) + len(nodes)
    graph = coo_array((np.ones(len(edges)), (rows, len(texts) + columns)), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    return np.unique(components[: len(texts)], return_inverse=True)[1].astype(np.int64)

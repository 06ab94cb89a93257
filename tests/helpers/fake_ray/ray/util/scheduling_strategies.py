"""Where a task of a small Ray runs."""

from dataclasses import dataclass


@dataclass
class NodeAffinitySchedulingStrategy:
    """On one node."""

    node_id: str
    soft: bool

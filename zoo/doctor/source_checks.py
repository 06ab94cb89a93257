"""D1xx: sources that are not pinned, and weights in an unsafe format."""

from collections.abc import Iterator

from zoo.doctor.entry_facts import EntryFacts
from zoo.doctor.hazards import Hazard
from zoo.fetch.source_types import ArchiveMember, HubRepo, LocalFile, Url

PICKLES = (".bin", ".pt", ".pth", ".th", ".ckpt", ".pkl", ".tar")


def unpinned_revisions(facts: EntryFacts) -> Iterator[Hazard]:
    """D101: repositories of the Hub without a commit."""
    marks = {used.source: used.mark for used in reversed(facts.used_sources)}
    for source, mark in marks.items():
        if not isinstance(source, HubRepo) or source.commit or facts.sources.is_locked(source):
            continue
        seen = facts.sources.known_pin(source).revision
        trusted = f"; this machine uses {seen[:12]} since it first saw it, another may not" if seen else ""
        commit = f"{source.without_revision}@COMMIT"
        yield Hazard(
            code="D101", severity="warning", mark=mark,
            message=f"{source}: neither the recipe nor the lock names its commit{trusted}",
            fix=f"write {commit}, or pin the present commit: zoo lock --update {facts.entry.argument}",
        )  # fmt: skip


def unknown_digests(facts: EntryFacts) -> Iterator[Hazard]:
    """D102: weights, and files on servers, whose SHA-256 the lock does not know."""
    for used in facts.used_sources:
        source, is_weights = used.source, used.role == "weights"
        if isinstance(source, LocalFile) and is_weights:
            yield Hazard(
                code="D102", severity="note", mark=used.mark, message=f"{source} exists on your machine only",
                fix="publish it and name it as hub:OWNER/NAME, so that others can run this",
            )  # fmt: skip
        elif isinstance(source, Url | ArchiveMember) or (isinstance(source, HubRepo) and is_weights):
            pin = facts.weights_pin(source)
            if pin.sha256 is None:
                partly = pin.sha256_prefix is not None or pin.etag_sha256 is not None
                pin_status = "knows only a part of its SHA-256" if partly else "does not know its SHA-256"
                yield Hazard(
                    code="D102", severity="note" if partly else "warning", mark=used.mark,
                    message=f"{source}: the lock {pin_status}, so the first download is trusted",
                    fix=f"compare it with what its author says, then pin it: zoo lock --update {facts.entry.argument}",
                )  # fmt: skip


def pickled_weights(facts: EntryFacts) -> Iterator[Hazard]:
    """D103: weights in a format that can run code when other programs load it."""
    for used in facts.used_sources:
        names = facts.weights_names(used.source) if used.role == "weights" else []
        if pickled := [name for name in names if name.endswith(PICKLES)]:
            yield Hazard(
                code="D103", severity="note", mark=used.mark,
                message=f"{pickled[0]} is a pickle: zoo reads only its tensors, but other programs run its code",
                fix="publish the weights as model.safetensors",
            )  # fmt: skip


SOURCE_CHECKS = (unpinned_revisions, unknown_digests, pickled_weights)

"""D2xx: trainings whose result cannot be repeated, or is better than it should be."""

import re
from collections.abc import Iterator

from zoo.doctor.entry_facts import EntryFacts
from zoo.doctor.hazards import Hazard
from zoo.recipes.cuda_kernels import missing_kernels

SEED = re.compile(r"\bseeds?\s+\d", re.IGNORECASE)
FP16 = re.compile(r"\bfp16\b|\bhalf precision\b", re.IGNORECASE)
USE_CPU = "train on the CPU, or write another layer or loss for it"


def unseeded_references(facts: EntryFacts) -> Iterator[Hazard]:
    """D201: references of a training without a seed."""
    for claim, marks in facts.claims:
        if claim.of == "retrain" and not SEED.search(claim.source):
            yield Hazard(
                code="D201", severity="warning", mark=marks["source"],
                message="the source names no seed of the reference, so exactly that training cannot be repeated",
                fix="name the seeds of the reference runs, or train some: "
                f"zoo reproduce {facts.entry.argument} --train --seeds 5 --first-seed 1000",
            )  # fmt: skip


def best_epochs(facts: EntryFacts) -> Iterator[Hazard]:
    """D202: epochs that were chosen on the split whose score is reported."""
    fix = "claim the last epoch's score (selection: last), or choose the epoch on a split that is not reported"
    reported = [(claim, marks) for claim, marks in facts.claims if claim.of != "test-server"]
    splits = {claim.split for claim, _ in reported}
    best = {claim.split for claim, _ in reported if claim.selection == "best"}
    mentioned: set[str] = set()
    for stage in facts.recipe.stages[-1:]:
        selected_on = stage.selected_on or (facts.recipe.holdout and facts.recipe.holdout.name)
        chosen_on = {selected_on} & splits if selected_on else best
        if stage.selection == "best" and chosen_on:
            mentioned |= chosen_on
            on = ", ".join(sorted(chosen_on))
            yield Hazard(
                code="D202", severity="warning", mark=stage.marks.get("selection", stage.optimizer.mark), fix=fix,
                message=f"the epoch is chosen on {on}, and its score there is reported, which is biased upwards",
            )  # fmt: skip
    for claim, marks in reported:
        if claim.selection == "best" and claim.split not in mentioned:
            mentioned.add(claim.split)
            yield Hazard(
                code="D202", severity="warning", mark=marks["selection"], fix=fix,
                message=f"the score is that of the best epoch on {claim.split}, which is biased upwards",
            )  # fmt: skip


def fp16_references(facts: EntryFacts) -> Iterator[Hazard]:
    """D203: references that were trained in FP16."""
    retrained = [(claim, marks) for claim, marks in facts.claims if claim.of == "retrain"]
    mentions = [mark for mark, line in facts.header if FP16.search(line)]
    declared = [marks["precision"] for claim, marks in retrained if claim.precision == "fp16"]
    if not declared and retrained and mentions:
        yield Hazard(
            code="D203", severity="note", mark=mentions[0],
            message="the comment mentions fp16, and no claim says that the reference was trained in it",
            fix="if it was, add precision: fp16 to the claim of the training",
        )  # fmt: skip
    for mark in declared:
        yield Hazard(
            code="D203", severity="warning", mark=mark,
            message="the reference was trained in fp16; a training in fp32 can have another mean score",
            fix="give the claim a sigma of runs like yours, or train with --precision fp16, which needs CUDA",
        )  # fmt: skip


def non_deterministic_kernels(facts: EntryFacts) -> Iterator[Hazard]:
    """D204: operations without a deterministic kernel on a CUDA device; zoo only allows deterministic ones."""
    for found in missing_kernels(facts.recipe):
        yield Hazard(
            code="D204", severity="warning" if found.is_fatal else "note", mark=found.mark,
            message=found.message, fix=USE_CPU,
        )  # fmt: skip


TRAINING_CHECKS = (unseeded_references, best_epochs, fp16_references, non_deterministic_kernels)

"""Train starter entries with many seeds, as they are and with planted faults, and store their scores.

`python -m benchmarks.verdicts.trainings` continues where it was stopped; with `--share 0/2` and `--share 1/2` two
processes share the work. Each training has one thread, so that the scores do not depend on the number of cores. The
scores are in `trainings.csv`, one line for each training: its case, its seed, and the accuracy on the test split. On
two cores everything takes about three hours.
"""

import argparse
import csv
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

from harness.models.environment import accelerator_on, deterministic
from harness.runs.experiment import Experiment, RunContext, prepare
from harness.runs.record_runs import training_run
from harness.runs.teachers import TeacherResolver
from harness.training.train import train
from zoo.progress import ignore_step
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import local, select_one

SCORES = Path(__file__).parent / "trainings.csv"
FIRST_SEED = 20_000
"""The seeds differ from those of the reference runs and of users."""
CORRECT, FAULTY = 200, 40
"""The trainings of a correct recipe, and of a recipe with a fault."""
DIGITS, DISTILLED, ENTAIL = "digits-resnet8", "digits-resnet8_from_digits-resnet14", "entail-bert-l2h32"
PARTS = "benchmarks.verdicts.faults"
Replacements = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Case:
    """An entry, as it is or with a planted fault: texts of its recipe that are replaced."""

    entry: str
    fault: str = ""
    replaced: Replacements = ()

    @property
    def name(self) -> str:
        """The name in `trainings.csv`."""
        return f"{self.entry}/{self.fault}" if self.fault else self.entry

    @property
    def seeds(self) -> range:
        """The seeds to train."""
        return range(FIRST_SEED, FIRST_SEED + (FAULTY if self.fault else CORRECT))

    def recipe(self) -> str:
        """Return the text of the recipe. Raises ValueError if a replaced text is not there exactly once."""
        text = select_one(self.entry).path.read_text(encoding="utf-8")
        for old, new in self.replaced:
            if text.count(old) != 1:
                raise ValueError(f"{self.name}: the recipe has {old!r} {text.count(old)} times")
            text = text.replace(old, new)
        return text


FAULTS: Mapping[str, Mapping[str, Replacements]] = {
    DIGITS: {
        "twice the learning rate": [("lr: 0.05", "lr: 0.1")],
        "half of the epochs": [("epochs: 20", "epochs: 10")],
        "no weight decay": [("weight_decay: 5e-4", "weight_decay: 0.0")],
        "constant learning rate": [("    schedule: {use: cosine, warmup: 0.1}\n", "")],
        "no momentum": [("momentum: 0.9, ", ""), (", nesterov: true", "")],
        "batches of 128 rows": [("batch_size: 32", "batch_size: 128")],
        "frozen BatchNorm": [("use: cifar_resnet", f"use: {PARTS}.frozen_batch_norm")],
        "wrong labels, 5% of a class": [
            ("task: digits", f"task: {{use: {PARTS}.digits_with_wrong_labels, share: 0.05}}")
        ],
        "wrong labels, half of a class": [
            ("task: digits", f"task: {{use: {PARTS}.digits_with_wrong_labels, share: 0.5}}")
        ],
        "half of the rows": [("task: digits", f"task: {PARTS}.few_digits")],
        "mirrored images": [("task: digits", f"task: {PARTS}.mirrored_digits")],
        "images not normalized": [("task: digits", f"task: {PARTS}.digits_not_normalized")],
    },
    DISTILLED: {
        "temperature 1": [("temperature: 4", "temperature: 1")],
        "alpha of 0.9": [("alpha: 0.1", "alpha: 0.9")],
    },
    ENTAIL: {
        "half of the epochs": [("epochs: 6", "epochs: 3")],
        "twice the learning rate": [("lr: 3e-3", "lr: 6e-3")],
        "lower-case texts": [("lowercase: false", "lowercase: true")],
        "texts cut to 24 tokens": [("task: entailment", "task: {use: entailment, max_length: 24}")],
        "wrong labels, 5% of a class": [
            ("task: entailment", f"task: {{use: {PARTS}.pairs_with_wrong_labels, share: 0.05}}")
        ],
    },
}
"""Entry -> fault -> the texts of the recipe that are replaced. The digits are trained without augmentation, so mirrored
images stand for a wrong one."""
CASES: Sequence[Case] = (
    *(Case(entry) for entry in (DIGITS, DISTILLED, ENTAIL)),
    *(Case(entry, fault, replaced) for entry, faults in FAULTS.items() for fault, replaced in faults.items()),
)


def read_scores(path: Path = SCORES) -> dict[str, dict[int, float]]:
    """Return the stored scores: case -> seed -> accuracy."""
    scores: dict[str, dict[int, float]] = {}
    for file in sorted(path.parent.glob(f"{path.stem}*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            for case, seed, accuracy in csv.reader(lines):
                scores.setdefault(case, {})[int(seed)] = float(accuracy)
    return scores


def write_scores(scores: Mapping[str, Mapping[int, float]], path: Path = SCORES) -> None:
    """Write all scores to one file, sorted by case and seed, and delete the files of single processes."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for case in CASES:
            of_case = sorted(scores.get(case.name, {}).items())
            writer.writerows([case.name, seed, f"{accuracy:.7f}"] for seed, accuracy in of_case)
    for other in path.parent.glob(f"{path.stem}-*.csv"):
        other.unlink()


def train_missing(share: tuple[int, int], deadline: float, path: Path = SCORES) -> None:
    """Train what has no score yet, and append each score to a file of this process.

    Args:
        share: The number of this process, and the number of processes.
        deadline: The value of `time.monotonic()` after which no training is begun.
        path: The file of all scores.
    """
    part, parts = share
    out, done = path.with_name(f"{path.stem}-{part}.csv"), read_scores(path)
    with tempfile.TemporaryDirectory() as folder:
        for case in sorted(CASES, key=lambda case: case.entry == ENTAIL):  # the longest ones last
            seeds = [seed for seed in case.seeds[part::parts] if seed not in done.get(case.name, {})]
            experiment = _experiment(case, Path(folder)) if seeds else None
            for seed in seeds:
                if experiment is None or time.monotonic() > deadline:
                    return
                accuracy = _accuracy(experiment, seed)
                with out.open("a", encoding="utf-8", newline="") as file:
                    csv.writer(file, lineterminator="\n").writerow([case.name, seed, f"{accuracy:.7f}"])


def _experiment(case: Case, folder: Path) -> Experiment:
    path = folder / f"{case.entry}.yaml"
    path.write_text(case.recipe(), encoding="utf-8")
    builder = Builder(trust=frozenset({"benchmarks"}))
    return prepare(local(path), RunContext(builder=builder, accelerator=accelerator_on("cpu"), runs=folder))


def _accuracy(experiment: Experiment, seed: int) -> float:
    work = Path(tempfile.mkdtemp(dir=experiment.context.runs))
    with deterministic("fp32"):
        trained = train(training_run(experiment, TeacherResolver().resolve(experiment), seed, work, ignore_step))
    (evaluation,) = experiment.evaluations(trained.model)
    shutil.rmtree(work)
    return evaluation.scores["accuracy"].value


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else "")
    parser.add_argument("--share", default="0/1", help="the part of this process, such as 0/2 of two (default: 0/1)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no training after this time")
    parser.add_argument("--join", action="store_true", help="only join the files of several processes to one")
    arguments = parser.parse_args()
    if not arguments.join:
        part, _, parts = arguments.share.partition("/")
        train_missing((int(part), int(parts)), time.monotonic() + arguments.seconds)
    if arguments.join or arguments.share == "0/1":
        write_scores(read_scores())
    print(f"{sum(map(len, read_scores().values())):,} of {sum(len(case.seeds) for case in CASES):,} trainings")


if __name__ == "__main__":
    main()

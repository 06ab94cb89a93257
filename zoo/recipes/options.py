"""The options that the command line and the Python API share. `zoo.cli.command_function` names their help."""

import os
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from zoo import paths
from zoo.errors import UsageError
from zoo.recipes.claim import Precision
from zoo.recipes.devices import parse_devices
from zoo.stopping import parse_time_limit

Backend = Literal["local", "slurm", "ray", "hf-jobs"]
"""Where runs can be made besides this process."""
TrackerName = Literal["tensorboard", "trackio", "wandb", "mlflow"]
"""The experiment trackers that show trainings, by the name of the package to import."""


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Where weights and data come from, and which code recipes may import.

    Attributes:
        trust: Packages that recipes may import besides the allowed ones.
        lock: The lock to use instead of the project's. Default: ZOO_LOCK, else None.
        mirror: A folder that is searched by SHA-256 before anything is downloaded. Default: ZOO_MIRROR, else None.
        cache: A folder that `zoo fetch --to` has filled; with it no request is sent. Default: ZOO_CACHE, else None.
        data: The local folders of data sets by name. Folders in ZOO_DATA are added.
    """

    trust: Sequence[str] = ()
    lock: Path | None = None
    mirror: Path | None = None
    cache: Path | None = None
    data: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Apply the environment variables. Raise UsageError for data that do not exist."""
        for name, folder in self.data.items():
            if not Path(folder).expanduser().exists():
                raise UsageError(f"--data {name}={folder}: no such file or folder")
        local = {name: Path(folder).expanduser() for name, folder in self.data.items()}
        object.__setattr__(self, "trust", tuple(self.trust))
        object.__setattr__(self, "lock", _path_or_environment(self.lock, "ZOO_LOCK"))
        object.__setattr__(self, "mirror", _path_or_environment(self.mirror, "ZOO_MIRROR"))
        object.__setattr__(self, "cache", _path_or_environment(self.cache, "ZOO_CACHE"))
        object.__setattr__(self, "data", paths.data() | local)

    def without_cache(self) -> "SourceOptions":
        """Return the same options for a command that needs the network, whatever ZOO_CACHE is."""
        options = copy(self)
        object.__setattr__(options, "cache", None)
        return options


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """The device and the precision of the computation.

    Attributes:
        device: `cpu`, `cuda`, `mps`, or a GPU such as `cuda:1`; None or `auto` for the best one available. With
            several jobs, `cuda` stands for all GPUs, and a list such as `cuda:0,cuda:1` for some of them.
        precision: `fp32`, `tf32`, `bf16` or `fp16`.
    """

    device: str | None = None
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        """Raise ZooError for a device with an unknown name."""
        parse_devices(self.device)


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions(DeviceOptions):
    """How a model is evaluated.

    Attributes:
        strict: Whether to compute in batches of fixed shapes, so that the logits of a row do not depend on other rows.
    """

    strict: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(EvaluationOptions):
    """How a training is computed.

    Attributes:
        micro_batch: The most examples in one forward pass; None for the whole batch. Gradients are accumulated.
        save_every: Seconds between checkpoints; 0 saves one after every step.
        time_limit: The command ends before this time: `2h`, `90min`, `5400` (seconds) or `01:30:00`; None for no limit.
        score_epochs: Whether the model is scored after every epoch. It is anyway where a recipe selects its best epoch.
        log_to: The trackers that the training log is sent to, while it is written.
        fresh: Whether to make runs again that exist. A run is replaced once the new one is complete.
        records: The folder of the runs; None for `zoo.paths.runs()`.
    """

    micro_batch: int | None = None
    save_every: float = 300.0
    time_limit: str | None = None
    score_epochs: bool = False
    log_to: Sequence[TrackerName] = ()
    fresh: bool = False
    records: Path | None = None

    def __post_init__(self) -> None:
        """Accept a folder as text. Raise UsageError for a time limit or a tracker that does not exist."""
        super().__post_init__()
        object.__setattr__(self, "log_to", tuple(self.log_to))
        if unknown := [name for name in self.log_to if name not in get_args(TrackerName)]:
            raise UsageError(f"--log-to {unknown[0]}: no such tracker; choose from {', '.join(get_args(TrackerName))}")
        if self.time_limit is not None:
            parse_time_limit(self.time_limit)
        object.__setattr__(self, "records", None if self.records is None else Path(self.records))


@dataclass(frozen=True, kw_only=True)
class RunOptions(TrainingOptions):
    """Which runs claims are judged by, and how missing runs are made.

    Attributes:
        train: Whether to train and judge the claims of retraining, instead of evaluating the published weights.
        seeds: How many trainings an entry; None for the number that its claims name.
        first_seed: The first seed. Seeds from 1000 on are reserved for recorded reference runs.
        jobs: How many runs are made at once, each in its own process. None for one run at a time in this process, or,
            with `on`, for one process per GPU.
        on: Where missing runs are made: `local`, in processes on this machine; `slurm`, in jobs of the cluster that
            this machine belongs to; `ray`, on a Ray cluster; `hf-jobs`, whose commands `zoo verify --dry-run` prints;
            None for this process, unless `jobs` is above 1.
        slurm_config: The file with the settings of the cluster; None for `zoo.toml` if that exists.
        ray_address: The Ray cluster, such as `10.0.0.1:6379` or `auto`. Default: RAY_ADDRESS, else one is started.
    """

    train: bool = False
    seeds: int | None = None
    first_seed: int = 0
    jobs: int | None = None
    on: Backend | None = None
    ray_address: str | None = None
    slurm_config: Path | None = None

    @property
    def uses_fleet(self) -> bool:
        """Whether missing runs are made by other processes than this one."""
        return self.on is not None or (self.jobs or 1) > 1

    def __post_init__(self) -> None:
        """Refuse options of a training without `train`. Raise UsageError."""
        super().__post_init__()
        if not self.train and (self.seeds is not None or self.first_seed or self.score_epochs or self.log_to):
            raise UsageError(
                "--seeds, --first-seed, --score-epochs and --log-to need --train (in Python, train=True); without it,"
                " the published weights are evaluated once"
            )
        if self.on is not None and self.on not in get_args(Backend):
            raise UsageError(f"--on {self.on}: expected {' or '.join(get_args(Backend))}")
        if self.ray_address is not None and self.on != "ray":
            raise UsageError("--ray-address needs --on ray")
        if self.slurm_config is not None and self.on != "slurm":
            raise UsageError("--slurm-config needs --on slurm")


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Which models of the Hub to verify, besides those that are named.

    Attributes:
        from_file: A file with the names of models, one a line.
        search: A query for models, such as `task:text-classification dataset:glue`.
        max_models: The most models of the file and the search together. Default: all of the file, 20 of a search.
        max_bytes: The most bytes of weights to download, such as `20GB`; None for no limit.
    """

    from_file: Path | None = None
    search: str | None = None
    max_models: int | None = None
    max_bytes: str | None = None

    @property
    def is_used(self) -> bool:
        """Whether models are chosen by a file or by a search."""
        return self.from_file is not None or self.search is not None

    def __post_init__(self) -> None:
        """Refuse limits of nothing. Raise UsageError."""
        if (self.max_models or self.max_bytes) and not self.is_used:
            raise UsageError("--max-models and --max-bytes need --from or --search")


def _path_or_environment(path: Path | None, variable: str) -> Path | None:
    chosen = path or os.environ.get(variable)
    return Path(chosen) if chosen else None

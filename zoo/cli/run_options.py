"""The options of commands that make runs: what is trained, where, and how."""

from pathlib import Path
from typing import Annotated

from zoo.cli.completion import complete_devices
from zoo.cli.options import HOW, OUTPUT, WHAT, option
from zoo.recipes.claim import Precision
from zoo.recipes.options import Backend

Train = Annotated[
    bool,
    option("--train", "Train again and judge the claims of retraining. Default: evaluate the published weights.", WHAT),
]
Seeds = Annotated[
    int | None,
    option("--seeds", "Train with N seeds. Default: the number that the entry's claims name.", WHAT, "N", min=1),
]
FirstSeed = Annotated[
    int,
    option(
        "--first-seed",
        "Train with seeds from N on. Seeds from 1000 on are for recorded reference runs. Default: 0.",
        WHAT,
        "N",
        min=0,
    ),
]
Device = Annotated[
    str | None,
    option(
        "--device",
        "Compute on cpu, cuda, mps, or one of several GPUs, such as cuda:1. Default: auto, the best one available.",
        HOW,
        "DEVICE",
        autocompletion=complete_devices,
    ),
]
InPrecision = Annotated[
    Precision,
    option("--precision", "Compute in fp32, bf16 or, on a CUDA GPU, tf32 or fp16. Default: fp32.", HOW, "TYPE"),
]
Strict = Annotated[
    bool,
    option(
        "--strict",
        "Evaluate in batches of fixed shapes. On one device the logits of a row are then the same to the last bit,"
        " whatever the other rows, their order and the batch size. It is slower, most of all for small splits."
        " Default: fast batches.",
        HOW,
    ),
]
MicroBatch = Annotated[
    int | None,
    option(
        "--micro-batch",
        "Compute at most N examples at once and accumulate the gradients, to save memory. Default: the whole batch.",
        HOW,
        "N",
        min=1,
    ),
]
SaveEvery = Annotated[
    float,
    option(
        "--save-every",
        "Save a checkpoint every S seconds of training; 0 saves one after every step. Default: 300.",
        HOW,
        "S",
        min=0,
    ),
]
TimeLimit = Annotated[
    str | None,
    option(
        "--time-limit",
        "End before this time has passed since the start, with a checkpoint saved and exit code 75; the same command"
        " goes on. Write 2h, 90min, 20s, 5400 (seconds) or HH:MM:SS. Default: no limit.",
        HOW,
        "TIME",
    ),
]
ScoreEpochs = Annotated[
    bool,
    option(
        "--score-epochs",
        "Score the model on the scored splits after every epoch, for progress and log.jsonl. Default: only where the"
        " recipe selects its best epoch.",
        HOW,
    ),
]
LogTo = Annotated[
    list[str] | None,
    option(
        "--log-to",
        "Send the training log to a tracker of experiments while it is written: tensorboard, trackio, wandb or mlflow."
        " Its package must be installed. Can be repeated. Default: only log.jsonl.",
        OUTPUT,
        "TRACKER",
    ),
]
Fresh = Annotated[
    bool,
    option(
        "--fresh",
        "Make runs again that exist already; each is replaced once the new one is complete. Default: use them.",
        HOW,
    ),
]
Jobs = Annotated[
    int | None,
    option(
        "--jobs",
        "Make N runs at once, each in a process with its share of the CPU threads. They take turns with the GPUs, or"
        " with those of --device, such as cuda:0,cuda:1. Default: 1; with --on local, one per GPU.",
        HOW,
        "N",
        min=1,
    ),
]
On = Annotated[
    Backend | None,
    option(
        "--on",
        "Where missing runs are made: local, in processes on this machine; slurm, in jobs of the cluster; ray, on a Ray"
        " cluster; hf-jobs, as Jobs of the Hub, only with --dry-run, which prints the commands. Default: in this"
        " process.",
        HOW,
    ),
]
RayAddress = Annotated[
    str | None,
    option(
        "--ray-address",
        "With --on ray, use the Ray cluster at this address, or the one that this machine belongs to with 'auto'."
        " Default: $RAY_ADDRESS, else a cluster is started on this machine.",
        HOW,
        "HOST:PORT",
    ),
]
SlurmConfigFile = Annotated[
    Path | None,
    option(
        "--slurm-config",
        "Read the settings of --on slurm, such as the partition, from the table [slurm] of this TOML file. Default:"
        " zoo.toml, if it exists.",
        HOW,
        "FILE",
    ),
]
DryRun = Annotated[
    bool,
    option(
        "--dry-run",
        "Print the runs that would be made, and how long they may take, and stop. Default: make them.",
        OUTPUT,
    ),
]

"""Options of a training by timm, as its `train.py` writes them, over small images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from tests.helpers.vision_data import pixels
from zoo.fetch.sources import Sources
from zoo.importers.outcome import ImportedRecipe
from zoo.importers.timm.convert import import_timm

OPTIONS: Mapping[str, Any] = {
    "aa": None, "amp": False, "aug_repeats": 0, "batch_size": 4, "channels_last": False, "clip_grad": None,
    "clip_mode": "norm", "color_jitter": 0.4, "cooldown_epochs": 0, "crop_pct": None, "cutmix": 0.0,
    "cutmix_minmax": None, "data_dir": "/data/pictures", "dataset": "", "decay_epochs": 90, "decay_milestones": [90,
    180], "decay_rate": 0.1, "drop": 0.0, "drop_path": None, "epochs": 1, "eval_metric": "top1", "experiment": "",
    "hflip": 0.5, "img_size": None, "input_size": [3, 32, 32], "interpolation": "", "lr": 0.05, "lr_base": 0.1,
    "lr_base_scale": "", "lr_base_size": 256, "lr_cycle_limit": 1, "lr_cycle_mul": 1.0, "mean": None, "min_lr": 0.0,
    "mixup": 0.0, "mixup_prob": 1.0, "model": "test_resnet", "model_ema": False, "model_ema_decay": 0.9998,
    "model_kwargs": {}, "momentum": 0.9, "no_aug": False, "num_classes": 2, "opt": "sgd", "opt_betas": None,
    "opt_eps": None, "pretrained": False, "ratio": [0.75, 1.3333333333333333], "recount": 1, "remode": "pixel",
    "reprob": 0.0, "scale": [0.08, 1.0], "sched": "cosine", "sched_on_updates": False, "seed": 42, "smoothing": 0.1,
    "std": None, "sync_bn": False, "train_interpolation": "random", "train_split": "train", "val_split":
    "validation", "vflip": 0.0, "warmup_epochs": 0, "warmup_lr": 1.0e-05, "warmup_prefix": False, "weight_decay":
    2.0e-05, "workers": 4,
}  # fmt: skip
"""The options of a short training of a small model."""


def options(**changed: Any) -> str:
    """Return the file with some options changed, sorted by name as timm writes it."""
    return yaml.safe_dump({**OPTIONS, **changed}, default_flow_style=False)


def imported(path: Path, processes: int | None = 1, **changed: Any) -> ImportedRecipe:
    """Return the recipe of a training with some options changed. Its file is written into the folder `path`."""
    file = path / "args.yaml"
    file.write_text(options(**changed))
    return import_timm(str(file), Sources(), processes)


def image_folder(root: Path, images: int = 6, classes: int = 2) -> Path:
    """Write a folder of random images, `train/CLASS` and `val/CLASS`, and return it."""
    for split in ("train", "val"):
        for number in range(images):
            folder = root / split / f"class{number % classes}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels(number, 40, 44, 3)).save(folder / f"{number}.png")
    return root

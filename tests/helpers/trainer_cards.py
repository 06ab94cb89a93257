"""Model cards in the words of the Trainer of transformers, old and new."""

import json
from typing import Any

NEW = {
    "learning_rate": "2e-05", "train_batch_size": 8, "eval_batch_size": 8, "seed": 42, "gradient_accumulation_steps": 2,
    "total_train_batch_size": 16,
    "optimizer": "Use OptimizerNames.ADAMW_TORCH_FUSED with betas=(0.9,0.98) and epsilon=1e-06 and"
    " optimizer_args=No additional optimizer arguments",
    "lr_scheduler_type": "linear", "lr_scheduler_warmup_ratio": 0.1, "num_epochs": 2, "label_smoothing_factor": 0.1,
}  # fmt: skip
"""The list of a card of version 4.46 or later."""
OLD = {
    "learning_rate": "5e-05", "train_batch_size": 16, "eval_batch_size": 64, "seed": 1, "distributed_type": "multi-GPU",
    "num_devices": 2, "total_train_batch_size": 32, "total_eval_batch_size": 128,
    "optimizer": "Adam with betas=(0.9,0.999) and epsilon=1e-08", "lr_scheduler_type": "cosine", "num_epochs": "3.0",
    "mixed_precision_training": "Native AMP",
}  # fmt: skip
"""The list of a card of 2021 to 2024."""


def trainer_card(
    hyperparameters: dict[str, Any], *results: dict[str, Any], base: str | None = "someone/base", **front: Any
) -> bytes:
    """Return a card with these hyperparameters and with results in its model-index."""
    metadata = {
        "library_name": "transformers",
        **({"base_model": base} if base else {}),
        "tags": ["generated_from_trainer"],
    }
    metadata |= {"model-index": [{"name": "tiny", "results": list(results)}], **front}
    listed = "\n".join(f"- {name}: {value}" for name, value in hyperparameters.items())
    origin = (
        f"is a fine-tuned version of [{base}](https://huggingface.co/{base})" if base else "was trained from scratch"
    )
    text = f"""\
# tiny

This model {origin} on the reviews dataset.

## Training procedure

### Training hyperparameters

The following hyperparameters were used during training:
{listed}

### Training results

| Training Loss | Epoch | Step |
|:-------------:|:-----:|:----:|

### Framework versions

- Transformers 4.57.0
"""
    return f"---\n{json.dumps(metadata, indent=1)}\n---\n{text}".encode()

"""The options of timm's `train.py` that no other module converts: without effect on the result, or without an equal."""

from collections.abc import Mapping

from zoo.errors import did_you_mean
from zoo.importers.settings import OFF, Notes, Settings

_READ = """
    aa batch_size bn_eps bn_momentum clip_grad clip_mode color_jitter color_jitter_prob cooldown_epochs crop_mode
    crop_pct cutmix data data_dir dataset decay_epochs decay_milestones decay_rate drop drop_block drop_connect
    drop_path epochs eval_metric gaussian_blur_prob gp grad_accum_steps grayscale_prob hflip img_size in_chans
    input_key input_size interpolation lr lr_base lr_base_scale lr_base_size lr_k_decay mean min_lr model
    model_kwargs momentum no_aug num_classes opt opt_betas opt_eps opt_kwargs pretrained ratio recount remode reprob
    scale sched sched_on_updates smoothing std target_key train_crop_mode train_interpolation train_split val_split
    vflip warmup_epochs warmup_lr warmup_prefix weight_decay
"""
READ = frozenset(_READ.split())
"""The options that are converted."""
_WITHOUT_EFFECT = """
    amp_impl aot_autograd apex_amp bce_pos_weight bce_sum bce_target_thresh channels_last checkpoint_hist config
    cutmix_prob dataset_download dataset_trust_remote_code device device_modules dist_bn dist_url distributed
    experiment fast_norm force_cpu fuser grad_checkpointing input_img_mode jit layer_decay_min_scale
    layer_decay_no_opt_scale local_rank log_interval log_wandb lr_cycle_decay lr_noise_pct lr_noise_std mixup_mode
    mixup_off_epoch mixup_prob mixup_switch_prob model_ema_decay model_ema_force_cpu model_ema_warmup native_amp
    no_ddp_bb no_prefetcher no_resume_opt opt_foreach output patience_epochs pin_mem prefetcher rank
    recovery_interval resplit save_images seed synchronize_step torchcompile torchcompile_mode torchscript
    use_multi_epochs_loader val_interval validation_batch_size validation_batch_size_multiplier wandb_project
    wandb_resume_id wandb_tags worker_seeding workers world_size
"""
WITHOUT_EFFECT = frozenset(_WITHOUT_EFFECT.split())
"""Options of the machine and of the output, and options of parts that are obstacles themselves when they are in use."""
WITHOUT_EQUAL: Mapping[str, str] = {
    "aug_repeats": "a recipe reads every image once in an epoch",
    "aug_splits": "a recipe has no splits of a batch with other augmentations",
    "bce_loss": "zoo has no binary cross-entropy between logits and the number of the right class",
    "class_map": "a recipe numbers the classes by the names of their folders",
    "cutmix": "a training by zoo mixes no images of a batch",
    "cutmix_minmax": "a training by zoo mixes no images of a batch",
    "epoch_repeats": "a recipe reads every image once in an epoch",
    "head_init_bias": "the head starts as timm builds the model",
    "head_init_scale": "the head starts as timm builds the model",
    "initial_checkpoint": "it is a file on another machine; `pretrained` in a recipe starts from one of yours",
    "jsd_loss": "zoo has no loss between augmented copies of an image",
    "kd_model_name": "the teacher of timm's own distillation is not converted; add a `teacher` to the recipe",
    "layer_decay": "learning rates per layer are not converted; a recipe has `groups` for them",
    "lr_noise": "a schedule of a recipe has no noise",
    "mixup": "a training by zoo mixes no images of a batch",
    "model_ema": "a training by zoo keeps no moving average of the weights",
    "naflex_loader": "zoo's tasks have images of one size",
    "pretrained_path": "it is a file on another machine; `pretrained` in a recipe starts from one of yours",
    "resume": "it is a file on another machine; the recipe trains from the start",
    "split_bn": "a recipe has no separate BatchNorm for augmented images",
    "start_epoch": "the recipe trains from the first epoch",
    "train_num_samples": "a recipe trains on all rows of a split",
    "tta": "zoo scores each image once",
    "val_num_samples": "zoo scores all rows of a split",
}
"""Options without an equal, and why."""
_ON_BY_NUMBER = ("lr_cycle_limit", "lr_cycle_mul")
"""Options that are off at 1."""


def check_options(settings: Settings, notes: Notes) -> None:
    """Add an obstacle for every option in use that has no equal, or that zoo does not know."""
    known = [*READ, *WITHOUT_EFFECT, *WITHOUT_EQUAL, *_ON_BY_NUMBER, "sync_bn", "amp", "amp_dtype", "model_dtype"]
    for name, setting in settings.values.items():
        if name in _ON_BY_NUMBER and setting.value not in (1, None):
            notes.refuse(setting.mark, f"{name}: a schedule with restarts is not converted; {_without(name, '1')}")
        elif name in WITHOUT_EQUAL and setting.value not in OFF:
            off = "false" if setting.value is True else "null"
            notes.refuse(setting.mark, f"{name}: {WITHOUT_EQUAL[name]}; {_without(name, off)}")
        elif name not in known and setting.value not in OFF and not name.startswith(("naflex_", "kd_", "distill_")):
            hint = did_you_mean(name, known) or "; zoo does not know whether it changes the training"
            notes.refuse(setting.mark, f"unknown option {name!r}{hint}; {_without(name, 'null')}")


def note_machine(settings: Settings, processes: int, notes: Notes) -> None:
    """Add what the machine of the training had to do with its result."""
    is_mixed = settings.flag("amp") or settings.flag("native_amp")  # the older name
    kind = settings.text("amp_dtype", "float16") if is_mixed else settings.text("model_dtype", "float32")
    if (precision := {"float16": "fp16", "bfloat16": "bf16"}.get(kind)) is not None:
        notes.differ(f"timm computed in {kind}; train with --precision {precision} to do the same")
    if processes > 1:
        notes.differ(
            f"each of timm's {processes} processes normalized its own part of a batch"
            f"{', unless sync_bn was on' if settings.flag('sync_bn') else ''}; BatchNorm in one process sees all of it"
        )
    if (seed := settings.value("seed")) is not None:
        notes.assume(f"the seed {seed} of timm draws other random numbers here; zoo trains its own seeds")


def _without(name: str, off: str) -> str:
    return f"to import the rest, write `{name}: {off}` in a copy of the file"

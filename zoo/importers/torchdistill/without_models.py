"""The obstacles of stages whose models or data cannot be converted: all that needs neither of them."""

from collections.abc import Sequence

from zoo.importers.torchdistill.criteria import check_losses, loss_keys
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.loaders import check_loader, rows_of
from zoo.importers.torchdistill.optimization import Invocation, Length, convert_optimizer, convert_schedule
from zoo.importers.torchdistill.stage_configs import StageConfig


def check_without_models(configs: Sequence[StageConfig], run: Invocation, found: Findings) -> None:
    """Add the problems of the loaders, lengths, optimizers and schedules, and of losses that zoo does not have."""
    for config in configs:
        check_loader(config.loader, loss_keys(config.config), found)
        with found.part():
            rows_of(config.loader)
        with found.part():
            config.config.need("num_epochs").at_least(1)
        with found.part():
            if config.optimizer is not None:
                convert_optimizer(config.optimizer, run, found, has_teacher=config.teacher is not None)
        with found.part():
            length = Length(epochs=None, accumulation=1, batches=None)
            convert_schedule(config.config.get("scheduler"), length, found)
        with found.part():
            check_losses(config.config, found)

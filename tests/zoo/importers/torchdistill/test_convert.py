"""Configurations in the shapes of real ones become recipes that pass the checks of `zoo check`."""

from typing import Any

import pytest

from tests.helpers.torchdistill_configs import NAMES, changed, imported
from zoo.importers.check import check_imported
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.models import convert_model
from zoo.importers.torchdistill.optimization import Invocation
from zoo.importers.torchdistill.read import read_config_text

QUICK = ("kd", "glue-stsb")


def stages(name: str, *changes: tuple[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = changed(name, *changes).recipe["stages"]
    return found


def notes(name: str, *changes: tuple[str, str]) -> str:
    recipe = changed(name, *changes)
    return "\n".join((*recipe.assumptions, *recipe.differences))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NAMES]
)
def test_the_recipe_passes_every_check(name: str) -> None:
    assert check_imported(imported(name)).name


def test_a_random_split_becomes_a_hold_out_that_selects_the_epoch() -> None:
    recipe = imported("ce-split").recipe
    assert recipe["holdout"] == {"of": "train", "share": 0.1, "seed": 42}
    assert recipe["name"] == "cifar10-resnet8"
    assert recipe["task"] == {
        "use": "cifar", "name": "cifar10", "data": "hub:datasets/uoft-cs/cifar10", "crop_padding": 4, "flip": True,
        "mean": [0.49, 0.48, 0.45], "std": [0.25, 0.24, 0.26],
    }  # fmt: skip
    assert recipe["stages"] == [
        {
            "epochs": 10, "batch_size": 64,
            "optimizer": {"use": "SGD", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0001},
            "schedule": {"use": "torch.optim.lr_scheduler.MultiStepLR", "milestones": [5, 8], "gamma": 0.1},
            "schedule_per": "epoch", "selection": "best", "selected_on": "validation", "selected_by": ["accuracy"],
            "criterion": {"ce": {"loss": "CrossEntropy"}},
        }
    ]  # fmt: skip


def test_the_older_format_is_read_too() -> None:
    recipe = imported("old-cifar").recipe
    assert recipe["holdout"] == {"of": "train", "share": 0.2, "seed": 7}
    assert recipe["model"] == {"use": "wide_resnet", "depth": 16, "widen_factor": 1, "dropout": 0.3, "num_classes": 10}
    (stage,) = recipe["stages"]
    assert stage["teacher"]["weights"].endswith("/v0.1.1/cifar10-wide_resnet40_4.pt")
    assert stage["criterion"] == {"kd": {"loss": {"use": "KD", "temperature": 4.0, "alpha": 0.9}}}
    assert "leaves it in train()" in notes("kd")
    assert "leaves it in train()" not in notes("old-cifar")
    coco = imported("old-coco").recipe
    assert coco["model"]["part"] == "backbone"
    assert coco["model"]["weights"] == "https://download.pytorch.org/models/resnet50-0676ba61.pth"
    assert coco["stages"][0]["criterion"]["ce_aux"] == {
        "loss": {"use": "CrossEntropy", "ignore_index": 255, "of": "aux_classifier"}, "weight": 0.5
    }  # fmt: skip


def test_batch_size_and_learning_rate_count_the_processes() -> None:
    alone = imported("ickd").recipe["stages"][0]
    assert (alone["batch_size"], alone["optimizer"]["lr"], alone["clip_norm"]) == (128, 0.0002, 1.0)
    three = imported("ickd", Invocation(processes=3, adjust_lr=True))
    stage = three.recipe["stages"][0]
    assert stage["batch_size"] == 384
    assert stage["optimizer"]["lr"] == pytest.approx(0.0006)
    assert "batch sizes and learning rates are 3 times those of the configuration" in three.assumptions[0]
    unadjusted = imported("ickd", Invocation(processes=3)).recipe["stages"][0]
    assert unadjusted["optimizer"]["lr"] == 0.0002


def test_a_sum_of_squares_gets_the_batch_size_as_weight() -> None:
    assert stages("glue-stsb")[0]["criterion"] == {"ce": {"loss": "MSE"}, "mse": {"loss": "LogitMSE", "weight": 32.0}}
    assert "the recipe has the mean over rows with 32 times the weight" in notes("glue-stsb")


def test_without_labels_kd_is_the_divergence_alone() -> None:
    assert stages("glue-rte")[0]["criterion"] == {"kd": {"loss": {"use": "KL", "temperature": 5.0}}}
    assert "torchdistill's loop passes no labels" in notes("glue-rte")
    assert "the factor T^2 = 25 of the paper" in notes("glue-rte")
    assert stages("kd", ("alpha: 0.9", "alpha: "))[0]["criterion"] == {
        "kd": {"loss": {"use": "KL", "temperature": 4.0}}
    }
    assert "alpha is null" in notes("kd", ("alpha: 0.9", "alpha: "))
    assert "alpha is 0" in notes("kd", ("alpha: 0.9", "alpha: 0"))


def test_factors_that_do_not_add_up_to_1_become_two_terms() -> None:
    criterion = stages("logits")[0]["criterion"]
    assert criterion["standardized_labels"] == {"loss": "CrossEntropy", "weight": 0.5}
    assert criterion["standardized"]["weight"] == 9.0
    assert criterion["two_factors"] == {"loss": {"use": "KL", "temperature": 3.0}, "weight": 4.5}


def test_weight_decay_leaves_out_the_parameters_that_the_configuration_names() -> None:
    stage = stages("glue-stsb")[0]
    assert stage["optimizer"] == {"use": "AdamW", "lr": 3e-05, "weight_decay": 0.01}
    assert stage["groups"] == {"*bias*": {"weight_decay": 0}, "*.LayerNorm.weight": {"weight_decay": 0}}
    assert stage["schedule"] == "linear"
    assert stages("glue-rte")[0]["schedule"] == {
        "use": "transformers.get_linear_schedule_with_warmup", "num_warmup_steps": 100
    }  # fmt: skip


def test_a_text_data_set_of_the_hub_keeps_its_columns_and_kind() -> None:
    recipe = imported("hub-emotions").recipe
    assert recipe["task"] == {
        "use": "text_classification", "data": "hub:datasets/google-research-datasets/go_emotions",
        "config": "simplified", "text": "text", "label": "labels", "kind": "multilabel", "classes": 28,
        "max_length": 64,
    }  # fmt: skip
    assert recipe["stages"][0]["criterion"] == {"ce": {"loss": "BinaryCrossEntropy"}}
    assert "torchdistill selects the epoch by roc_auc multilabel, the recipe by f1_micro" in notes("hub-emotions")


def test_segmentation_keeps_its_auxiliary_classifier_and_its_rate() -> None:
    recipe = imported("voc").recipe
    (stage,) = recipe["stages"]
    assert (stage["batch_size"], stage["drop_last"], stage["groups"]) == (32, True, {"aux_classifier": {"lr": 0.01}})
    assert "trainable" not in stage
    assert stage["schedule"] == {"use": "poly", "power": 0.9}
    assert recipe["task"]["train_transforms"][2:] == [
        {"use": "zoo.tasks.transforms.PadTo", "size": 64}, {"use": "RandomCrop", "size": 64}
    ]  # fmt: skip
    assert "it ends at 1 / 2 of its range" in notes("voc")


def test_fitnets_trains_only_the_parts_that_it_is_cut_into_and_states_the_other_regressor() -> None:
    first, second = stages("imagenet-fitnets")
    assert first["trainable"] == ["conv1", "bn1", "layer1"]
    assert first["criterion"]["hint"] == {
        "loss": {"use": "HeadNetworkDistillation", "student": ["layer1"], "teacher": ["layer1"]}, "weight": 64.0
    }  # fmt: skip
    assert "a convolution with BatchNorm and ReLU; that of the recipe is a convolution alone" in notes(
        "imagenet-fitnets"
    )
    assert second["trainable"] == ["layer1.1", "layer2", "layer3", "layer4", "fc"]


def test_a_hook_on_a_relu_that_works_in_place_reads_the_output_of_its_block() -> None:
    _, second = stages("imagenet-fitnets")
    assert second["criterion"]["last"]["loss"] == {"use": "FeatureMSE", "student": "layer4", "teacher": "layer4"}
    assert "layer4.-1.relu (input) is overwritten in place" in notes("imagenet-fitnets")


def test_stages_hand_their_learned_parts_on_under_one_name() -> None:
    for name, use in (("ft", "Paraphrase"), ("ktaad", "KnowledgeTranslation"), ("sskd", "SelfSupervision")):
        first, second = stages(name)
        (kept,) = first["keep"]
        assert first["criterion"][kept]["loss"]["use"] == use
        assert first["trainable"] == []
        assert kept in second["criterion"]


def test_a_summed_reconstruction_and_a_norm_of_the_batch_become_means() -> None:
    assert stages("ft")[0]["criterion"]["factor_transfer"]["weight"] == 64 * 64 * 8 * 8
    loss = stages("ktaad")[0]["criterion"]["knowledge_adaptation"]["loss"]
    assert loss["l1"] == pytest.approx(1e-3 * 64)
    assert loss["batch_norm"] is False


def test_losses_that_differ_from_their_papers_are_stated() -> None:
    stated = notes("papers")
    assert "by their L1 norms, the recipe by their L2 norms, as the paper; no weight makes the two equal" in stated
    assert "adds up the norms of the columns of the differences, the recipe their squares" in stated
    assert "`iota: -1` has torchdistill's gradient" in stated
    assert "mode 'code' is the loss of the authors' code" in notes("at")
    assert "torchdistill does not square the distance of the correlations" in notes("cckd")


def test_a_cut_model_returns_its_last_part_and_trains_its_parts_alone() -> None:
    cut = ("sequential: []", "sequential: ['conv1', 'bn1', 'relu', 'layer1', 'layer2']")
    (stage,) = stages("at", cut, ("path: 'layer3'", "path: 'layer2'"))
    assert stage["trainable"] == ["conv1", "bn1", "layer1", "layer2"]
    assert stage["criterion"]["ce"] == {"loss": {"use": "CrossEntropy", "of": "layer2"}}


def test_terms_have_names_of_their_own() -> None:
    names = ("        instance:", "        two.factors:"), ("        direction:", "        two_factors_labels:")
    assert [*stages("logits", *names)[0]["criterion"]] == [
        "standardized_labels", "standardized", "two_factors_labels", "two_factors", "two_factors_2",
        "two_factors_labels_2",
    ]  # fmt: skip


def test_auxiliary_classifiers_are_those_that_torchvision_builds() -> None:
    weights = "weights: !import_get {key: 'torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1'}"
    for given, aux, load in ((weights, False, ["aux1", "aux2"]), ("aux_logits: False", False, None), ("", True, None)):
        config, _ = read_config_text(f"key: googlenet\nkwargs: {{{given}}}", "c.yaml")
        found = convert_model(config, "image_folder", Findings(), is_teacher=False)
        assert (found.call["aux_logits"], (found.load or {}).get("ignore")) == (aux, load)


def test_files_of_learned_parts_and_synchronized_normalization_are_noted() -> None:
    assert "teacher_head.pt was not there when torchdistill started: ss_module_ckpt would load" in notes("sskd")
    synchronized = ("    key: &student 'resnet'", "    sync_bn: True\n    key: &student 'resnet'")
    assert "sync_bn: in torchdistill BatchNorm of resnet sees the batches of all processes" in notes("kd", synchronized)


def test_a_factor_of_a_schedule_keeps_its_name() -> None:
    constant = ("key: 'MultiStepLR'\n    kwargs: {milestones: [5, 8], gamma: 0.1}",
                "key: 'ConstantLR'\n    kwargs: {factor: 0.5}")  # fmt: skip
    assert stages("kd", constant)[0]["schedule"] == {"use": "torch.optim.lr_scheduler.ConstantLR", "factor": 0.5}

"""The keys of torchdistill's older formats, by the names of version 1.

Before version 0.3 a thing was written `{type: NAME, params: {...}}`, later `{key: NAME, kwargs: {...}}`.
"""

RENAMED = {
    "type": "key",
    "params": "kwargs",
    "filters_params": "filters_params",  # not an argument of anything that is called
    "special": "auxiliary_model_wrapper",
    "transform_params": "transform_configs",
    "transforms_params": "transforms_configs",
    "module_wise_params": "module_wise_configs",
    "feature_adapter_params": "feature_adapter_config",
    "affinity_adapter_params": "affinity_adapter_config",
    "kernel_params": "kernel_config",
    "kernel_sizes": "output_sizes",
    "optimizer_type": "optimizer_key",
    "sub_splits": "sub_splits_configs",
    "func2extract_org_loss": "func2extract_model_loss",
    "in_channel": "in_channels",
    "mid_channel": "mid_channels",
    "middle_channels": "mid_channels",
    "out_channel": "out_channels",
}
WEIGHTED = frozenset(("criterion", "student", "teacher", "student_first", "teacher_first", "input", "target"))
"""Keys of a term and of a pair of features."""
OLD_SUFFIX, SUFFIX = "_params", "_kwargs"
RENAMED_LOSSES = {
    "GeneralizedCustomLoss": "WeightedSumLoss",
    "KDLoss4Transformer": "KDLoss",
    "MSELoss4Transformer": "MSELoss",
    "ContrastiveDataset": "CRDDatasetWrapper",
    "SSKDDataset": "SSKDDatasetWrapper",
}
"""Old names of losses and of wrappers of data sets."""


def modern_key(key: str, siblings: frozenset[str]) -> str:
    """Return the name that version 1 has for a key.

    Args:
        key: The key.
        siblings: All keys of its mapping: `factor` is the weight of a term or of a pair of features only beside these.
    """
    if key == "factor":
        return "weight" if siblings & WEIGHTED else key
    if key in RENAMED:
        return RENAMED[key]
    return f"{key.removesuffix(OLD_SUFFIX)}{SUFFIX}" if key.endswith(OLD_SUFFIX) else key

# %% [markdown]
# # Read records in Python
#
# Every run leaves a record: what was computed, from which files, with which scores, and each single prediction.
# This notebook trains a small model with five seeds, and looks at the claim, the scores and the predictions.

# %%
import matplotlib.pyplot as plt
import pandas as pd

import zoo
from zoo.tasks import digits

# %% [markdown]
# ## Claims and verdicts
#
# The recipe claims the mean of ten earlier trainings. Five new ones are judged against it.

# %%
result = zoo.reproduce("digits-resnet8", train=True, seeds=5)
assert result.verdict != "not-reproduced"
(claim,) = result.claims
print(claim.why)
result.claims_frame()[["metric", "claimed", "measured", "sigma", "p_value", "verdict"]]

# %% [markdown]
# The verdict is about the mean. Outside of the band it is not reproduced; in the inner range it counts as equivalent to
# the claim. Single seeds may lie outside of both.

# %%
assert len(claim.values) == 5
zoo.plot("digits-resnet8", only="seeds")

# %% [markdown]
# ## One record
#
# `read_record` checks the digests of a record and of the files beside it.

# %%
run = zoo.read_record("digits-resnet8:0")
assert run.path in result.records
run.to_frame()

# %% [markdown]
# The record names the files, the code and the machine.

# %%
record = run.record
print("made:    ", record.created, f"in {record.cost['seconds']:.1f} s")
print("key:     ", record.identity.key)
for split, rows in record.identity.sources["data"].items():
    print("data:    ", split, rows["rows"], "rows, SHA-256", rows["sha256"])
print("torch:   ", record.environment["packages"]["torch"])
assert record.identity.seed == 0

# %% [markdown]
# ## The training log

# %%
log = run.log_frame()
assert log["step"].is_monotonic_increasing
zoo.plot("digits-resnet8:0", only=["loss", "lr"])

# %% [markdown]
# ## Every prediction
#
# A table has the label, the prediction and the outputs of each example.

# %%
predictions = run.predictions_frame("test")
assert predictions["right"].mean() == run.to_frame()["value"][0]
predictions.head(3)

# %% [markdown]
# Side by side, the five seeds show which examples are hard: most errors are of a few images.

# %%
seeds = {
    f"seed {seed}": zoo.read_record(f"digits-resnet8:{seed}").predictions_frame()["prediction"] for seed in range(5)
}
table = pd.DataFrame(seeds)
wrong = table.ne(predictions["label"], axis=0).sum(axis=1)
assert wrong.sum() == sum(round(898 * (1 - value)) for value in claim.values)
wrong.value_counts().sort_index().rename_axis("seeds that are wrong").to_frame("images")

# %%
images = digits().splits["test"]()
hardest = wrong.sort_values(ascending=False).index[:8]
batch = images.batch(list(hardest)).inputs
figure, axes = plt.subplots(1, 8, figsize=(9, 1.6))
for axis, row, image in zip(axes, hardest, batch, strict=True):
    axis.imshow(image[0], cmap="gray_r")
    axis.set_title(f"{predictions['label'][row]} read as\n{sorted(set(table.loc[row]))}", fontsize=7)
    axis.axis("off")

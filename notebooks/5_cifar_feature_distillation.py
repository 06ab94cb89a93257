# %% [markdown]
# # Distil with intermediate features
#
# A student can learn from what its teacher computes on the way, not only from its outputs. Here a ResNet-8 learns where
# a ResNet-14 looks: attention transfer (Zagoruyko and Komodakis 2017). The images are made, of CIFAR's size, so the
# scores say nothing about CIFAR.

# %%
import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits

import zoo

# %% [markdown]
# ## The data
#
# The handwritten digits of scikit-learn in random colors, as in the notebook on training.

# %%
CLASSES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
rng = np.random.default_rng(0)


def png(digit):
    """Draw a digit in a random color on a background of another one, and return the bytes of the image."""
    dark, bright = rng.uniform(0, 100, 3), rng.uniform(120, 255, 3)
    gray = Image.fromarray((digit * 15).astype(np.uint8)).resize((32, 32), Image.Resampling.BICUBIC)
    colors = dark + np.asarray(gray)[:, :, None] / 255 * (bright - dark)
    file = io.BytesIO()
    Image.fromarray(colors.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


digits = load_digits()
table = pd.DataFrame({"img": [{"bytes": png(digit)} for digit in digits.images], "label": digits.target})
table[:1297].to_parquet("train.parquet")
table[1297:].to_parquet("test.parquet")

# %% [markdown]
# ## The recipes
#
# A recipe describes one training in full, so the teacher and both students have one each.
# `teacher: {run: teacher.yaml}` means the model that is trained by that recipe. zoo trains it first.

# %%
RECIPE = """
name: NAME
task:
  use: image_classification
  data: {train: "file:train.parquet", test: "file:test.parquet"}
  image: img
  classes: [zero, one, two, three, four, five, six, seven, eight, nine]
  train_transforms: [{use: RandomCrop, size: 32, padding: 4}]
  eval_transforms: []
  mean: [0.491, 0.482, 0.447]
  std: [0.247, 0.243, 0.262]
model: {use: cifar_resnet, depth: DEPTH, width: 8, num_classes: 10}
stages:
  - epochs: 8
    batch_size: 32
    optimizer: {use: SGD, lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4}
    schedule: {use: cosine, warmup: 0.1}
    criterion:
      ce: {loss: CrossEntropy}
"""
FEATURES = """
      attention:
        loss: {use: AttentionTransfer, student: [layer1, layer2, layer3], teacher: [layer1, layer2, layer3]}
        weight: 100
    teacher: {run: teacher.yaml, seed: 0}
"""


def write(name, depth, more=""):
    """Write the recipe of a training."""
    text = RECIPE.replace("NAME", name).replace("DEPTH", str(depth)).rstrip() + more
    Path(f"{name}.yaml").write_text(text)


write("teacher", depth=14)
write("student", depth=8)
write("student-of-teacher", depth=8, more=FEATURES)

# %% [markdown]
# `layer1` to `layer3` are the names of the three groups of layers. zoo reads their outputs with hooks, and checks names
# and shapes before the training starts.
#
# For the real CIFAR-10, train the entry `"cifar10-resnet8-short_from_akamaster-resnet20"` in the next cell. It learns
# from the outputs of a published ResNet-20. Copy its recipe and add the lines of `attention` to use features too.

# %% [markdown]
# ## Train
#
# The first line trains the teacher too. The second trains the same student without it.

# %%
distilled = zoo.train("student-of-teacher.yaml", seed=0)
alone = zoo.train("student.yaml", seed=0)
teacher = zoo.train("teacher.yaml", seed=0)
assert teacher.existed  # it was trained for its student

runs = {"teacher": teacher, "student with features": distilled, "student alone": alone}
scores = pd.DataFrame({name: run.to_frame().iloc[0] for name, run in runs.items()}).T
assert (scores["value"] > 0.5).all()
scores[["split", "metric", "value", "n"]]

# %% [markdown]
# ## The terms of the loss
#
# The log has each term by its name. The attention of the student comes closer to that of its teacher.

# %%
log = zoo.read_record(distilled.record).log_frame()
attention = log["losses.attention"].rolling(20).mean().dropna()
assert attention.iloc[-1] < attention.iloc[0]
distilled.plot(["ce", "attention"])

# %% [markdown]
# ## Other methods
#
# Change the loss to use another method: zoo has about forty, with one recipe each. One seed on 500 images does not say
# which is better.

# %%
methods = zoo.list(suite="methods").to_frame()
assert {"attention_transfer", "hint", "knowledge_review"} <= set(methods["entry"])
methods["entry"].tolist()

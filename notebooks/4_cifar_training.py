# %% [markdown]
# # Train a ResNet on images of CIFAR's size
#
# CIFAR-10 has 60,000 color images of 32 x 32 pixels, and takes a CPU half an hour. This notebook first uses 1,797 made
# images of the same size: the handwritten digits of scikit-learn in random colors. The scores say nothing about CIFAR.

# %%
import io
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits

import zoo

# %% [markdown]
# ## The data
#
# Parquet files with the columns `img` and `label`, as CIFAR-10 has them on the Hub.

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

figure, axes = plt.subplots(1, 10, figsize=(9, 1.2))
for axis, image, label in zip(axes, table["img"], table["label"], strict=False):
    axis.imshow(Image.open(io.BytesIO(image["bytes"])))
    axis.set_title(CLASSES[label], fontsize=8)
    axis.axis("off")

# %% [markdown]
# ## The recipe
#
# A ResNet-8, and SGD whose learning rate rises for a tenth of the steps and falls along a cosine. Images are padded and
# cropped at random.

# %%
Path("resnet8.yaml").write_text("""
name: my-resnet8
task:
  use: image_classification
  data: {train: "file:train.parquet", test: "file:test.parquet"}
  image: img
  classes: [zero, one, two, three, four, five, six, seven, eight, nine]
  train_transforms: [{use: RandomCrop, size: 32, padding: 4}]
  eval_transforms: []
  mean: [0.491, 0.482, 0.447]
  std: [0.247, 0.243, 0.262]
model: {use: cifar_resnet, depth: 8, width: 8, num_classes: 10}
stages:
  - epochs: 12
    batch_size: 32
    optimizer: {use: SGD, lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4}
    schedule: {use: cosine, warmup: 0.1}
    criterion: {ce: {loss: CrossEntropy}}
""")
zoo.list("resnet8.yaml").to_frame()

# %% [markdown]
# For the real CIFAR-10, change this one line to `RECIPE = "cifar10-resnet8-short"`. That recipe downloads the data.

# %%
RECIPE = "resnet8.yaml"

# %% [markdown]
# ## Train
#
# An interrupted training goes on where it was. The folder `resnet8` gets the weights, the predictions and the log.

# %%
trained = zoo.train(RECIPE, seed=0, out="resnet8", score_epochs=True)
accuracy = trained.scores[0].value
assert accuracy > 0.7
trained.to_frame()

# %%
run = zoo.read_record("resnet8")
log = run.log_frame()
assert log["scores.test.accuracy"].dropna().iloc[-1] == accuracy
trained.plot()

# %% [markdown]
# ## Which classes are confused?

# %%
predictions = run.predictions_frame()
confusion = pd.crosstab(predictions["label"], predictions["prediction"])
figure, axis = plt.subplots(figsize=(4, 4))
axis.imshow(np.log1p(confusion), cmap="Blues")
axis.set(xlabel="prediction", ylabel="label", xticks=range(10), yticks=range(10))
assert predictions["right"].mean() == accuracy

# %% [markdown]
# ## Evaluate the weights again
#
# The weights are a file of safetensors. Anyone who has it and the recipe measures the same score.

# %%
again = zoo.evaluate("resnet8", as_entry=RECIPE)
assert again.scores[0].value == accuracy
again.to_frame()

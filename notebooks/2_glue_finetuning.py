# %% [markdown]
# # Fine-tune on GLUE and write a submission
#
# This notebook fine-tunes a small BERT on made sentence pairs that have the files and columns of GLUE's task RTE. It
# takes seconds. The scores say nothing about GLUE; a cell below names the line to change for the real data.

# %%
from pathlib import Path
from zipfile import ZipFile

import pandas as pd

import zoo
from zoo.tasks import entailment

# %% [markdown]
# ## The data
#
# RTE has two classes, 277 validation rows, and 3,000 test rows whose labels are hidden. The made pairs come from a
# grammar that is part of zoo.

# %%
splits = entailment(tokenizer=None).splits
train, test = splits["train"](), splits["test"]()


def write(name, texts, labels):
    """Write a split as a data set of the Hub has it; 0 is entailment, and 1 is everything else."""
    table = pd.DataFrame(texts, columns=["sentence1", "sentence2"])
    table["label"] = [int(label != 0) for label in labels] if labels is not None else -1
    table.to_parquet(f"glue/rte/{name}-00000-of-00001.parquet")


Path("glue/rte").mkdir(parents=True)
Path("glue/README.md").write_text("""---
dataset_info:
  config_name: rte
  features:
  - {name: sentence1, dtype: string}
  - {name: sentence2, dtype: string}
  - {name: label, dtype: {class_label: {names: {"0": entailment, "1": not_entailment}}}}
---
""")
write("train", train.texts[:4000], train.labels[:4000])
write("validation", test.texts[:277], test.labels[:277])
write("test", train.texts[-3000:], None)

# %% [markdown]
# ## The recipe
#
# The encoder starts from weights that come with zoo, and the classifier for the two classes is new.

# %%
Path("my-rte.yaml").write_text("""
name: my-rte
task: {use: glue, name: rte, data: "file:glue"}
tokenizer: {use: wordpiece, vocab: "embedded:entail-vocab.txt", lowercase: false}
model:
  use: pretrained
  weights: embedded:entail-bert-l2h64.safetensors
  ignore: [classifier]
  model: {use: bert_classifier, layers: 2, hidden: 64, heads: 8, intermediate: 128, vocab_size: 70, num_labels: 2}
stages:
  - epochs: 3
    batch_size: 32
    optimizer: {use: AdamW, lr: 5e-4}
    schedule: {use: linear, warmup: 0.1}
    criterion: {ce: {loss: CrossEntropy}}
""")
zoo.list("my-rte.yaml").to_frame()

# %% [markdown]
# For the real RTE, change this one line to `RECIPE = "bert-base-uncased-rte"`. That recipe fine-tunes BERT on data of
# the Hub, and needs a GPU or some patience.

# %%
RECIPE = "my-rte.yaml"

# %% [markdown]
# ## Fine-tune
#
# The folder `rte` gets the weights, the predictions, the training log and a model card.

# %%
trained = zoo.train(RECIPE, seed=0, out="rte", score_epochs=True)
assert trained.scores[0].value > 0.7
trained.to_frame()

# %% [markdown]
# The log has the loss of every step, and the score of every epoch.

# %%
log = zoo.read_record("rte").log_frame()
epochs = log.dropna(subset=["scores.validation.accuracy"])
assert len(epochs) == epochs["epochs"].max()
trained.plot(["total", "accuracy"])

# %% [markdown]
# ## Write a submission
#
# The trained weights predict the hidden labels. GLUE's server takes a zip file with eleven files. The problems that zoo
# lists are the ten files of the other tasks. Pass one run or entry for each task, or `suite="glue"`, to write them all.

# %%
submission = zoo.submit("rte", out="submission")
assert all(problem.endswith(": missing") for problem in submission.problems)
submission.problems

# %%
with ZipFile(submission.path) as archive:
    assert archive.namelist() == ["RTE.tsv"]
    predictions = pd.read_csv(archive.open("RTE.tsv"), sep="\t")
assert len(predictions) == 3000
predictions["prediction"].value_counts()

# %% [markdown]
# # Verify a model in 60 seconds
#
# You have weights, test data and a score in your README. zoo evaluates the weights and says whether the score holds.

# %%
import shutil
from pathlib import Path

import pandas as pd

import zoo
from zoo.paths import PACKAGE
from zoo.tasks import entailment

# %% [markdown]
# ## A model on this machine
#
# A folder stands for your own model: weights, a vocabulary and a CSV file with a column for each text and the label.
# Here it is filled with a small BERT that comes with zoo. Replace the three files by yours.

# %%
folder = Path("my-model")
folder.mkdir()
shutil.copy(PACKAGE / "starter/entail-bert-l2h64.safetensors", folder / "model.safetensors")
shutil.copy(PACKAGE / "starter/entail-vocab.txt", folder / "vocab.txt")

CLASSES = ["entailment", "neutral", "contradiction"]
rows = entailment(tokenizer=None).splits["test"]()
table = pd.DataFrame(rows.texts, columns=["premise", "hypothesis"])
table["label"] = [CLASSES[number] for number in rows.labels]
table.to_csv(folder / "test.csv", index=False)
table.head(3)

# %% [markdown]
# A recipe says what the files are, and what you claim: an accuracy of 0.897 on the file `test.csv`.

# %%
RECIPE = """
name: my-model
task:
  use: text_classification
  data: {test: "file:test.csv"}
  text: [premise, hypothesis]
  classes: [entailment, neutral, contradiction]
tokenizer: {use: wordpiece, vocab: "file:vocab.txt", lowercase: false}
model: {use: bert_classifier, layers: 2, hidden: 64, heads: 8, intermediate: 128, vocab_size: 70, num_labels: 3}
weights: file:model.safetensors
claims:
  - {of: weights, split: test, metric: accuracy, value: 0.897, decimals: 3, source: README.md}
"""
(folder / "zoo.yaml").write_text(RECIPE)
result = zoo.verify("my-model/zoo.yaml")
result.raise_error()
assert result.verdict == "reproduced"
result.claims_frame()[["metric", "claimed", "measured", "verdict", "why"]]

# %% [markdown]
# A claim that is too high is not reproduced. The weights are not evaluated again, because only the claim has changed.

# %%
(folder / "zoo.yaml").write_text(RECIPE.replace("0.897", "0.907"))
too_high = zoo.verify("my-model/zoo.yaml")
assert too_high.verdict == "not-reproduced"
print(too_high.claims[0].why)

# %% [markdown]
# ## A model of the Hub
#
# zoo reads the claims in the model's card, and needs no recipe. Change the address to check another model. The model
# and its data are downloaded. Without a network, a model that comes with zoo is verified instead.

# %%
MODEL = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"

result = zoo.verify(MODEL)
if isinstance(result.outcomes[0].error, zoo.SourceError):
    print(result.outcomes[0].error)
    result = zoo.verify("digits-resnet8")
result.raise_error()
assert result.verdict != "not-run"
result.claims_frame()[["entry", "metric", "claimed", "measured", "verdict", "why"]]

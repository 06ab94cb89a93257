# %% [markdown]
# # Distil a text classifier
#
# A small BERT learns from a larger one. Both come with zoo, and so do the sentence pairs: three classes, as in GLUE's
# task MNLI. Two trainings take less than a minute.

# %%
import pandas as pd

import zoo

# %% [markdown]
# For the published GLUE models, change these lines to `"bert-base-uncased-mrpc_from_bert-large-uncased-mrpc"` and
# `"bert-base-uncased-mrpc"`. These trainings need a GPU, and download data and weights from the Hub.

# %%
DISTILLED = "entail-bert-l2h32_from_entail-bert-l2h64"
BASELINE = "entail-bert-l2h32"

# %% [markdown]
# The recipe of an entry is one file. It names the teacher and the loss. Copy it to distil a model of your own.

# %%
(entry,) = zoo.list(DISTILLED)
print(entry.path.read_text())

# %% [markdown]
# ## Train
#
# The student is trained with the teacher, and once without it: the same model, data, seed and number of epochs.

# %%
runs = {
    "with teacher": zoo.train(DISTILLED, seed=0, score_epochs=True),
    "without teacher": zoo.train(BASELINE, seed=0, score_epochs=True),
}
scores = pd.DataFrame({name: run.to_frame().iloc[0] for name, run in runs.items()}).T
assert (scores["value"] > 0.6).all()
scores[["split", "metric", "value", "n"]]

# %% [markdown]
# The log of a run has the score of every epoch.

# %%
zoo.plot(*(run.record.parent for run in runs.values()), only=scores["metric"].iloc[0])

# %% [markdown]
# ## Is the difference real?
#
# Both students predict the same rows. Only the rows that one of them gets right and the other wrong tell them apart.

# %%
predictions = {name: zoo.read_record(run.record).predictions_frame() for name, run in runs.items()}
right = pd.DataFrame({name: table["right"] for name, table in predictions.items()})
assert right.mean().round(6).tolist() == scores["value"].astype(float).round(6).tolist()
pd.crosstab(right["with teacher"], right["without teacher"])

# %% [markdown]
# One seed does not say whether a method is better: scores of the same recipe differ from seed to seed. The recipes have
# the spread of ten seeds, and a verdict on a claim takes it into account.

# %%
claims = zoo.list(DISTILLED, BASELINE).claims_frame()
retrained = [claim for entry in zoo.list(DISTILLED, BASELINE) for claim in entry.recipe.claims if claim.of == "retrain"]
assert all(claim.sigma for claim in retrained if claim.reference_runs)
claims[claims["of"] == "retrain"]

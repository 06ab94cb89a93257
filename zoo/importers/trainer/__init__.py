"""Turn a model card that the Trainer of transformers wrote into a recipe that trains the model again.

`card` finds the card and reads its parts, `model` says what is trained, `hyperparameters` and `schedules` say how, and
`convert` puts the recipe together.
"""

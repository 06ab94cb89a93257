"""Turn the options of timm's `train.py` into a recipe.

`arguments` finds the file, `options` lists what has no effect and what has no equal, and `model`, `transforms`, `data`
and `optimization` convert the rest; `convert` puts the recipe together.
"""

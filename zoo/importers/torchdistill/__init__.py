"""Turn a configuration of torchdistill into a recipe.

`read` reads the YAML into inert values, `convert` turns them into a recipe. Both formats are known: that of version 1
and the older one. A part without an equal in a recipe is a problem with its line and column, and all problems of a file
are reported together.
"""

"""Turn the configurations of other tools into recipes. Nothing that a configuration names is imported or run."""

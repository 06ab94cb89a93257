"""Compare the losses of an imported recipe with those of the tool that it comes from, on one made batch."""

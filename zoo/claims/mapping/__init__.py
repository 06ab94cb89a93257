"""Turn the claims of a published model into recipes that zoo can run, or into the reason why it cannot."""

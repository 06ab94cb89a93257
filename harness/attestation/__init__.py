"""Sign what a run measured, and check it offline: in-toto statements in DSSE envelopes. Never imports torch."""

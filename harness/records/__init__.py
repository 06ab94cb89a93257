"""The file format of records, and the training logs of torchdistill."""

"""Turn entries into records: prepare, find, make, record and export runs."""

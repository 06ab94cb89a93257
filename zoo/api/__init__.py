"""The Python API: functions that mirror the commands. `zoo` exports them.

Only this package and `zoo.cli` import all three packages. They import heavy modules inside functions, so that
`import zoo` and `zoo --help` are quick.

The functions make a `Session` of their keyword arguments. Functions that take a session, such as those of
`verify_entries` and `train_entry`, serve the command line too.
"""

from zoo.api.published import audit, list_entries, reproduce, verify
from zoo.api.runs import plot, read_record
from zoo.api.training import evaluate, submit, train

__all__ = ["audit", "evaluate", "list_entries", "plot", "read_record", "reproduce", "submit", "train", "verify"]

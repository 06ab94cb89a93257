"""Let `python -m zoo` do the same as `zoo`."""

from zoo.cli import main

main()

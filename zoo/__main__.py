"""`python -m zoo` is `zoo`."""

from zoo.cli.app import main

main()

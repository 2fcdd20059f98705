"""`python -m gateway` is the `sluicegate` command."""

from gateway.cli import main

main()

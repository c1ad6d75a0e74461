"""`python -m skerry` is `skerry`."""

from skerry.cli.main import main

main()

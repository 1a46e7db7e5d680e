"""python -m cprtools."""

from cprtools.cli import main

main()

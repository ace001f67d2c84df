"""`python -m flowtuple`: the command line."""

from flowtuple.cli import main

main()

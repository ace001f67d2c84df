"""`python -m flowtuple`: the command line."""

from flowtuple.cli import main

if __name__ == "__main__":
    main()

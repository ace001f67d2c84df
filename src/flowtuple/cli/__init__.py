"""The command line, one module for each kind of command.

A command reads its options, calls one function of `flowtuple.api` or `flowtuple.batch`, and shows
the result as a table, as lines or, with `--json`, as JSON on standard output. Notes, warnings and
errors go to standard error. No work is done here, and only `__main__` imports this package.

`declaring` turns functions with declared arguments into commands; an argument may be made of
several options, as a selection is. `options` has what commands share, `many` the option `--dask`,
`lines` output line by line, `terminal` tables and progress, `stopping` signals and closed streams.

Laws, with the tests that check them:

- An expected error is one line that names file, column and next step, with exit code 2; so is a
  wrong option (`tests/cli/test_cli.py`, `tests/cli/test_spellings.py`).
- Exit code 1 means a broken bound, different samples (`--fail`) or a damaged file
  (`tests/cli/test_cli.py`, `tests/comparison/test_two_sample.py`).
- Names show control characters as escapes, and narrow terminals show tables as lines
  (`tests/cli/test_terminal.py`).
- A command that is stopped removes what is not complete (`tests/cli/test_killed.py`).
- The library names arguments; `arguments` turns them into options in every message, so that
  `given=` in backquotes reads --given (`tests/cli/test_spellings.py`).
- Commands and options of the last release work once more, with a note: `old_spellings`.
- Options are in panels of `--help`: Input, Training, Resources and those of a command. Help shows
  an example of every command.

`commands` lists all commands, each with the module that is imported when it is called, so that help
is instant. PyTorch and plotting are imported by the functions that need them.
"""

from flowtuple.cli.app import app, main

__all__ = ["app", "main"]

"""A second reader of `.ftup` files: slow, obvious, and written from the normative page
docs/format.md alone.

It shares no code with flowtuple. Where the two decode a file differently, one of them has a bug, or
the page is unclear.
Every function names the section of the page that it mirrors. The modules go from the small to the
large: `base` (numbers and
bytes), `container`, `lattice`, `description`, `functions`, `rows`, `features`, `flow`, `rules`, `acceptance`,
`model`, `chunk`, `files`.
"""

from reference_reader.base import Invalid, Truncated
from reference_reader.files import check_file, read_carried, read_file

__all__ = ["Invalid", "Truncated", "check_file", "read_carried", "read_file"]

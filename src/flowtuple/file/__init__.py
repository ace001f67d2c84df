"""The file: layout of its parts, and the reader and writer of the whole.

docs/format.md is normative: it says, byte by byte, what a file of format 1.1 is. This package is
one implementation of it. A file is a header, sections, an index of them and a trailer. The
sections are the description (JSON: tables, columns, lattices), models, chunks of events, and
carried objects.

- `layout`, `description`, `model`: parts of a file as bytes in memory, and back, checked.
- `writer`: sections written in order; the file appears under its name when it is whole.
- `storage`, `reader`: ranges of bytes, and sections located by the index.
- `table`, `columns`, `file`: events of a range, decoded from the chunks that contain them.
- `quantization`: the promise of each column, also as attributes for other formats.
- `ledger`: the bytes of a file by column and part.
- `merge`, `damage`, `recover`, `provenance`: joining, checking (by the frames, where the index is
  damaged) and saving files, and their origin.

Data comes in as tables of `data` coded by `codec`, and goes out as `TableSource`s again. Packages
of higher rank open files through `File` and write them through `writer.create`.

Laws, and the tests that hold them:

- Equal inputs give equal files; files of earlier releases read the same for ever
  (tests/file/test_golden.py). A second reader, written from docs/format.md, agrees with this one
  (tests/file/test_reference_reader.py, tests/file/test_two_readers.py).
- Every part of a file is checked before its use, and no input makes the reader fail otherwise than
  with a typed error (tests/file/test_layout.py, tests/file/test_hostile.py,
  tests/file/test_fuzz_corpus.py). A declared size is compared with the memory limit before memory
  is taken (tests/file/test_hostile.py).
- Reading some columns of some events reads the chunks that have them, and no others
  (tests/file/test_file.py).
- Merging and recovering copy chunks bit by bit (tests/file/test_merge.py,
  tests/file/test_recover.py); damage costs only the parts that it touches
  (tests/file/test_damage.py).
- The rows of the ledger add up to the file, to the byte (tests/file/test_ledger.py).
- Attributes state the errors that the decoded values obey (tests/file/test_quantization.py).
- External columns are stored as a hash alone, and other values are refused
  (tests/file/test_external.py).
"""

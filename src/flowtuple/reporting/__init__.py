"""Pages and drawings: reports on files, comparisons, simulations and trainings; `inspect`, `info`.

A page is one HTML file that carries everything it shows and fetches nothing: tables that sort and
filter, drawings that open, a light and a dark theme. It is a list of blocks (headings, texts,
verdicts, tables, figures), which `page.write_page` renders by one template. A module for each kind
of page makes the blocks of its results.

- `report`: a compressed file and its original. `describe`: the numbers of `inspect` and `info`,
  and the input of the report, whose figures are measured once.
- `comparison_pages`, `comparison_plots`: two samples, and a simulation and the truth.
- `training_page`: a training. `row_page`, `row_plots`: rows that a reference method decoded.
- `decoded_figures`: figures that the pages about decoded values share.
- `plots`: the style, histograms with ratios, bars, ROC curves. `rate_distortion`: codecs.

In: tables in memory, open files, and plain numbers of results. Out: plain numbers, SVG text, PNG
bytes, and pages. `benchmark`, `api` and `cli` import the package; it imports no PyTorch. Pages and
drawings need the extra 'plots' and raise `MissingExtra` without it; `describe` does not.

Laws: every byte of a file counts, model and index included; the same input gives the same drawing;
a page appears whole or not at all; names are escaped; every drawing has a description
(`tests/reporting/test_report.py`). In a browser no page logs an error, makes a request or
overflows its window (`tests/reporting/test_pages.py`).
"""

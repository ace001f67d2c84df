"""Pages and drawings: reports on files, comparisons, simulations and trainings; `inspect`, `info`.

A page is one HTML file that carries everything it shows and fetches nothing: tables that sort and
filter, drawings that open, a light and a dark theme. `page.write_page` fills a template of
`templates/`; all templates extend `page.html.j2` and share the tables, verdicts and cards of
`parts.html.j2`. A module for each kind of page computes the figures and drawings of its template.

- `report`: a compressed file and its original. `describe`: the numbers of `inspect` and `info`,
  and the input of the report, whose figures are measured once.
- `two_samples`: two samples. `closure_page`, `closure_plots`: a simulation and the truth.
- `training_page`: a training. `row_page`, `row_plots`: rows that a reference method decoded.
- `plots`: the style, histograms with ratios, bars. `roc`, `rate_distortion`: one drawing each.

In: tables in memory, open files, and plain numbers of results. Out: plain numbers, SVG text, PNG
bytes, and pages. `benchmark`, `api` and `cli` import the package; it imports no PyTorch. Pages and
drawings need the extra 'plots' and raise `MissingExtra` without it; `describe` does not.

Laws: every byte of a file counts, model and index included; the same input gives the same drawing;
a page appears whole or not at all; names are escaped; every drawing has a description
(`tests/reporting/test_report.py`). In a browser no page logs an error, makes a request or
overflows its window (`tests/reporting/test_pages.py`).
"""

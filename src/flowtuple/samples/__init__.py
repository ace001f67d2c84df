"""The embedded sample: a NanoAOD-like file of simulated jets, for examples and tests.

Data in: none. Data out: the path of `jets.root`, a ROOT file of 10,000 events, about 1 MB.
`README.md` in this folder gives its checksum, names every branch with its unit, and says how the
events were simulated. `tools/make_sample.py` in the repository generates them; it needs Pythia 8
and FastJet, which flowtuple does not.

Any module may import this package; it imports nothing of flowtuple.

Laws, tested by `tests/test_samples.py`:

- the file has the checksum that `README.md` gives, and between 0.9 and 1.1 MB;
- its trees, branches and types are those of the README's table;
- jets are sorted by p_T, inside the acceptance, and their columns have the stated precision;
- `genWeight` sums to what the tree `Runs` says.

Tests and examples rely on the file as it is: a new one changes figures in tests and docs.
"""

from __future__ import annotations

from pathlib import Path


def sample_path() -> Path:
    """Return the path of `jets.root`, the embedded sample.

    Example:
        >>> import uproot
        >>> with uproot.open(sample_path()) as file:
        ...     file["Events"]["Jet_pt"].typename
        'float[]'
    """
    return Path(__file__).with_name("jets.root")

"""Four-vectors among columns, by their names: p_x, p_y, p_z and energy of the same object."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from flowtuple.data.schema import Column

_P_X = re.compile(r"p_?x", re.IGNORECASE)
_ENERGIES = ("E", "e", "Energy", "energy", "En", "en", "PE", "pE", "Pe", "pe", "ENERGY")
_PT = re.compile(r"(^|[^A-Za-z]|[a-z](?=P))(pt|Pt|PT|pT)([_.]?\d+)?$")


@dataclass(frozen=True)
class FourVector:
    """Columns of the momentum and the energy of an object, or of a collection of objects.

    Attributes:
        label: Name of the object, such as `Muon`.
        columns: Names of p_x, p_y, p_z and the energy.
        counter: Column of the number of objects; `None` for one object an event.
        kind: Name that objects of the same kind share: the label without numbers.
    """

    label: str
    columns: tuple[str, str, str, str]
    counter: str | None
    kind: str


def four_vectors(columns: Iterable[Column]) -> list[FourVector]:
    """Return the four-vectors among columns of floats.

    Example:
        >>> names = ("px1", "py1", "pz1", "E1", "Muon_Px", "Muon_Py", "Muon_Pz", "Muon_Energy")
        >>> [(v.label, v.columns[3]) for v in four_vectors(Column(n, "float32") for n in names)]
        [('1', 'E1'), ('Muon', 'Muon_Energy')]
    """
    by_name = {c.name: c for c in columns if c.is_float and not c.shape}
    vectors = []
    for name, column in by_name.items():
        for match in _P_X.finditer(name):
            before, after = name[: match.start()], name[match.end() :]
            axes = "XYZ" if match[0].endswith("X") else "xyz"
            momentum = [before + match[0][:-1] + axis + after for axis in axes]
            energies = [before + word + after for word in _ENERGIES]
            energy = next((e for e in energies if e in by_name), None)
            parts = [by_name.get(n) for n in (*momentum, energy or "")]
            if energy is None or any(
                part is None or part.counter != column.counter for part in parts
            ):
                continue
            label = (before + after).strip("_. ")
            kind = re.sub(r"\d+", "", label)
            whole = (momentum[0], momentum[1], momentum[2], energy)
            vectors.append(FourVector(label, whole, column.counter, kind))
            break
    return vectors


def is_transverse_momentum(column: Column) -> bool:
    """Return whether the name of a column is that of a p_T.

    Example:
        >>> [is_transverse_momentum(Column(n, "float32")) for n in ("Jet_pt", "pt1", "option")]
        [True, True, False]
    """
    return column.is_float and _PT.search(column.name) is not None

"""Results as one line in a terminal, and as a small table in a notebook."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from html import escape

from flowtuple.errors import visible


class Shown:
    """Base of results that people look at: `facts` gives their line and their table."""

    @abstractmethod
    def facts(self) -> Mapping[str, object]:
        """Return names and values to show, the most important first."""

    def __repr__(self) -> str:
        content = ", ".join(
            visible(f"{name} {value}") for name, value in self.facts().items()
        )
        return f"<{type(self).__name__}: {content}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(visible(name))}</th><td>{escape(visible(str(value)))}</td></tr>"
            for name, value in self.facts().items()
        )
        return f"<table><caption>{type(self).__name__}</caption>{rows}</table>"

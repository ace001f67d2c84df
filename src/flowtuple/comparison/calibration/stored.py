"""Calibrations of a model as text: a small JSON object with a version and a checksum."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import xxhash

from flowtuple.comparison.calibration.calibrate import Calibration
from flowtuple.errors import Corrupt, TooNew

FORMAT, VERSION = "flowtuple calibration", 1

Pair = tuple[str, str]
"""Table of a model, and XXH3 and table of the model of the ratio; empty for the surprise."""


@dataclass(frozen=True)
class Calibrations:
    """Calibrations of the scores of one model.

    Attributes:
        model: XXH3 of the model's bytes.
        by_pair: Calibration by what it belongs to.
    """

    model: str
    by_pair: Mapping[Pair, Calibration] = field(default_factory=dict)

    def to_text(self) -> str:
        """Return JSON that `from_text` reads."""
        entries = [
            {"table": table, "against": against, **made.to_json()}
            for (table, against), made in self.by_pair.items()
        ]
        content = {
            "format": FORMAT,
            "version": VERSION,
            "model": self.model,
            "calibrations": entries,
        }
        return json.dumps(content | {"xxh3": _checksum(content)}, indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str, where: str) -> Calibrations:
        """Return the calibrations of a file.

        Raises:
            Corrupt: It is not what `to_text` made.
            TooNew: A later version of flowtuple made it.
        """
        advice = "remove it and calibrate with `calibrate=`, or name another with `calibration=`"
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise ValueError(f"it is a {content['format']!r}")
            if int(content["version"]) > VERSION:
                raise TooNew(
                    f"{where}: has version {content['version']} of calibrations, and this "
                    f"flowtuple reads {VERSION}; update flowtuple"
                )
            if content.pop("xxh3", None) != _checksum(content):
                raise ValueError("its checksum is wrong")
            entries = {
                (str(entry["table"]), str(entry["against"])): Calibration.from_json(entry)
                for entry in content["calibrations"]
            }
            return cls(str(content["model"]), entries)
        except json.JSONDecodeError as error:
            reason = f"no JSON, {error}"
        except KeyError as error:
            reason = f"{error} is missing"
        except (AttributeError, TypeError, ValueError) as error:
            reason = str(error)
        raise Corrupt(f"{where}: is no calibration of a model ({reason}); {advice}")


def _checksum(content: Mapping[str, Any]) -> str:
    """Return the XXH3 of an object, its keys in order."""
    return xxhash.xxh3_64_hexdigest(json.dumps(content, sort_keys=True).encode())

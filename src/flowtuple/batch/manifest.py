"""What became of each task, as lines of JSON beside the outputs: a second run does only what is missing."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import xxhash

from flowtuple.errors import InvalidArgument
from flowtuple.runtime.atomic import make_folder

_CHECKSUM = "xxh3"


@dataclass(frozen=True)
class Record:
    """The end of one task.

    Attributes:
        task: Its name.
        source: Its input.
        key: Of all that its output depends on: input, model, options.
        reason: Why it failed; empty where it did not.
        nbytes: Size of the output, 0 where there is none.
        written: When it was, in nanoseconds.
        facts: What there is to tell, such as the number of events.
    """

    task: str
    source: str
    key: str
    reason: str = ""
    nbytes: int = 0
    written: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_line(self) -> bytes:
        """A line of JSON, with its own checksum."""
        content = asdict(self)
        return (
            json.dumps(content | {_CHECKSUM: _checksum(content)}, sort_keys=True).encode() + b"\n"
        )

    @classmethod
    def from_line(cls, line: bytes) -> Record:
        """The inverse of `to_line`; lines of earlier versions have no checksum.

        Raises:
            ValueError, TypeError, RecursionError: It is no such line.
        """
        content = json.loads(line)
        known = content.pop(_CHECKSUM, None) if isinstance(content, dict) else None
        record = cls(**content)
        texts = (record.task, record.source, record.key, record.reason)
        numbers = (record.nbytes, record.written)
        if not all(isinstance(text, str) for text in texts) or not all(
            type(number) is int for number in numbers
        ):
            raise TypeError("a field of another type")
        if not isinstance(record.facts, dict) or known not in (None, _checksum(content)):
            raise ValueError("another checksum")
        return record


def _checksum(content: Mapping[str, Any]) -> str:
    return str(xxhash.xxh3_64_hexdigest(json.dumps(content, sort_keys=True).encode()))


@contextlib.contextmanager
def opened(folder: Path, job: str) -> Iterator[Manifest]:
    """The records of one job in a folder, which nobody else writes meanwhile.

    Raises:
        InvalidArgument: Another process is at it; or as of `Manifest`.
    """
    make_folder(folder)
    path = folder / f"{job}.jsonl"
    try:
        stream = open(path, "ab")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise InvalidArgument(
            f"{path}: cannot be written ({error.strerror}); choose another folder"
        ) from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            hint = "wait for it, or choose another folder"
            raise InvalidArgument(
                f"{folder}: another flowtuple does the same here; {hint}"
            ) from None
        yield Manifest(folder, job)


class Manifest:
    """The records of one job in a folder; of several about one task the last one counts.

    A line is on the disk before the next task ends. A last line that a crash has cut off counts as not written.

    Args:
        folder: Of the outputs; made where it is missing.
        job: What is done with each file; the records of `compress` are in `compress.jsonl`.

    Raises:
        InvalidArgument: The folder cannot be made, or what is there is no manifest.
    """

    def __init__(self, folder: Path, job: str) -> None:
        make_folder(folder)
        self.path = folder / f"{job}.jsonl"
        self.records: dict[str, Record] = {}
        self._read()

    def is_done(self, task: str, key: str, output: Path) -> bool:
        """Whether a task has ended well, with this key, and its output is still as it was written."""
        record = self.records.get(task)
        if record is None or record.reason or record.key != key:
            return False
        return output.is_file() and (output.stat().st_size, output.stat().st_mtime_ns) == (
            record.nbytes,
            record.written,
        )

    def add(self, record: Record) -> None:
        """Write a record down."""
        with open(self.path, "ab") as stream:
            stream.write(record.to_line())
            stream.flush()
            os.fsync(stream.fileno())
        self.records[record.task] = record

    def _read(self) -> None:
        if not self.path.exists():
            return
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise InvalidArgument(
                f"{self.path}: cannot be read ({error.strerror}); choose another folder"
            ) from None
        whole, newline, torn = content.rpartition(b"\n")
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                record = Record.from_line(line)
            except (ValueError, TypeError, RecursionError):
                raise InvalidArgument(
                    f"{self.path}: line {number} is no record of a task, or a damaged one; remove that line to do its task "
                    "again, or the file to do all tasks again"
                ) from None
            self.records[record.task] = record
        if torn:
            os.truncate(self.path, len(whole) + len(newline))

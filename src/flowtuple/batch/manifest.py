"""Manifest of tasks, lines of JSON next to the outputs: a second run does only missing tasks."""

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
    """Outcome of one task.

    Attributes:
        task: Name of the task.
        source: Input of the task.
        key: Hash of everything that the output depends on: input, model, options.
        reason: Reason of a failure; empty for none.
        nbytes: Size of the output, 0 if there is none.
        written: Time of the output's last change, in nanoseconds.
        facts: Facts to report, such as the number of events.
    """

    task: str
    source: str
    key: str
    reason: str = ""
    nbytes: int = 0
    written: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_line(self) -> bytes:
        """Return a line of JSON with its own checksum."""
        content = asdict(self)
        text = json.dumps(content | {_CHECKSUM: _checksum(content)}, sort_keys=True)
        return text.encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Record:
        """Return the record of a line; lines of earlier versions have no checksum.

        Raises:
            ValueError, TypeError, RecursionError: The text is no such line.
        """
        content = json.loads(line)
        known = content.pop(_CHECKSUM, None) if isinstance(content, dict) else None
        record = cls(**content)
        texts = (record.task, record.source, record.key, record.reason)
        numbers = (record.nbytes, record.written)
        if {type(text) for text in texts} != {str} or {type(n) for n in numbers} != {int}:
            raise TypeError("a field of another type")
        if not isinstance(record.facts, dict) or known not in (None, _checksum(content)):
            raise ValueError("another checksum")
        return record


def _checksum(content: Mapping[str, Any]) -> str:
    return str(xxhash.xxh3_64_hexdigest(json.dumps(content, sort_keys=True).encode()))


@contextlib.contextmanager
def opened(folder: Path, job: str) -> Iterator[Manifest]:
    """Open the records of one job in a folder, locked against other processes.

    Raises:
        InvalidArgument: Another process does this job here; or as of `Manifest`.
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
            raise InvalidArgument(
                f"{folder}: another flowtuple does the same here; "
                "wait for it, or choose another folder"
            ) from None
        yield Manifest(folder, job)


class Manifest:
    """Records of one job in a folder; the last record of a task counts.

    A line is on the disk before the next task ends. A last line that a crash has cut off is
    ignored.

    Args:
        folder: Folder of the outputs; created if it is missing.
        job: Name of the job; the records of `compress` are in `compress.jsonl`.

    Raises:
        InvalidArgument: The folder cannot be created, or the file in it is no manifest.
    """

    def __init__(self, folder: Path, job: str) -> None:
        make_folder(folder)
        self.path = folder / f"{job}.jsonl"
        self.records: dict[str, Record] = {}
        self._read()

    def is_done(self, task: str, key: str, output: Path) -> bool:
        """Return True if a task was successful with this key, and its output has not changed."""
        record = self.records.get(task)
        if record is None or record.reason or record.key != key or not output.is_file():
            return False
        state = output.stat()
        return (state.st_size, state.st_mtime_ns) == (record.nbytes, record.written)

    def add(self, record: Record) -> None:
        """Append a record."""
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
                    f"{self.path}: line {number} is no record of a task, or a damaged one; "
                    "remove that line to do its task again, or the file to do all tasks again"
                ) from None
            self.records[record.task] = record
        if torn:
            os.truncate(self.path, len(whole) + len(newline))

"""One file through flowtuple and back into its own format, and what became of it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from independent.compare import (
    BackUnreadable,
    OriginalUnreadable,
    compare,
    readable,
    suffix_of,
)
from independent.declared import Declared
from running import Limits, Ran, Runner, run_forked

WHOLE = "whole"
NAMED = "whole but for what was named"
REFUSED = "refused by name"
WRONG = "wrong refusal"
LOST = "lost"
CRASHED = "crashed"
SLOW = "slower than the limit"
UNCOMPARED = "not compared"
CLASSES = (WHOLE, NAMED, REFUSED, WRONG, LOST, CRASHED, SLOW, UNCOMPARED)
FAULTS = (WRONG, LOST, CRASHED)

_ADVISED = re.compile(
    r"(?<![\w/])(\.parquet|\.npz|\.h5|\.csv|\.root)\b|\bx(\.parquet|\.npz|\.h5|\.root)\b"
)
_SLOWER_READER = 10


@dataclass
class Outcome:
    """Outcome for one file.

    Attributes:
        path: The file.
        kind: One of `CLASSES`.
        reason: Why, in a line.
        message: What flowtuple said, word for word.
        parts: How many branches, columns and objects are the same, renamed, named, lost,
        unreadable.
        findings: Those that are not the same.
        notes: Differences that make no difference to the class.
        seconds: By command.
        processor: Seconds of processor time of all commands.
        peak: Largest memory of a command, in bytes.
        sizes: Bytes of the original, the compressed file and the one that came back.
    """

    path: str
    kind: str = ""
    reason: str = ""
    message: str = ""
    parts: dict[str, int] = field(default_factory=dict)
    findings: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    processor: float = 0.0
    peak: int = 0
    sizes: list[int] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """A JSON object of everything."""
        return asdict(self)


class _Ended(Exception):
    """The journey is over; the outcome says how."""


class Journey:
    """Compress, verify, decompress and compare one file; `outcome` is what becomes of it."""

    def __init__(
        self, path: Path, folder: Path, run: Runner, limits: Limits, effort: str
    ) -> None:
        self._path = path
        self._folder = folder
        self._run = run
        self._limits = limits
        self._effort = effort
        self._declared = Declared()
        self._early = Declared()
        self._refusals: list[str] = []
        self._packed = folder / "packed.ftup"
        self._back = folder / f"back{suffix_of(path)}"
        self.outcome = Outcome(str(path))

    def go(self) -> Outcome:
        """Make the whole journey, or as much of it as there is."""
        try:
            self._compress()
            self._verify()
            self._decompress()
            self._compare()
        except _Ended:
            pass
        sizes = [
            p.stat().st_size for p in (self._path, self._packed, self._back) if p.exists()
        ]
        self.outcome.sizes = sizes
        return self.outcome

    def _step(
        self, command: str, *arguments: str, allowed: tuple[int, ...] = (0, 2)
    ) -> Ran:
        ran = self._run([command, *arguments], self._limits, self._folder)
        self._account(command, ran)
        if ran.has_crashed(allowed):
            self._end(CRASHED, f"{command}: {_how_it_crashed(ran)}", ran.message)
        if ran.late:
            words = f"{command} took more than {self._limits.seconds:g} s"
            self._end(
                SLOW, f"{words}, in which it had a processor for {ran.processor:.0f} s"
            )
        if ran.code == 2 and "Usage:" in ran.err:
            self._end(CRASHED, f"{command}: takes other arguments", ran.message)
        return ran

    def _account(self, command: str, ran: Ran) -> None:
        seconds = self.outcome.seconds
        seconds[command] = round(seconds.get(command, 0.0) + ran.seconds, 2)
        self.outcome.processor = round(self.outcome.processor + ran.processor, 2)
        self.outcome.peak = max(self.outcome.peak, ran.peak)

    def _end(self, kind: str, reason: str, message: str = "") -> None:
        self.outcome.kind = kind
        self.outcome.reason = reason
        self.outcome.message = message or self.outcome.message
        raise _Ended

    def _compress(self) -> None:
        arguments = [
            str(self._path),
            "-o",
            str(self._packed),
            "--effort",
            self._effort,
            "--json",
        ]
        ran = self._step("compress", *arguments)
        if ran.code == 2:
            self._note_refusal("compress", ran)
            ran = self._step("compress", *arguments, "--drop")
            if ran.code == 2:
                self.outcome.message = ran.message
                self._judge_refusal(f"compress: {ran.message}")
        self._hear(ran)
        self._early.add_text(ran.out)
        self._early.add_text(ran.err)
        ran = self._step("info", str(self._packed), "--json")
        if ran.code:
            self._end(
                CRASHED, f"info refuses what compress wrote: {ran.message}", ran.message
            )
        self._hear(ran)

    def _note_refusal(self, command: str, ran: Ran) -> None:
        said = ran.err.strip()
        self.outcome.message = self.outcome.message or ran.message
        self._refusals.append(f"{command}: {ran.message}")
        if len(said.splitlines()) > 1:
            self.outcome.notes.append(
                f"{command} refuses in {len(said.splitlines())} lines"
            )
        self._hear(ran)

    def _hear(self, ran: Ran) -> None:
        """Take in what a command says about what is left out and renamed."""
        self._declared.add_text(ran.out)
        self._declared.add_text(ran.err)

    def _verify(self) -> None:
        arguments = [str(self._path), str(self._packed), "--json"]
        ran = self._step("verify", *arguments, allowed=(0, 1, 2))
        if ran.code:
            words = ran.message or "values outside their bound"
            self._end(LOST, f"verify fails on a file just written: {words}", ran.message)

    def _decompress(self) -> None:
        arguments = [str(self._packed), "-o", str(self._back)]
        ran = self._step("decompress", *arguments)
        if ran.code == 2:
            was_said = self._is_said_at_compression(ran)
            self._note_refusal("decompress", ran)
            self._try_advice(ran.err)
            ran = self._step("decompress", *arguments, "--drop")
            if ran.code == 2:
                self._judge_refusal(f"decompress: {ran.message}", was_said)
            if was_said:
                self._refusals.clear()
        self._hear(ran)

    def _is_said_at_compression(self, ran: Ran) -> bool:
        """Whether each name in the refusal, in quotes, is in what was said before."""
        names = re.findall(r"'([^']+)'", ran.message)
        return bool(names) and self._early.says(names[0])

    def _try_advice(self, said: str) -> None:
        """Write the formats that the refusal advises, and note where that is refused, too."""
        advised = {one or other for one, other in _ADVISED.findall(said)} - {
            self._back.suffix
        }
        for suffix in sorted(advised):
            output = self._folder / f"advised{suffix}"
            ran = self._step("decompress", str(self._packed), "-o", str(output))
            if ran.code:
                self.outcome.notes.append(
                    f"the advice {suffix} is refused, too: {ran.message}"
                )

    def _judge_refusal(self, reason: str, was_said: bool = False) -> None:
        """A refusal of all is wrong where the independent reader reads every branch."""
        found = self._independently(partial(_describe_readable, self._path))
        read, unread = len(found.get("parts", [])), len(found.get("unreadable", {}))
        self.outcome.parts = {"readable": read, "unreadable": unread}
        if found.get("failure"):
            self._end(REFUSED, f"{reason} [independent reader: {found['failure']}]")
        if read and not unread and not was_said:
            self._end(WRONG, f"{reason} [independent reader reads all {read} branches]")
        self._end(
            REFUSED,
            f"{reason} [independent reader reads {read} of {read + unread} branches]",
        )

    def _compare(self) -> None:
        work = partial(_describe_comparison, self._path, self._back, self._declared)
        found = self._independently(work)
        if "unreadable_back" in found:
            self._end(LOST, found["unreadable_back"])
        if "unreadable_original" in found:
            self._end(
                UNCOMPARED,
                f"the independent reader cannot open the original: {found['unreadable_original']}",
            )
        if "failure" in found:
            self._end(UNCOMPARED, f"the comparison failed: {found['failure']}")
        self.outcome.notes.extend(found["notes"])
        self.outcome.findings = found["findings"]
        states = [f["state"] for f in found["findings"]]
        counts = {state: states.count(state) for state in dict.fromkeys(states)}
        self.outcome.parts = {"same": found["same"], **counts}
        self._classify(found["findings"])

    def _independently(self, work: Callable[[Path], None]) -> dict[str, Any]:
        """The result of some work of the independent reader in a process of its own."""
        answer = self._folder / "answer.json"
        answer.unlink(missing_ok=True)
        limits = Limits(self._limits.seconds * _SLOWER_READER, self._limits.memory)
        ran = run_forked(partial(work, answer), limits, self._folder)
        self.outcome.seconds["compare"] = round(ran.seconds, 2)
        if not answer.exists():
            why = "took too long" if ran.late else ran.message or f"exit code {ran.code}"
            return {"failure": why}
        found: dict[str, Any] = json.loads(answer.read_text())
        return found

    def _classify(self, findings: list[dict[str, str]]) -> None:
        lost = [f for f in findings if f["state"] in ("missing", "differs")]
        named = [f for f in findings if f["state"] == "named"]
        renamed = [f for f in findings if f["state"] == "renamed"]
        unread = [f for f in findings if f["state"] == "unreadable"]
        if lost:
            self._end(LOST, f"{len(lost)} lost: {_in_words(lost)}")
        if self._refusals and not unread:
            self._end(
                WRONG,
                f"{self._refusals[0]} [independent reader reads all; "
                f"with --drop named: {_in_words(named)}]",
            )
        if named or self._refusals:
            which = (
                f"{len(named)} readable but left out: {_in_words(named)}"
                if named
                else "only what is unreadable there"
            )
            self._end(NAMED, f"{which}; {len(unread)} unreadable there")
        words = [f"{len(renamed)} renamed: {_in_words(renamed)}"] if renamed else []
        words += (
            [f"{len(unread)} unreadable there: {_in_words(unread)}"] if unread else []
        )
        self._end(WHOLE, "; ".join(words))


def travel(
    path: Path, folder: Path, run: Runner, limits: Limits, effort: str = "fast"
) -> Outcome:
    """Send one file through flowtuple and back.

    Args:
        path: A file of a known format.
        folder: An empty folder for what is made on the way.
        run: Runs a command of flowtuple.
        limits: What each command may use.
        effort: Of compression.
    """
    return Journey(path, folder, run, limits, effort).go()


def _describe_readable(path: Path, answer: Path) -> None:
    answer.write_text(json.dumps(asdict(readable(path))))


def _describe_comparison(
    original: Path, back: Path, declared: Declared, answer: Path
) -> None:
    try:
        found = compare(original, back, declared).to_json()
    except OriginalUnreadable as error:
        found = {"unreadable_original": str(error)}
    except BackUnreadable as error:
        found = {"unreadable_back": str(error)}
    answer.write_text(json.dumps(found))


def _in_words(findings: list[dict[str, str]], most: int = 3) -> str:
    words = [f"{f['name']} ({f['detail']})" for f in findings[:most]]
    more = f", and {len(findings) - most} more" if len(findings) > most else ""
    return ", ".join(words) + more


def _how_it_crashed(ran: Ran) -> str:
    if ran.code < 0:
        return f"signal {-ran.code}"
    if "MemoryError" in ran.err or "Cannot allocate" in ran.err:
        return "out of memory"
    with contextlib.suppress(IndexError):
        where = re.findall(r'File "([^"]+)", line (\d+)', ran.err)
        own = [f"{Path(name).name}:{line}" for name, line in where if "flowtuple" in name]
        return f"traceback at {own[-1]}: {ran.message}"
    return f"exit code {ran.code}: {ran.message}"

"""The entropy coder: two interleaved lanes of range asymmetric numeral systems with 32-bit words.

A row costs -log2(f / 2^16) bits for its symbol and log2(span + 1) bits for its place in the bin.
States are 64 bits wide; rows take the lanes in turn; both lanes share one sequence of words.
Decoding ends with both states at their start and every word used, or the stream is corrupt.

Source: Duda, arXiv:1311.2540.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import uint64

from flowtuple.codec.frequencies import EXP2, TILE, cumulate
from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt
from flowtuple.runtime.compiled import compiled

START = 1 << 31
_HEADER = 16


@compiled()
def _push(
    state: Any, begin: Any, frequency: Any, bits: Any, words: Any, used: Any
) -> Any:
    """Push an interval [begin, begin + frequency) of 2^bits; `words` takes the overflow."""
    if state >= (frequency << (uint64(63) - bits)):
        words[used[0]] = np.uint32(state & uint64(0xFFFFFFFF))
        used[0] += 1
        state = state >> uint64(32)
    return ((state // frequency) << bits) + state % frequency + begin


@compiled()
def _pop(state: Any, begin: Any, frequency: Any, bits: Any, words: Any, left: Any) -> Any:
    """Pop an interval; return the state and the number of words that are left.

    Words are read backwards. Before the first one lies a zero, which is read where they run out;
    their number then goes below zero. A choice and not a branch, which could not be predicted.
    """
    slot = state & ((uint64(1) << bits) - uint64(1))
    state = frequency * (state >> bits) + slot - begin
    filled = (state << uint64(32)) | uint64(words[max(left, 0)])
    is_low = state < uint64(2147483648)
    return (filled if is_low else state), left - np.int64(is_low)


@compiled()
def _raw_bits(span: Any) -> Any:
    """Return the low bits of a place that are stored uncoded: all beyond the top 16."""
    bits = uint64(0)
    while (span >> bits) >= uint64(65536):
        bits += uint64(1)
    return bits


@compiled()
def _encode(
    q: Any,
    symbols: Any,
    below: Any,
    frequency: Any,
    starts: Any,
    spans: Any,
    states: Any,
    words: Any,
) -> Any:
    used = np.zeros(1, np.int64)
    for i in range(len(q) - 1, -1, -1):
        k = symbols[i]
        state = states[i & 1]
        span = spans[k]
        place = uint64(q[i]) - uint64(starts[k])
        raw = _raw_bits(span)
        done = uint64(0)
        while done < raw:
            take = min(uint64(16), raw - done)
            piece = (place >> done) & ((uint64(1) << take) - uint64(1))
            state = _push(state, piece, uint64(1), take, words, used)
            done += take
        cells = (span >> raw) + uint64(1)
        if cells > uint64(1):
            begin = ((place >> raw) << uint64(24)) // cells
            end = (((place >> raw) + uint64(1)) << uint64(24)) // cells
            state = _push(state, begin, end - begin, uint64(24), words, used)
        states[i & 1] = _push(
            state, uint64(below[i]), uint64(frequency[i]), uint64(16), words, used
        )
    return used[0]


@compiled()
def _find(cumulative: Any, column: Any, count: Any, slot: Any) -> Any:
    """Return the last of `count` symbols that begins at or below `slot`, by bisection."""
    k = 0
    while count > 1:
        half = count >> 1
        # A conditional move, not a branch: the processor could not predict it.
        k = k + half if cumulative[k + half, column] <= slot else k
        count -= half
    return k


@compiled()
def _pop_place(state: Any, cells: Any, words: Any, left: Any) -> Any:
    """Pop one of `cells` places; return it, the state and the number of words that are left.

    The divisions are exact in float64: dividends are below 2^40 and divisors at most 2^16, so that
    no quotient lies closer below a whole number than 2^-16, and rounding moves it by 2^-29 at most.
    """
    slot = state & uint64(16777215)
    place = ((slot + uint64(1)) * cells - uint64(1)) >> uint64(24)
    first = np.int64(place << uint64(24))
    divisor = np.float64(np.int64(cells))
    begin = uint64(np.int64(np.float64(first) / divisor))
    end = uint64(np.int64(np.float64(first + 16777216) / divisor))
    state, left = _pop(state, begin, end - begin, uint64(24), words, left)
    return place, state, left


@compiled()
def _pop_bits(state: Any, raw: Any, words: Any, left: Any) -> Any:
    """Pop `raw` uncoded bits, the highest piece first."""
    bits = uint64(0)
    done = raw
    while done > uint64(0):
        take = (done - uint64(1)) % uint64(16) + uint64(1)
        done -= take
        piece = state & ((uint64(1) << take) - uint64(1))
        state, left = _pop(state, piece, uint64(1), take, words, left)
        bits |= piece << done
    return bits, state, left


@compiled()
def _decode(
    logits: Any,
    exp2: Any,
    starts: Any,
    spans: Any,
    states: Any,
    words: Any,
    used: Any,
    odd: Any,
    q: Any,
) -> None:
    count = len(logits)
    alike = logits.shape[1] == 1
    cumulative = np.empty((count + 1, TILE), np.uint32)
    raws, cells = np.empty(count, np.uint64), np.empty(count, np.uint64)
    for k in range(count):
        raws[k] = _raw_bits(spans[k])
        cells[k] = (spans[k] >> raws[k]) + uint64(1)
    # The lanes change places after each row.
    state, other = states[odd], states[1 - odd]
    left = used[0]
    for start in range(0, len(q), TILE):
        rows = min(TILE, len(q) - start)
        if not alike:
            cumulate(logits, start, rows, exp2, cumulative)
        elif start == 0:
            cumulate(logits, 0, 1, exp2, cumulative)
        for r in range(rows):
            column = 0 if alike else r
            k = _find(cumulative, column, count, np.uint32(state & uint64(65535)))
            below = uint64(cumulative[k, column])
            frequency = uint64(cumulative[k + 1, column]) - below
            state, left = _pop(state, below, frequency, uint64(16), words, left)
            place = uint64(0)
            if cells[k] > uint64(1):
                place, state, left = _pop_place(state, cells[k], words, left)
            if raws[k] > uint64(0):
                bits, state, left = _pop_bits(state, raws[k], words, left)
                place = (place << raws[k]) | bits
            if place > spans[k]:
                # Later words cannot raise it to 0 again, so that `end` refuses the stream.
                left = np.int64(-1)
            q[start + r] = np.int64(uint64(starts[k]) + place)
            state, other = other, state
    if len(q) & 1:
        state, other = other, state
    states[odd], states[1 - odd] = state, other
    used[0] = left


def encode(
    q: Array, symbols: Array, below: Array, frequency: Array, starts: Array, spans: Array
) -> bytes:
    """Encode u: code indices in the intervals of their symbols.

    Args:
        q: int64 indices, shape (n,).
        symbols: int64 symbol of each index, shape (n,).
        below: uint32, first point of each row's symbol in [0, 2^16), shape (n,).
        frequency: uint32, its frequency, shape (n,).
        starts: int64 first index of each symbol, shape (K,).
        spans: uint64 width - 1 of each symbol, shape (K,).

    Returns:
        16 bytes of states, then 32-bit words, all little-endian.
    """
    states = np.full(2, START, np.uint64)
    words = np.empty(4 * len(q) + 1, np.uint32)
    used = _encode(q, symbols, below, frequency, starts, spans, states, words)
    return states.astype("<u8").tobytes() + words[:used].astype("<u4").tobytes()


class Decoder:
    """Decode u of one stream, block by block: the logits of later rows may depend on earlier ones.

    Args:
        data: Result of `encode`.

    Raises:
        Corrupt: The bytes cannot be a stream.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEADER or len(data) % 4:
            raise Corrupt(f"an entropy-coded stream of {len(data)} bytes cannot be one")
        self._states = np.frombuffer(data[:_HEADER], "<u8").astype(np.uint64)
        # After a zero, which is read where the words run out.
        self._words = np.zeros((len(data) - _HEADER) // 4 + 1, np.uint32)
        self._words[1:] = np.frombuffer(data[_HEADER:], "<u4")
        self._used = np.full(1, len(self._words) - 1, np.int64)
        if ((self._states < START) | (self._states >= 2**63)).any():
            # no encoder ends in these states: `end` refuses the stream
            self._used[0] = -1
        self._rows = 0

    def take(
        self, logits: Array, starts: Array, spans: Array, rows: int | None = None
    ) -> Array:
        """Return the next rows: int64 indices, shape (n,).

        Args:
            logits: int16, shape (n, K), or (1, K) for equal rows.
            starts: int64 first index of each symbol, shape (K,).
            spans: uint64 width - 1 of each symbol, shape (K,).
            rows: n; `None` for one row per row of logits.
        """
        q = np.empty(len(logits) if rows is None else rows, np.int64)
        odd = np.int64(self._rows & 1)
        _decode(
            np.ascontiguousarray(logits.T),
            EXP2,
            starts,
            spans,
            self._states,
            self._words,
            self._used,
            odd,
            q,
        )
        self._rows += len(q)
        return q

    def end(self) -> None:
        """Check that the stream ends here.

        Raises:
            Corrupt: It does not.
        """
        if self._used[0] != 0 or (self._states != START).any():
            raise Corrupt("an entropy-coded stream does not end where its rows end")


def code_length(
    frequency: Array, symbols: Array, spans: Array, weight: Array | None = None
) -> float:
    """Return the bits that the model assigns to rows: those of `encode` without its header.

    Args:
        frequency: uint32 frequency of each row's symbol, shape (n,).
        symbols: int64 symbol of each row, shape (n,).
        spans: uint64 width - 1 of each symbol, shape (K,).
        weight: Weight of each row, shape (n,); `None` for 1.
    """
    bits = (
        16
        - np.log2(frequency.astype(np.float64))
        + np.log2(spans.astype(np.float64) + 1)[symbols]
    )
    return float(bits.sum() if weight is None else weight @ bits)

"""Elementary functions that give the same float64 bits on every machine.

They use sums, products, quotients and square roots, which IEEE 754 rounds alike everywhere; a
libm promises no such thing for sin or exp. Each function is a fixed sequence of them, normative in
docs/format.md and accurate to about 1e-14. Outside the stated ranges the result is NaN.
"""

from __future__ import annotations

import math

import numpy as np

from flowtuple.data.schema import Array

_LARGEST_ANGLE = 2.0**20
_LARGEST_EXPONENT = 64.0
_PI_HALF = (
    1.5707963267341256,
    6.077100506506192e-11,
)  # 33 leading bits of pi/2, and the rest
_LN2 = (0.6931471803691238, 1.9082149292705877e-10)
_TWO_OVER_PI = 0.6366197723675814
_ONE_OVER_LN2 = 1.4426950408889634
PI = 3.141592653589793

_FACTORIALS = tuple(map(math.factorial, range(17)))
_SIGNS = (-1.0, 1.0) * 4
_SIN = tuple(sign / n for sign, n in zip(_SIGNS, _FACTORIALS[3::2], strict=False))
_COS = tuple(sign / n for sign, n in zip(_SIGNS, _FACTORIALS[2::2], strict=True))
_EXP = tuple(1.0 / n for n in _FACTORIALS[:14])
_ATAN = tuple((-1.0) ** n / (2 * n + 1) for n in range(14))
_ATANH = tuple(1.0 / (2 * n + 1) for n in range(12))


def _horner(coefficients: tuple[float, ...], x: Array) -> Array:
    """Return c_0 + x (c_1 + x (c_2 + ...)), evaluated from the inside out."""
    total: Array = np.full(x.shape, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * x + c
    return total


def _within(x: Array, largest: float) -> Array:
    return np.where(np.abs(x) <= largest, x, np.nan)


def _whole(x: Array) -> Array:
    """Return the nearest whole number as int64, 0 for NaN."""
    return np.rint(np.where(np.isnan(x), 0.0, x)).astype(np.int64)


def sine_cosine(x: Array) -> tuple[Array, Array]:
    """Return sine and cosine of angles in radians, |x| <= 2^20.

    Example:
        >>> [round(float(v[0]), 12) for v in sine_cosine(np.array([0.5]))]
        [0.479425538604, 0.87758256189]
    """
    x = _within(x, _LARGEST_ANGLE)
    quarter = _whole(x * _TWO_OVER_PI)
    turns = quarter.astype(np.float64)
    y = (x - turns * _PI_HALF[0]) - turns * _PI_HALF[1]
    y2 = y * y
    sine = y + y * (y2 * _horner(_SIN, y2))
    cosine = 1.0 + y2 * _horner(_COS, y2)
    # Quarter turns swap the two and change their signs.
    odd = quarter & 1 == 1
    late = quarter & 2 == 2
    first = np.where(odd, cosine, sine)
    second = np.where(odd, sine, cosine)
    return np.where(late, -first, first), np.where(late ^ odd, -second, second)


def exponential(x: Array) -> Array:
    """Return e^x for |x| <= 64.

    Example:
        >>> round(float(exponential(np.array([1.0]))[0]), 12)
        2.718281828459
    """
    x = _within(x, _LARGEST_EXPONENT)
    power = _whole(x * _ONE_OVER_LN2)
    turns = power.astype(np.float64)
    y = (x - turns * _LN2[0]) - turns * _LN2[1]
    scaled: Array = np.ldexp(_horner(_EXP, y), power.astype(np.int32))
    return scaled


def logarithm(x: Array) -> Array:
    """Return the natural logarithm of x > 0.

    Example:
        >>> round(float(logarithm(np.array([10.0]))[0]), 12)
        2.302585092994
    """
    x = np.where(x > 0, x, np.nan)
    mantissa, exponent = np.frexp(x)
    small = mantissa < 0.7071067811865476
    mantissa = np.where(small, mantissa + mantissa, mantissa)
    power = np.where(small, exponent - 1, exponent).astype(np.float64)
    t = (mantissa - 1.0) / (mantissa + 1.0)
    tail: Array = power * _LN2[1] + (t + t) * _horner(_ATANH, t * t)
    return power * _LN2[0] + tail


def arctangent(y: Array, x: Array) -> Array:
    """Return the angle of the point (x, y) in radians, from -pi to pi; 0 at the origin.

    Example:
        >>> round(float(arctangent(np.array([1.0]), np.array([-1.0]))[0]), 12)
        2.356194490192
    """
    steep = np.abs(y) > np.abs(x)
    small = np.where(steep, x, y)
    large = np.where(steep, y, x)
    t = np.where(large == 0, 0.0, small / np.where(large == 0, 1.0, large))
    for _ in range(2):  # atan t = 2 atan(t / (1 + sqrt(1 + t^2)))
        t = t / (1.0 + np.sqrt(1.0 + t * t))
    angle = 4.0 * (t * _horner(_ATAN, t * t))
    angle = np.where(steep, np.where(y < 0, -PI / 2, PI / 2) - angle, angle)
    angle = np.where(~steep & (x < 0), np.where(y < 0, angle - PI, angle + PI), angle)
    return np.where(np.isnan(x) | np.isnan(y), np.nan, angle)

"""Sections 6.5 and 6.8: elementary functions, and the functions of predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

# Section 6.8: elementary functions. Python's + - * / and math.sqrt are those of IEEE 754, rounded
# once.

S = [(-1) ** (k + 1) / math.factorial(2 * k + 3) for k in range(7)]
C = [(-1) ** (k + 1) / math.factorial(2 * k + 2) for k in range(8)]
E = [1 / math.factorial(k) for k in range(14)]
L = [1 / (2 * k + 1) for k in range(12)]
ATAN = [(-1) ** k / (2 * k + 1) for k in range(14)]
PI = 3.141592653589793
HALF_PI = 1.5707963267948966


def poly(c: Sequence[float], x: float) -> float:
    """Section 6.8: s = c_n, then s = s * x + c_k for k = n - 1 down to 0."""
    s = c[-1]
    for coefficient in reversed(c[:-1]):
        s = s * x + coefficient
    return s


def sin_cos(x: float) -> tuple[float, float]:
    """Section 6.8: sine and cosine, NaN where abs(x) > 2^20."""
    if math.isnan(x) or abs(x) > 2.0**20:
        return math.nan, math.nan
    n = round(x * 0.6366197723675814)
    y = (x - n * 1.5707963267341256) - n * 6.077100506506192e-11
    u = y * y
    s = y + y * (u * poly(S, u))
    c = 1.0 + u * poly(C, u)
    return ((s, c), (c, -s), (-s, -c), (-c, s))[n % 4]


def sin(x: float) -> float:
    """Section 6.8."""
    return sin_cos(x)[0]


def cos(x: float) -> float:
    """Section 6.8."""
    return sin_cos(x)[1]


def exp(x: float) -> float:
    """Section 6.8: NaN where abs(x) > 64."""
    if math.isnan(x) or abs(x) > 64.0:
        return math.nan
    n = round(x * 1.4426950408889634)
    y = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10
    return poly(E, y) * 2.0**n


def log(x: float) -> float:
    """Section 6.8: NaN where x <= 0 or x is infinite."""
    if math.isnan(x) or x <= 0.0 or math.isinf(x):
        return math.nan
    f, n = math.frexp(x)
    if f < 0.7071067811865476:
        f, n = f + f, n - 1
    v = (f - 1.0) / (f + 1.0)
    return n * 0.6931471803691238 + (
        n * 1.9082149292705877e-10 + (v + v) * poly(L, v * v)
    )


def atan(y: float, x: float) -> float:
    """Section 6.8: the angle of the point (x, y)."""
    if math.isnan(x) or math.isnan(y):
        return math.nan
    steep = abs(y) > abs(x)
    above, below = (x, y) if steep else (y, x)
    v = 0.0 if below == 0.0 else above / below
    for _ in range(2):
        v = v / (1.0 + math.sqrt(1.0 + v * v))
    g = 4.0 * (v * poly(ATAN, v * v))
    if steep:
        return -HALF_PI - g if y < 0.0 else HALF_PI - g
    if x < 0.0:
        return g - PI if y < 0.0 else g + PI
    return g


# Section 6.5: the functions of predictions


def cosh(x: float) -> float:
    """Section 6.5, in the row of pt cosh eta."""
    e = exp(x)
    return (e + 1.0 / e) * 0.5


def pt_sinh_eta(pt: float, eta: float) -> float:
    """Section 6.5, function 3."""
    e = exp(eta)
    return pt * ((e - 1.0 / e) * 0.5)


def energy(pt: float, eta: float, m: float) -> float:
    """Section 6.5, function 5."""
    p = pt * cosh(eta)
    return math.sqrt(p * p + m * m)


def pseudorapidity(pt: float, z: float) -> float:
    """Section 6.5, function 11."""
    if pt == 0.0:
        return math.nan
    u = abs(z / pt)
    r = log(u + math.sqrt(u * u + 1.0))
    return -r if z < 0.0 else r


def pair_mass(
    pt1: float, eta1: float, phi1: float, pt2: float, eta2: float, phi2: float
) -> float:
    """Section 6.5, function 12."""
    d = cosh(eta1 - eta2) - cos(phi1 - phi2)
    return math.sqrt(abs((2.0 * (pt1 * pt2)) * d))


FUNCTIONS: list[tuple[int, Callable[..., float]]] = [  # number of arguments, function
    (1, lambda x: x),
    (2, lambda pt, phi: pt * cos(phi)),
    (2, lambda pt, phi: pt * sin(phi)),
    (2, pt_sinh_eta),
    (2, lambda pt, eta: pt * cosh(eta)),
    (3, energy),
    (2, lambda x, y: math.sqrt(x * x + y * y)),
    (3, lambda x, y, z: math.sqrt((x * x + y * y) + z * z)),
    (2, lambda x, y: x * y),
    (2, lambda x, y: math.nan if y == 0.0 else x / y),
    (2, lambda x, y: atan(y, x)),
    (2, pseudorapidity),
    (6, pair_mass),
]

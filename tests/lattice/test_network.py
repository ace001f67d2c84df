"""The conditioner's arithmetic against plain integers, and no libm call on the way of a decoder."""

from __future__ import annotations

import ast
import hashlib
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowtuple
from flowtuple.errors import Corrupt, Unsupported
from flowtuple.lattice.network import (
    LOGIT_LIMIT,
    MAX_INPUTS,
    MAX_SHIFT,
    Layer,
    Network,
    probe,
)

SOURCE = Path(flowtuple.__file__).parent


def random_network(
    rng: np.random.Generator,
    widths: list[int],
    low: int = -127,
    shifts: tuple[int, int] = (1, MAX_SHIFT),
) -> Network:
    return Network(
        tuple(
            Layer(
                rng.integers(low, 128, (outputs, inputs + 1)).astype(np.int8),
                rng.integers(shifts[0], shifts[1] + 1, outputs).astype(np.uint8),
            )
            for inputs, outputs in itertools.pairwise(widths)
        )
    )


def slow_logits(network: Network, features: np.ndarray) -> np.ndarray:
    """floor(sum / 2^shift + 1/2) in whole numbers throughout; features of shape (inputs, n) as in
    `Network.logits`.
    """
    x = features.T.astype(np.int64)
    for k, layer in enumerate(network.layers):
        weights, shift = layer.weights.astype(np.int64), layer.shifts.astype(np.int64)
        sums = (x[:, None, :] * weights[None, :, :-1]).sum(axis=2) + 255 * weights[:, -1]
        x = (2 * sums + 2**shift) // 2 ** (shift + 1)
        x = (
            np.clip(x, 0, 255)
            if k < len(network.layers) - 1
            else np.clip(x, -LOGIT_LIMIT, LOGIT_LIMIT)
        )
    return x


class TestArithmetic:
    @given(
        seed=st.integers(0, 2**32),
        widths=st.lists(st.integers(1, 40), min_size=2, max_size=4),
        rows=st.integers(0, 30),
        least=st.integers(1, MAX_SHIFT),
    )
    def test_random(self, seed: int, widths: list[int], rows: int, least: int) -> None:
        rng = np.random.default_rng(seed)
        network = random_network(rng, widths, shifts=(least, MAX_SHIFT))
        features = rng.integers(0, 256, (widths[0], rows)).astype(np.uint8)
        logits = network.logits(features)
        assert (logits.dtype, logits.shape) == (np.int16, (rows, widths[-1]))
        assert np.array_equal(logits, slow_logits(network, features))

    @pytest.mark.parametrize("shift", [1, 2, 7, 13, 20])
    @pytest.mark.parametrize("low", [-127, 126])
    def test_extreme(self, shift: int, low: int) -> None:
        rng = np.random.default_rng(shift)
        network = random_network(rng, [MAX_INPUTS, 24, 9], low, (shift, shift))
        features = rng.choice(np.array([0, 1, 254, 255], np.uint8), (MAX_INPUTS, 20))
        features[:, 0] = 255
        assert np.array_equal(network.logits(features), slow_logits(network, features))

    @pytest.mark.parametrize("shift", [1, 8, 20])
    @pytest.mark.parametrize("sign", [-1, 1])
    def test_largest_sums(self, shift: int, sign: int) -> None:
        weights = np.full((8, MAX_INPUTS + 1), 127 * sign)
        weights[np.arange(8), np.arange(8)] -= sign * np.arange(8)
        layer = Layer(weights.astype(np.int8), np.full(8, shift, np.uint8))
        sums = weights.sum(axis=1) * 255
        expected = [int(2 * s + 2**shift) // 2 ** (shift + 1) for s in sums]
        clipped = np.clip(expected, -LOGIT_LIMIT, LOGIT_LIMIT).tolist()
        actual = Network((layer,)).logits(np.full((MAX_INPUTS, 3), 255, np.uint8))
        assert actual.tolist() == [clipped] * 3

    def test_wide_hidden_layers(self) -> None:
        rng = np.random.default_rng(0)
        network = random_network(rng, [5, MAX_INPUTS, MAX_INPUTS, 3], shifts=(8, 12))
        features = rng.integers(0, 256, (5, 8)).astype(np.uint8)
        assert np.array_equal(network.logits(features), slow_logits(network, features))

    def test_no_inputs(self) -> None:
        network = Network(
            (
                Layer(
                    np.array([[100], [-3], [0]], np.int8), np.array([1, 4, 20], np.uint8)
                ),
            )
        )
        assert (
            network.logits(np.empty((0, 2), np.uint8)).tolist() == [[12750, -48, 0]] * 2
        )
        assert (network.outputs, network.parameters) == (3, 3)

    def test_logits_are_clipped(self) -> None:
        network = Network(
            (Layer(np.array([[127, 127], [-127, -127]], np.int8), np.ones(2, np.uint8)),)
        )
        assert network.logits(np.full((1, 1), 255, np.uint8)).tolist() == [
            [LOGIT_LIMIT, -LOGIT_LIMIT]
        ]


@pytest.fixture(scope="module")
def large() -> tuple[Network, np.ndarray]:
    rng = np.random.default_rng(11)
    return random_network(rng, [60, 64, 32, 33], shifts=(5, 9)), rng.integers(
        0, 256, (60, 9001)
    ).astype(np.uint8)


ELSEWHERE = """
import hashlib, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from test_network import random_network
rng = np.random.default_rng(11)
network = random_network(rng, [60, 64, 32, 33], shifts=(5, 9))
print(hashlib.sha256(network.logits(rng.integers(0, 256, (60, 9001)).astype(np.uint8)).tobytes()).hexdigest())
"""


class TestSameEverywhere:
    @pytest.mark.parametrize("rows", [1, 127, 128, 129, 4095])
    def test_any_number_of_rows_at_once(
        self, large: tuple[Network, np.ndarray], rows: int
    ) -> None:
        """Also around the number of rows that go through the layers together."""
        network, features = large
        some = features[:, : 500 if rows == 1 else features.shape[1]]
        parts = [
            network.logits(some[:, k : k + rows]) for k in range(0, some.shape[1], rows)
        ]
        assert np.array_equal(np.concatenate(parts), network.logits(some))

    def test_order_of_rows(self, large: tuple[Network, np.ndarray]) -> None:
        network, features = large
        order = np.random.default_rng(0).permutation(features.shape[1])
        assert np.array_equal(
            network.logits(features[:, order]), network.logits(features)[order]
        )
        assert np.array_equal(
            network.logits(np.asfortranarray(features)), network.logits(features)
        )

    def test_python_threads(self, large: tuple[Network, np.ndarray]) -> None:
        network, features = large
        with ThreadPoolExecutor(4) as pool:
            actual = list(pool.map(network.logits, np.array_split(features, 9, axis=1)))
        assert np.array_equal(np.concatenate(actual), network.logits(features))

    @pytest.mark.slow
    @pytest.mark.parametrize("threads", ["1", "3"])
    def test_another_process_of_any_threads(
        self, large: tuple[Network, np.ndarray], threads: str
    ) -> None:
        network, features = large
        names = [
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "NUMBA_NUM_THREADS",
        ]
        environment = os.environ | dict.fromkeys(names, threads)
        command = [sys.executable, "-c", ELSEWHERE, str(Path(__file__).parent)]
        actual = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()
        assert actual == hashlib.sha256(network.logits(features).tobytes()).hexdigest()


class TestLimits:
    @pytest.mark.parametrize(
        ("weights", "shifts"),
        [
            (np.zeros((2, MAX_INPUTS + 2), np.int8), [1, 1]),
            (np.zeros((2, 3), np.int8), [1, 0]),
            (np.zeros((2, 3), np.int8), [1, MAX_SHIFT + 1]),
            (np.array([[1, 2], [-128, 3]], np.int8), [1, 1]),
        ],
        ids=["inputs", "shift-0", "shift-21", "weight"],
    )
    def test_refused(self, weights: np.ndarray, shifts: list[int]) -> None:
        with pytest.raises(Corrupt, match="outside the limits of the format"):
            Layer(weights, np.array(shifts, np.uint8))

    def test_sums_stay_exact_in_float32(self) -> None:
        assert 255 * 127 * (MAX_INPUTS + 1) + 2 ** (MAX_SHIFT - 1) < 2**24

    def test_probe(self) -> None:
        probe()

    @pytest.mark.parametrize("bits", [2, 13])
    def test_probe_refuses_less_than_float32(
        self, monkeypatch: pytest.MonkeyPatch, bits: int
    ) -> None:
        def rounded(features: np.ndarray, *network: np.ndarray) -> None:
            widths, weights, offsets, out = network
            sums = (
                weights.reshape(widths[::-1]).astype(np.float64) @ features
                + offsets[:, None]
            )
            patterns = sums.astype(np.float32).view(np.uint32) & np.uint32(
                2**32 - 2**bits
            )
            out[:] = np.floor(patterns.view(np.float32))

        monkeypatch.setattr("flowtuple.lattice.network._propagate", rounded)
        with pytest.raises(Unsupported, match="not exact on this machine"):
            probe.__wrapped__()


DECODERS = [
    "lattice/network.py",
    "lattice/bins.py",
    "lattice/context.py",
    "lattice/grid.py",
    "lattice/flow.py",
    "lattice/lattice.py",
    "lattice/arithmetic.py",
    "lattice/prediction.py",
    "lattice/walk.py",
    "codec/chunk.py",
    "codec/coder.py",
    "codec/column.py",
    "codec/frequencies.py",
]
ENCODER_ONLY = {
    ("lattice/bins.py", "_equal_measure"): "places bins when a model is trained",
    ("codec/coder.py", "code_length"): "predicts a size",
    ("lattice/lattice.py", "_coarser"): "chooses a grid when a file is planned",
}
EXACT = {("lattice/arithmetic.py", ""): ["(-1.0) ** n"]}  # a sign
FORMULAS = ["lattice/arithmetic.py", "lattice/prediction.py"]
NUMPY = {  # exact, correctly rounded, or no arithmetic at all
    *("sqrt", "rint", "frexp", "ldexp", "abs", "clip", "factorial"),
    *("where", "full", "isnan", "isfinite", "isin"),
    *("nan", "int64", "int32", "float64", "dtype", "errstate", "iinfo"),
}
# either side gives the same logarithm but for rounding; a number of the file, compared exactly
FLOAT_COMPARISONS = {
    "mantissa < 0.7071067811865476",
    "self.terms[0].coefficient == 1.0",
}
_PLAIN = [
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "logaddexp",
    "logaddexp2",
    "pow",
    "power",
    "float_power",
]
_PLAIN += ["cbrt", "hypot", "erf", "erfc", "gamma", "lgamma", "atan2", "arctan2"]
LIBM = {
    *_PLAIN,
    *(
        f"{a}{f}{h}"
        for a in ("", "a", "arc")
        for f in ("sin", "cos", "tan")
        for h in ("", "h")
    ),
}


def libm_calls(source: str) -> dict[str, list[str]]:
    """For each outermost function (or class and method) the libm functions that it calls, and
    powers that are not 2**n.
    """
    actual: dict[str, list[str]] = {}

    def walk(node: ast.AST, where: str) -> None:
        for child in ast.iter_child_nodes(node):
            inside = (
                child.name
                if isinstance(child, ast.FunctionDef) and where in ("", "class")
                else where
            )
            name = child.func if isinstance(child, ast.Call) else None
            called = (
                name.attr
                if isinstance(name, ast.Attribute)
                else name.id
                if isinstance(name, ast.Name)
                else ""
            )
            if called in LIBM:
                actual.setdefault(inside, []).append(called)
            if isinstance(child, ast.BinOp) and isinstance(child.op, ast.Pow):
                base = child.left
                if not (
                    isinstance(base, ast.Constant)
                    and (isinstance(base.value, int) or base.value == 2.0)
                ):
                    actual.setdefault(inside, []).append(ast.unparse(child))
            walk(child, "class" if isinstance(child, ast.ClassDef) else inside)

    walk(ast.parse(source), "")
    return actual


class TestNoLibm:
    @pytest.mark.parametrize("file", DECODERS)
    def test_decoders_call_none(self, file: str) -> None:
        actual = libm_calls((SOURCE / file).read_text())
        assert {
            f: c
            for f, c in actual.items()
            if (file, f) not in ENCODER_ONLY and EXACT.get((file, f)) != c
        } == {}

    def test_what_is_allowed_is_used(self) -> None:
        for file, function in ENCODER_ONLY:
            assert function in libm_calls((SOURCE / file).read_text())
        for (file, function), calls in EXACT.items():
            assert libm_calls((SOURCE / file).read_text())[function] == calls

    @pytest.mark.parametrize(
        ("source", "actual"),
        [
            ("def f(x):\n    return np.exp(x)", {"f": ["exp"]}),
            (
                "class A:\n    def g(self, x):\n        return x ** 2.5",
                {"g": ["x ** 2.5"]},
            ),
            ("from math import log\ny = log(2)", {"": ["log"]}),
            ("def f(x):\n    return 10.0**x", {"f": ["10.0 ** x"]}),
            ("def f(x):\n    return 2**x + np.floor(x)", {}),
        ],
    )
    def test_the_search_finds(self, source: str, actual: dict[str, list[str]]) -> None:
        assert libm_calls(source) == actual


def numpy_names(source: str) -> set[str]:
    return {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("np", "math")
    }


def float_comparisons(source: str) -> set[str]:
    """Comparisons with a written float other than 0.0: near to one, machines that round otherwise
    would part ways.
    """
    return {
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Compare)
        and any(
            isinstance(c, ast.Constant) and isinstance(c.value, float) and c.value
            for c in [node.left, *node.comparators]
        )
    }


def reductions(source: str) -> set[str]:
    """Sums and products over arrays, which round in an order of their own; a matrix product is one."""
    actual = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            actual.add(ast.unparse(node))
        name = node.func if isinstance(node, ast.Call) else None
        called = (
            name.attr
            if isinstance(name, ast.Attribute)
            else name.id
            if isinstance(name, ast.Name)
            else ""
        )
        if called in {
            "sum",
            "prod",
            "mean",
            "dot",
            "einsum",
            "cumsum",
            "fsum",
            "inner",
            "trapezoid",
            "polyval",
        }:
            actual.add(called)
    return actual


class TestFormulas:
    """Floats that a decoder computes: basic operations value by value, which IEEE 754 rounds alike
    on every machine.
    """

    @pytest.mark.parametrize("file", FORMULAS)
    def test_only_exact_functions_of_numpy(self, file: str) -> None:
        assert numpy_names((SOURCE / file).read_text()) <= NUMPY

    @pytest.mark.parametrize("file", FORMULAS)
    def test_no_reductions(self, file: str) -> None:
        assert reductions((SOURCE / file).read_text()) == set()

    def test_comparisons_of_floats(self) -> None:
        assert (
            set().union(
                *(float_comparisons((SOURCE / file).read_text()) for file in FORMULAS)
            )
            == FLOAT_COMPARISONS
        )

    @pytest.mark.parametrize(
        ("search", "source", "actual"),
        [
            (numpy_names, "np.sqrt(x) + np.tanh(np.pi)", {"sqrt", "tanh", "pi"}),
            (numpy_names, "math.fma(x, y, z)", {"fma"}),
            (
                float_comparisons,
                "a = x < 0.5\nb = 1e-9 >= y\nc = x < 2\nd = z == 0.0",
                {"x < 0.5", "1e-09 >= y"},
            ),
            (
                reductions,
                "x.sum() + np.dot(a, b) + a @ b + len(x)",
                {"sum", "dot", "a @ b"},
            ),
        ],
        ids=["numpy", "math", "comparisons", "reductions"],
    )
    def test_the_searches_find(
        self, search: Callable[[str], set[str]], source: str, actual: set[str]
    ) -> None:
        assert search(source) == actual

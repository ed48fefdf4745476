"""Straight-line code from arithmetic: write a formula with Python numbers, get its assignments.

A `Term` stands for a number that is known only when the code runs. Arithmetic on terms writes one
line per operation; what is constant is folded, zeros and ones vanish, signs are carried without a
line, and an operation that was written before is not written again.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Term:
    """A variable of the code, or its negative."""

    trace: "Trace"
    name: str
    negative: bool = False

    def __neg__(self) -> "Term":
        return Term(self.trace, self.name, not self.negative)

    def __add__(self, other: "Number") -> "Number":
        return self.trace.add(self, other)

    def __radd__(self, other: float) -> "Number":
        return self.trace.add(self, other)

    def __sub__(self, other: "Number") -> "Number":
        return self.trace.add(self, -other)

    def __rsub__(self, other: float) -> "Number":
        return self.trace.add(-self, other)

    def __mul__(self, other: "Number") -> "Number":
        return self.trace.multiply(self, other)

    def __rmul__(self, other: float) -> "Number":
        return self.trace.multiply(self, other)


Number = Term | float


class Trace:
    """The lines written so far, their constants, and what each operation was called."""

    def __init__(self, prefix: str, real: str):
        """Names of constants begin with `prefix`; `real` is the numpy type of every number."""
        self.prefix, self.real = prefix, real
        self.lines: list[str] = []
        self.constants: dict[float, str] = {}
        self._written: dict[tuple, str] = {}

    def assign(self, expression: str) -> Term:
        """A term for any expression over the names of terms."""
        key = ("raw", expression)
        if key not in self._written:
            name = f"t{len(self._written)}"
            self._written[key] = name
            self.lines.append(f"{name} = {expression}")
        return Term(self, self._written[key])

    def text(self, number: Number) -> str:
        """The number as it stands in an expression."""
        if isinstance(number, Term):
            return f"(-{number.name})" if number.negative else number.name
        return self._constant(float(number))

    def add(self, a: Term, b: Number) -> Number:
        """The sum."""
        if not isinstance(b, Term):
            if b == 0:
                return a
            if a.negative:
                return self.assign(f"{self._constant(float(b))} - {a.name}")
            sign = "+" if b > 0 else "-"
            return self.assign(f"{a.name} {sign} {self._constant(abs(float(b)))}")
        if a.name == b.name and a.negative != b.negative:
            return 0.0
        if a.negative and b.negative:
            return -(Term(self, a.name) + Term(self, b.name))
        if a.negative or b.negative:
            plus, minus = (b, a) if a.negative else (a, b)
            return self.assign(f"{plus.name} - {minus.name}")
        first, second = sorted((a.name, b.name))
        return self.assign(f"{first} + {second}")

    def multiply(self, a: Term, b: Number) -> Number:
        """The product."""
        if not isinstance(b, Term):
            if b == 0:
                return 0.0
            if abs(b) == 1:
                return a if b > 0 else -a
            product = self.assign(f"{a.name} * {self._constant(abs(float(b)))}")
            return -product if a.negative != (b < 0) else product
        first, second = sorted((a.name, b.name))
        product = self.assign(f"{first} * {second}")
        return -product if a.negative != b.negative else product

    def sine_cosine(self, y: Number, reach: float) -> tuple[Number, Number]:
        """Sine and cosine for |y| ≤ reach, by polynomials: no branch and no library call."""
        if reach > _WHOLE_TURN_FROM:
            y, reach = self._within_half_a_turn(y, reach), np.pi
        halvings = int(np.ceil(np.log2(max(reach / _POLYNOMIAL_REACH, 1.0))))
        sine, cosine = _POLYNOMIALS[self.real]
        x = y * 0.5**halvings
        square = x * x
        s = x * self._polynomial(sine, square)
        c = self._polynomial(cosine, square)
        for _ in range(halvings):
            s, c = 2.0 * (s * c), 1.0 - 2.0 * (s * s)
        return s, c

    def _within_half_a_turn(self, y: Number, reach: float) -> Number:
        """The number less its whole turns; truncation rounds, because what it cuts is positive."""
        ample = int(np.ceil(reach / (2 * np.pi))) + 1
        count = self.text(y * (1 / (2 * np.pi)) + (ample + 0.5))
        turns = self.assign(f"{self.real}(np.int32({count}))") - float(ample)
        # In two parts, so that float32 subtracts whole turns without an error of its own.
        coarse = float(np.float32(2 * np.pi))
        return y - turns * coarse - turns * (2 * np.pi - coarse)

    def _polynomial(self, coefficients: np.ndarray, x: Number) -> Number:
        value: Number = float(coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            value = value * x + float(coefficient)
        return value

    def _constant(self, value: float) -> str:
        return self.constants.setdefault(value, f"{self.prefix}{len(self.constants)}")


def dot(a: list[Number], b: list[Number]) -> Number:
    """The inner product."""
    total: Number = 0.0
    for x, y in zip(a, b, strict=True):
        total = total + x * y
    return total


def cross(a: list[Number], b: list[Number]) -> list[Number]:
    """The cross product."""
    return [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]


_POLYNOMIAL_REACH = 1.75
_WHOLE_TURN_FROM = 3.5


def _fit(terms: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients in x² of sin(x)/x and cos(x), interpolated at Chebyshev points."""
    nodes = np.cos(np.pi * (np.arange(terms) + 0.5) / terms)
    square = 0.5 * _POLYNOMIAL_REACH**2 * (nodes + 1)
    x = np.sqrt(square)
    powers = np.vander(square, terms, increasing=True)
    return np.linalg.solve(powers, np.sin(x) / x), np.linalg.solve(powers, np.cos(x))


_POLYNOMIALS = {"np.float32": _fit(6), "np.float64": _fit(8)}

"""Seven landscapes of two coordinates: the foggy mountains on which optimizers can be watched.

Each function takes NumPy arrays (or floats) x and y of one shape. The gradients are written out, to be fast; the tests
hold them against the functions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from adamw_lab.suggest import did_you_mean

Gradient = Callable[[ArrayLike, ArrayLike], tuple[ArrayLike, ArrayLike]]


@dataclass(frozen=True)
class Landscape:
    """A loss of two coordinates.

    Attributes:
        title: its name for readers.
        formula: the loss, as LaTeX without dollars.
        value: x, y -> loss.
        gradient: x, y -> (dloss/dx, dloss/dy).
        domain: (x from, x to), (y from, y to): what is drawn, and nothing more: a descent may leave it.
        start: where descents begin.
        minima: the points of lowest loss.
        noise: standard deviation of the noise on each coordinate's gradient that belongs to the landscape.
    """

    title: str
    formula: str
    value: Callable[[ArrayLike, ArrayLike], ArrayLike]
    gradient: Gradient
    domain: tuple[tuple[float, float], tuple[float, float]]
    start: tuple[float, float]
    minima: tuple[tuple[float, float], ...]
    noise: float = 0.0

    @property
    def lowest(self) -> float:
        """The loss at the minima."""
        return float(self.value(*self.minima[0]))


CONDITION = 100.0
"""Curvature across the quadratic valleys by that along them, which is 1."""


def rosenbrock(x: ArrayLike, y: ArrayLike) -> ArrayLike:
    """Rosenbrock's bending valley (The Computer Journal 3, 1960): (1 - x)² + 100 (y - x²)², lowest at (1, 1)."""
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


def rosenbrock_gradient(x: ArrayLike, y: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """-2 (1 - x) - 400 x (y - x²),  200 (y - x²)."""
    across = y - x * x
    return -2 * (1 - x) - 400 * x * across, 200 * across


def rastrigin(x: ArrayLike, y: ArrayLike) -> ArrayLike:
    """Rastrigin's egg box: 20 + x² + y² - 10 cos 2πx - 10 cos 2πy; hollows near all whole numbers, lowest at (0, 0)."""
    return 20 + x * x + y * y - 10 * (np.cos(2 * np.pi * x) + np.cos(2 * np.pi * y))


def rastrigin_gradient(x: ArrayLike, y: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """2x + 20π sin 2πx,  2y + 20π sin 2πy."""
    return 2 * x + 20 * np.pi * np.sin(2 * np.pi * x), 2 * y + 20 * np.pi * np.sin(2 * np.pi * y)


def beale(x: ArrayLike, y: ArrayLike) -> ArrayLike:
    """Beale's plain among cliffs (1958): Σ (c_k - x + x yᵏ)², k = 1 to 3, c = 1.5, 2.25, 2.625; lowest at (3, 0.5)."""
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def beale_gradient(x: ArrayLike, y: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """With r_k = c_k - x + x yᵏ:  Σ 2 r_k (yᵏ - 1),  Σ 2 r_k k x yᵏ⁻¹."""
    y2, y3 = y * y, y * y * y
    r1, r2, r3 = 1.5 - x + x * y, 2.25 - x + x * y2, 2.625 - x + x * y3
    return (2 * (r1 * (y - 1) + r2 * (y2 - 1) + r3 * (y3 - 1)),
            2 * x * (r1 + 2 * r2 * y + 3 * r3 * y2))


def quadratic(x: ArrayLike, y: ArrayLike) -> ArrayLike:
    """An ill-conditioned quadratic: (x² + 100 y²) / 2, a long ditch along x; lowest at (0, 0)."""
    return (x * x + CONDITION * y * y) / 2


def quadratic_gradient(x: ArrayLike, y: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """x,  100 y."""
    return x, CONDITION * y


def tilted(x: ArrayLike, y: ArrayLike) -> ArrayLike:
    """The quadratic turned by 45°: ((x + y)² + 100 (y - x)²) / 4, along no axis; lowest at (0, 0)."""
    return ((x + y) ** 2 + CONDITION * (y - x) ** 2) / 4


def tilted_gradient(x: ArrayLike, y: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """((x + y) - 100 (y - x)) / 2,  ((x + y) + 100 (y - x)) / 2."""
    along, across = x + y, CONDITION * (y - x)
    return (along - across) / 2, (along + across) / 2


def saddle(x: ArrayLike, y: ArrayLike) -> ArrayLike:
    """A saddle at (0, 0) between two hollows: x² - y² + y⁴/4, lowest at (0, ±√2)."""
    return x * x - y * y + y**4 / 4


def saddle_gradient(x: ArrayLike, y: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """2x,  -2y + y³."""
    return 2 * x, -2 * y + y * y * y


def valley(x: ArrayLike, y: ArrayLike) -> ArrayLike:
    """A winding valley: x²/20 + 2 (y - sin x)², lowest at (0, 0); its gradients are noisy."""
    return x * x / 20 + 2 * (y - np.sin(x)) ** 2


def valley_gradient(x: ArrayLike, y: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """x/10 - 4 (y - sin x) cos x,  4 (y - sin x)."""
    across = 4 * (y - np.sin(x))
    return x / 10 - across * np.cos(x), across


_TURNED = (-2.4 * 2**0.5, -1.6 * 2**0.5)  # the quadratic's start, turned with it

LANDSCAPES: dict[str, Landscape] = {
    "quadratic": Landscape(
        "Ill-conditioned quadratic", r"\tfrac12\,(x^2 + 100\,y^2)", quadratic, quadratic_gradient,
        ((-4.5, 1.5), (-1.3, 1.3)), (-4.0, 0.8), ((0.0, 0.0),)),
    "rosenbrock": Landscape(
        "Rosenbrock", r"(1-x)^2 + 100\,(y-x^2)^2", rosenbrock, rosenbrock_gradient,
        ((-1.8, 1.8), (-0.8, 2.4)), (-1.2, 1.0), ((1.0, 1.0),)),
    "beale": Landscape(
        "Beale", r"\textstyle\sum_k (c_k - x + x\,y^k)^2", beale, beale_gradient,
        ((-2.0, 5.2), (-1.9, 2.2)), (0.7, 1.4), ((3.0, 0.5),)),
    "rastrigin": Landscape(
        "Rastrigin", r"20 + x^2 + y^2 - 10\cos 2\pi x - 10\cos 2\pi y", rastrigin, rastrigin_gradient,
        ((-3.4, 2.0), (-1.4, 4.0)), (-2.4, 1.6), ((0.0, 0.0),)),
    "saddle": Landscape(
        "Saddle", r"x^2 - y^2 + \tfrac14 y^4", saddle, saddle_gradient,
        ((-1.6, 1.6), (-2.1, 2.1)), (-1.3, 1e-3), ((0.0, 2**0.5), (0.0, -(2**0.5)))),
    "valley": Landscape(
        "Noisy valley", r"\tfrac1{20}x^2 + 2\,(y-\sin x)^2", valley, valley_gradient,
        ((-5.9, 2.9), (-2.2, 2.6)), (-4.5, 2.0), ((0.0, 0.0),), noise=1.0),
    "tilted": Landscape(
        "Tilted quadratic", r"\tfrac14\,((x+y)^2 + 100\,(y-x)^2)", tilted, tilted_gradient,
        ((-4.5, 1.5), (-4.0, 1.5)), _TURNED, ((0.0, 0.0),)),
}
"""name -> `Landscape`."""


def get_landscape(name: str | Landscape) -> Landscape:
    """The landscape of that name, or one of the reader's own as it is; ValueError for an unknown name."""
    if isinstance(name, Landscape):
        return name
    if name not in LANDSCAPES:
        raise ValueError(f"unknown landscape {name!r}; allowed: {', '.join(LANDSCAPES)}."
                         f"{did_you_mean(name, LANDSCAPES)}")
    return LANDSCAPES[name]

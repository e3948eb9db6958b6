"""Landscapes: their gradients are those of their functions, their minima are minima."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adamw_lab.landscapes import LANDSCAPES, Landscape, get_landscape

coordinate = st.floats(-3, 3)


@pytest.mark.parametrize("name", LANDSCAPES)
@given(x=coordinate, y=coordinate)
def test_the_gradient_is_the_derivative(name, x, y):
    place, h = LANDSCAPES[name], 1e-20
    # A step along the imaginary axis: exact to the last bits, as nothing is subtracted.
    expected = [place.value(x + 1j * h, y + 0j).imag / h, place.value(x + 0j, y + 1j * h).imag / h]
    np.testing.assert_allclose(place.gradient(x, y), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", LANDSCAPES)
def test_nothing_in_the_picture_is_lower_than_the_minima(name):
    place = LANDSCAPES[name]
    ground = place.value(*np.meshgrid(*(np.linspace(*ends, 201) for ends in place.domain)))
    for point in place.minima:
        assert place.value(*point) == pytest.approx(place.lowest, abs=1e-12)
        assert place.lowest <= ground.min() + 1e-12
        np.testing.assert_allclose(place.gradient(*point), 0, atol=1e-12)
    for point in (place.start, *place.minima):
        assert all(low < c < high for c, (low, high) in zip(point, place.domain, strict=True))


@given(x=coordinate, y=coordinate)
def test_the_tilted_quadratic_is_the_quadratic_turned(x, y):
    turned = (x - y) / 2**0.5, (x + y) / 2**0.5
    assert LANDSCAPES["tilted"].value(*turned) == pytest.approx(LANDSCAPES["quadratic"].value(x, y), abs=1e-9)


def test_their_starts_correspond():
    x, y = LANDSCAPES["quadratic"].start
    assert LANDSCAPES["tilted"].start == pytest.approx(((x - y) / 2**0.5, (x + y) / 2**0.5))


def test_by_name_or_by_itself():
    own = Landscape("Bowl", "x^2+y^2", lambda x, y: x * x + y * y, lambda x, y: (2 * x, 2 * y), ((-1, 1), (-1, 1)),
                    (1.0, 1.0), ((0.0, 0.0),))
    assert get_landscape(own) is own and get_landscape("beale") is LANDSCAPES["beale"]
    with pytest.raises(ValueError, match="unknown landscape 'rosenbrok'; allowed: .*Did you mean 'rosenbrock'"):
        get_landscape("rosenbrok")

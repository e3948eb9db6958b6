from hypothesis import given
from hypothesis import strategies as st

from adamw_lab.suggest import did_you_mean

NAMES = ("lenet5", "mlp", "resnet18", "resnet50")


def test_a_misspelt_name_finds_its_neighbour():
    assert did_you_mean("resnt18", NAMES) == " Did you mean 'resnet18'?"


def test_nothing_close_says_nothing():
    assert did_you_mean("transformer", NAMES) == ""
    assert did_you_mean("lenet", ()) == ""


def test_what_is_no_text_is_taken_as_text():
    assert did_you_mean(18, ("180", "x")) == " Did you mean '180'?"


@given(st.sampled_from(NAMES), st.integers(0, 3))
def test_one_letter_missing_is_always_recognized(name, place):
    misspelt = name[:place] + name[place + 1 :]
    assert did_you_mean(misspelt, NAMES).startswith(" Did you mean '")

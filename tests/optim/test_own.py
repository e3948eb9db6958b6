"""A reader's own optimizer by name: what is taken, what is refused, and when it counts as another rule."""

import re

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from adamw_lab.optim import OPTIMIZERS, build_optimizer, register
from adamw_lab.optim.own import code_digest, own_names
from adamw_lab.optim.registry import check_options


def made(arguments="params, lr=1e-3, weight_decay=0.0", body="pass", name="Mine"):
    """A class as a cell of a notebook makes it, each time anew."""
    source = f"""
class {name}(Optimizer):
    def __init__(self, {arguments}):
        super().__init__(params, dict(lr=lr, weight_decay=weight_decay))
    def step(self):
        {body}
"""
    space = {"Optimizer": Optimizer, "__name__": "__main__"}
    exec(source, space)
    return space[name]


def test_it_is_built_like_the_others(lion):
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    optimizer = build_optimizer("lion", model, lr=0.01, total_steps=10, weight_decay=0.1, betas=(0.8, 0.9))
    assert type(optimizer) is lion and own_names() == ["lion"] == list(OPTIMIZERS)[-1:]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert optimizer.defaults["betas"] == (0.8, 0.9) and optimizer.param_groups[0]["lr"] == 0.01
    before = model[0].weight.detach().clone()
    model(torch.ones(2, 3)).square().sum().backward()
    optimizer.step()
    torch.testing.assert_close((model[0].weight - before * 0.999).abs(), torch.full((3, 3), 0.01))


def test_its_options_are_checked(lion):
    with pytest.raises(ValueError, match="unknown option 'beta' of optimizer 'lion'; allowed: betas, weight_decay"):
        check_options("lion", {"beta": 0.9})
    with pytest.raises(ValueError, match="Invalid betas value: 0.9; allowed: 2 numbers"):
        check_options("lion", {"betas": 0.9})


def test_one_that_is_not_registered_is_refused_and_how_to_register_is_said():
    with pytest.raises(ValueError, match=r"unknown optimizer 'lion'; allowed: sgd.*optim\.register\('lion',"):
        build_optimizer("lion", [nn.Parameter(torch.ones(1))])


def test_a_cell_may_be_run_twice_and_the_newer_class_counts(fresh_names):
    register("mine", made())
    newer = made("params, lr=0.5, weight_decay=0.0")
    register("mine", newer)
    assert OPTIMIZERS["mine"].cls is newer and OPTIMIZERS["mine"].lr == 0.5
    with pytest.raises(ValueError, match=r"'mine' exists, and is __main__\.Mine; allowed for __main__\.Other"):
        register("mine", made(name="Other"))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_name_that_is_there_is_taken(name, fresh_names):
    before = OPTIMIZERS[name]
    for cls in (made(), before.cls):
        with pytest.raises(ValueError, match=f"optimizer '{name}' exists, and is .*; allowed for .*: another name"):
            register(name, cls)
    assert OPTIMIZERS[name] is before


@pytest.mark.parametrize(("name", "cls", "message"), [
    ("Mine", made(), "Invalid name of an optimizer: 'Mine'; allowed: lower-case letters, digits and underscores"),
    ("my one", made(), "Invalid name of an optimizer: 'my one'"), (3, made(), "Invalid name of an optimizer: 3"),
    ("mine", dict, "optimizer 'mine' cannot be <class 'dict'>; allowed: a subclass of torch.optim.Optimizer"),
    ("mine", torch.optim.SGD([nn.Parameter(torch.ones(1))]), "optimizer 'mine' cannot be SGD"),
    ("mine", made("params, lr, weight_decay=0.0"), "Mine needs an argument 'lr' whose default is a number, such as"),
    ("mine", made("params, lr=1e-3"), "Mine needs an argument 'weight_decay' whose default is a number"),
    ("mine", made("params, rank, lr=1e-3, weight_decay=0.0"), "argument 'rank' of Mine has no default; allowed"),
    ("mine", made("params, lr=1e-3, weight_decay=0.0, total_steps=None"), "needs an argument min_lr, where it ends"),
])
def test_bad_input_names_what_is_allowed(name, cls, message, fresh_names):
    with pytest.raises(ValueError, match=re.escape(message)):
        register(name, cls)
    assert not own_names()


def test_the_digest_is_of_what_the_code_does(fresh_names):
    def digest(**change):
        register("mine", made(**change))
        return code_digest("mine")

    same = digest()
    assert digest() == same and re.fullmatch("[0-9a-f]{16}", same)
    changes = [{"body": "self.x = 1"}, {"body": "self.x = 2"}, {"body": "self.y = 1"},
               {"arguments": "params, lr=1e-2, weight_decay=0.0"}, {"body": "self.x = [i for i in (1, 2)]"}]
    assert len({same, *(digest(**change) for change in changes)}) == 6
    assert code_digest("adamw") is None


def test_the_digest_is_that_of_the_classes_beneath_too(lion):
    register("mine", type("Mine", (lion,), {}))
    try:
        assert code_digest("mine") == code_digest("lion") is not None
        register("mine", type("Mine", (lion,), {"step": lambda self: None}))
        assert code_digest("mine") != code_digest("lion")
    finally:
        del OPTIMIZERS["mine"]


def test_the_first_step_does_not_change_the_digest(lion):
    """torch wraps a class's step when the first instance is made."""
    before = code_digest("lion")
    p = nn.Parameter(torch.ones(2))
    p.grad = torch.ones(2)
    lion([p]).step()
    assert code_digest("lion") == before

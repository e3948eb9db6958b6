"""The note's project's way to prune, by masks of a byte a weight."""

import torch
from torch import nn

from adamw_lab.bench.byte_masks import ByteMasks


def test_pruned_weights_stay_zero_and_the_rest_are_adamws():
    torch.manual_seed(0)
    p, twin = nn.Parameter(torch.randn(40, 5)), None
    twin = nn.Parameter(p.detach().clone())
    optimizer, free = torch.optim.AdamW([p]), torch.optim.AdamW([twin])
    masks = ByteMasks(optimizer, [p])
    for step in range(4):
        p.grad = torch.randn(40, 5)
        twin.grad = p.grad.clone()
        optimizer.step()
        free.step()
        if step == 1:
            masks.update(0.5)
    assert int((p == 0).sum()) == 100 and int(masks.masks[0].sum()) == 100
    kept = masks.masks[0]
    torch.testing.assert_close(p[kept], twin[kept], rtol=0, atol=0)
    assert masks.masks[0].nbytes == p.numel()

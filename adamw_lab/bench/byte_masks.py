"""Pruning by masks of a byte a weight, as the project of the note does it (github.com/mcgrof/AdamWPrune)."""

import torch
from torch import Tensor
from torch.optim import Optimizer


class ByteMasks:
    """Bool masks, True where a weight is kept, that an optimizer's hooks multiply into gradients and weights.

    Before every step gradient *= mask, after it weight *= mask, each by way of a copy of the mask in the weight's
    dtype; so the note's project does it.

    Args:
        optimizer: one with Adam's states; its steps are hooked.
        weights: the parameters to prune; a mask of ones each, to begin with.
    """

    def __init__(self, optimizer: Optimizer, weights: list[Tensor]) -> None:
        self.optimizer, self.weights = optimizer, weights
        self.masks = [torch.ones_like(p, dtype=torch.bool) for p in weights]
        optimizer.register_step_pre_hook(self._before_step)
        optimizer.register_step_post_hook(self._after_step)

    @torch.no_grad()
    def update(self, sparsity: float) -> None:
        """Prune the share `sparsity` of lowest |w m| |w| / (sqrt(v) + eps), all scores joined in one tensor."""
        scores = []
        for p in self.weights:
            state = self.optimizer.state[p]
            scores.append((p * state["exp_avg"]).abs() * p.abs() / (state["exp_avg_sq"].sqrt() + 1e-8))
        joined = torch.cat([score.flatten() for score in scores])
        threshold = torch.kthvalue(joined, max(1, int(sparsity * joined.numel()))).values
        for p, mask, score in zip(self.weights, self.masks, scores, strict=True):
            mask.copy_(score > threshold)
            p.mul_(mask.to(p.dtype))

    def state_dict(self) -> dict[str, dict[int, dict[str, Tensor]]]:
        """The masks, in the form in which the lab's pruners tell their state."""
        return {"state": {i: {"mask": mask} for i, mask in enumerate(self.masks)}}

    @torch.no_grad()
    def _before_step(self, *_: object) -> None:
        for p, mask in zip(self.weights, self.masks, strict=True):
            if p.grad is not None:
                p.grad.mul_(mask.to(p.grad.dtype))

    @torch.no_grad()
    def _after_step(self, *_: object) -> None:
        for p, mask in zip(self.weights, self.masks, strict=True):
            p.mul_(mask.to(p.dtype))

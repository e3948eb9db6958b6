"""Set-up that must come before any test module is imported."""

import os

import torch

# Triton decides at import whether to interpret its kernels: without a GPU that is how ours is tested.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

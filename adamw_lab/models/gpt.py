"""A small causal transformer: tokens [N, T] to logits [N, T, vocabulary]."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GPT(nn.Module):
    """GPT-2's decoder (Radford et al., 2019): normalization before each part, learned positions, GELU, no dropout.

    Weights begin normal with deviation 0.02, those that end a residual branch with 0.02 / sqrt(2 layers). Input and
    output embeddings are not shared.

    Args:
        vocabulary: number of tokens.
        context: longest sequence.
        layers: blocks (default 4).
        width: of the residual stream (default 128); a multiple of heads.
        heads: of the attention (default 4).

    Raises:
        ValueError: heads does not divide width.
    """

    def __init__(self, vocabulary: int, context: int, layers: int = 4, width: int = 128, heads: int = 4) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"Invalid heads value: {heads!r}; allowed: a divisor of width {width}")
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        for name, p in self.named_parameters():
            if p.ndim >= 2:
                last = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * layers) if last else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return self.head(self.norm(self.blocks(self.tokens(tokens) + self.positions(places))))


class Block(nn.Module):
    """Causal attention and a two-layer network, each beside a residual connection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(n, t, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))

"""The gated attention unit over keypoints.

Parameters are named as in DeepLabCut 3, so that its weights fit without renaming.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPS = 1e-5


class ScaleNorm(nn.Module):
    """Vectors scaled to a root mean square of ``g``, one learned number (Nguyen and Salazar 2019)."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.scale = length**-0.5
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """(..., length) -> same shape."""
        rms = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * self.scale
        normed: Tensor = x / rms.clamp(min=_EPS) * self.g
        return normed


class Scale(nn.Module):
    """A learned factor for each entry of a vector."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(length))

    def forward(self, x: Tensor) -> Tensor:
        """(..., length) -> same shape."""
        return x * self.scale


class GatedAttention(nn.Module):
    """Gated attention unit (Hua et al., "Transformer Quality in Linear Time", 2022) as in RTMPose (Jiang et
    al. 2023): one head, weights relu(q k / sqrt(s))^2 instead of a softmax, no position encoding.

    Args:
        length: of the vectors.
        attention: s, length of queries and keys.
        expansion: e / length, where e is the width of gate and values.
    """

    def __init__(self, length: int, attention: int, expansion: int) -> None:
        super().__init__()
        width = length * expansion
        self.sizes = [width, width, attention]
        self.ln = ScaleNorm(length)
        self.uv = nn.Linear(length, sum(self.sizes), bias=False)
        self.gamma = nn.Parameter(torch.empty(2, attention))
        self.beta = nn.Parameter(torch.zeros(2, attention))
        self.o = nn.Linear(width, length, bias=False)
        self.res_scale = Scale(length)
        nn.init.xavier_uniform_(self.uv.weight)
        # Queries and keys start alike: a keypoint attends to itself and to those that look like it, with a
        # weight of 1 or 2 whatever the number of keypoints; and the unit starts close to the identity.
        nn.init.normal_(self.gamma, mean=1.0, std=0.1)
        nn.init.normal_(self.o.weight, std=0.1 * width**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, K, length) -> same shape."""
        gate, value, base = torch.split(F.silu(self.uv(self.ln(tokens))), self.sizes, dim=-1)
        query, key = (base[:, :, None] * self.gamma + self.beta).unbind(2)
        # Not normalised, unlike a softmax: a keypoint may attend to none.
        weight = F.relu(query @ key.transpose(1, 2) * self.sizes[2] ** -0.5).square()
        attended: Tensor = self.res_scale(tokens) + self.o(gate * (weight @ value))
        return attended

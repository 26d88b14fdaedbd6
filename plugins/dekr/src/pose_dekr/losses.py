"""The losses that DEKR is trained with, by output. No torch.

They are components of pose-heatmap (``pose_heatmap.losses``); which of them, and with which weights, is said
here, and can be said anew in a model's YAML (``losses:`` of the head).
"""

from __future__ import annotations

from typing import Any

HEATMAP = "heatmap"
OFFSET = "offset"

DEKR_LOSSES: dict[str, dict[str, Any]] = {
    HEATMAP: {"type": "heatmap/mse"},
    # Smooth L1 with beta 1/9, in cells and weighted by 1 / sqrt(area of the animal): Geng et al. 2021,
    # section 3.4. The weights by area are those of the targets.
    OFFSET: {"type": "heatmap/smooth_l1", "beta": 1 / 9, "weight": 0.5},
}

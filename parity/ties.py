"""The original's side: outputs whose decoding hangs on rounding."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F

MARGIN = 1e-3
"""How much higher than all others the highest cell must be, as a fraction of the largest value of the map: a
random network has near-ties, which rounding would decide either way. Other images are drawn until there are
none. Of offsets, how far keypoints must be from where they would be read in another cell (cells), or be
another animal (pixels)."""


def unambiguous(outputs: Mapping[str, Mapping[str, torch.Tensor]], animals: int) -> bool:
    """Whether keypoints come out the same if the outputs change by a rounding error.

    Args:
        outputs: by head and name, of heads whose keypoints are compared.
        animals: of the project.
    """
    for maps in outputs.values():
        if "offset" in maps:
            if not _centres_clear(maps["heatmap"][0, -1], maps["offset"][0], animals):
                return False
            continue
        for name, value in maps.items():
            if name == "locref":
                continue
            high = value.flatten(0, 1).flatten(1).topk(2, dim=1).values
            if bool((high[:, 0] - high[:, 1] < MARGIN * value.abs().max()).any()):
                return False
    return True


def clear_keypoints(maps: Mapping[str, torch.Tensor], margin: float) -> torch.Tensor:
    """Which of the K keypoints come out the same if the outputs change by a rounding error, (K,).

    Args:
        maps: outputs of one image, (1, K, ...) each, by name; offsets to pixels are not looked at.
        margin: how much higher than all others the highest cell must be, as a fraction of the largest value of all.
    """
    clear = []
    for name, value in maps.items():
        if name != "locref":
            high = value[0].flatten(1).topk(2, dim=1).values
            clear.append(high[:, 0] - high[:, 1] >= margin * value.abs().max())
    return torch.stack(clear).all(0)


def _centres_clear(centres: torch.Tensor, offsets: torch.Tensor, animals: int) -> bool:
    """The same for DEKR: which cells are centres, where heat is read, which poses are duplicates."""
    least = MARGIN * float(centres.abs().max())
    squares = F.unfold(F.pad(centres, (2, 2, 2, 2), value=-1e6)[None, None], 5)[0]
    first, second = squares.topk(2, dim=0).values
    high = centres.flatten()
    # Cells that are the highest of their square, or nearly.
    rivals = (high >= first - least).nonzero()[:, 0]
    rivals = rivals[high[rivals].argsort(descending=True)][: animals + 1]
    if len(rivals) <= animals or bool((high[rivals[:-1]] - high[rivals[1:]] < least).any()):
        return False
    found = rivals[:animals]
    # Those that are not above 0 are no animals here.
    if bool((high[found] < least).any()) or bool((first[found] - second[found] < least).any()):
        return False
    width = centres.shape[1]
    cells = torch.stack([found % width, found // width], dim=1)[:, None]
    poses = cells - offsets.flatten(1)[:, found].T.reshape(animals, -1, 2)
    if bool(((poses - poses.round()).abs() < MARGIN).any()):
        return False
    diagonals = (poses.amax(1) - poses.amin(1)).norm(dim=-1)
    distances = (poses[:, None] - poses[None]).norm(dim=-1)
    edge = 0.05 * diagonals
    near = (distances - edge[:, None, None]).abs() < MARGIN, (distances - edge[None, :, None]).abs() < MARGIN
    return not bool((near[0] | near[1]).any())

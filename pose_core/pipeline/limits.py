"""Keep the best animals of each frame."""

from __future__ import annotations

from dataclasses import replace

from pose_core.interfaces import Predictions


def keep_best(found: Predictions, most: int | None) -> Predictions:
    """Keep the animals with the highest scores of each image, in the order that they have.

    Args:
        found: animals of images.
        most: to be kept; None: all.
    """
    if most is None or found.scores.shape[1] <= most:
        return found
    # In their own order: where heads put individuals at places, they stay in line.
    kept = found.scores.argsort(dim=1, descending=True, stable=True)[:, :most].sort(dim=1).values
    return replace(
        found,
        keypoints=found.keypoints.gather(1, kept[..., None, None].expand(-1, -1, *found.keypoints.shape[2:])),
        keypoint_scores=found.keypoint_scores.gather(
            1, kept[..., None].expand(-1, -1, found.keypoint_scores.shape[2])
        ),
        scores=found.scores.gather(1, kept),
        identity=found.identity.gather(1, kept),
        identity_scores=found.identity_scores.gather(
            1, kept[..., None].expand(-1, -1, found.identity_scores.shape[2])
        ),
    )

"""Poses of some frames -> refined ones, each in a crop around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pose_core.interfaces import CropNetwork, FrameGroup, Predictions


class Refiner:
    """Shows a network crops together with the poses that they are about.

    Args:
        network: of a conditional top-down model, as it sees crops.
        threshold: keypoints of initial poses with a lower score are not shown to it.
    """

    def __init__(self, network: CropNetwork, threshold: float) -> None:
        self._network = network
        self._threshold = threshold

    def refine(self, group: FrameGroup, initial: Predictions) -> Predictions:
        """The refined poses, each in the place of the initial one.

        An animal without a keypoint that scores at least the threshold gets no pose.

        Args:
            group: the frames.
            initial: in pixels of the frames.
        """
        doubtful = initial.keypoint_scores < self._threshold
        initial = replace(
            initial,
            keypoints=initial.keypoints.masked_fill(doubtful[..., None], torch.nan),
            keypoint_scores=initial.keypoint_scores.masked_fill(doubtful, 0.0),
        )
        points = initial.keypoints.cpu().numpy()
        rows, animals = np.nonzero((initial.scores.cpu().numpy() > 0) & np.isfinite(points).all(-1).any(-1))
        at = torch.from_numpy(rows).to(group.device), torch.from_numpy(animals).to(group.device)
        boxes = self._network.boxes_around(points[rows, animals])
        pictures = group.pictures
        poses = self._network.predict([pictures[row] for row in rows.tolist()], boxes, initial.select(*at))
        refined = poses.arrange(*at, (points.shape[0], points.shape[1]))
        # Keypoints that exist once a frame are known to the source of the initial poses; so is who an animal
        # is, unless the network that refines them has a head for that.
        knows = refined.identity_scores.any(-1, keepdim=True)
        return replace(
            initial,
            keypoints=refined.keypoints,
            keypoint_scores=refined.keypoint_scores,
            scores=refined.scores,
            identity_scores=torch.where(knows, refined.identity_scores, initial.identity_scores),
        )

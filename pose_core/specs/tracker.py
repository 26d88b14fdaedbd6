"""Base of the configs of trackers."""

from __future__ import annotations

from pose_core.specs.component_config import ComponentConfig


class TrackerConfig(ComponentConfig):
    """Base of the configs of trackers."""

    def needs(self) -> tuple[str, ...]:
        """List what predictions must hold: ``keypoints``, ``scores``, ``boxes``, ``identities``; and ``images``.

        The core refuses predictions in which no animal has it. A tracker that needs images is given that of each
        frame with animals, which takes as long as decoding the video.
        """
        return ()

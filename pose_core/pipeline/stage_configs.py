"""Configure the core's own stages. No torch."""

from __future__ import annotations

from pose_core.specs import StageConfig


class WholeFrameConfig(StageConfig):
    """One network that sees the whole frame."""


class CropsConfig(StageConfig):
    """A network that sees a crop around each box."""

    def needs(self) -> tuple[str, ...]:
        """Boxes."""
        return ("boxes",)

    def can_do_without(self, follow: bool) -> tuple[str, ...]:
        """Boxes, where it follows an animal."""
        # It then starts from the pose of the frame before, and looks for a lost animal in the whole frame.
        return ("boxes",) if follow else ()


class BoxesConfig(StageConfig):
    """A source of boxes."""

    def gives(self) -> tuple[str, ...]:
        """Boxes."""
        return ("boxes",)

"""Choose the part of frames that is predicted.

By default that is the crop of the project that the run was trained on, which counts for videos: the labelled
images of such a project were cut out by it already. What the caller says counts for every source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pose_core.errors import ConfigError, argument
from pose_core.pipeline.sources import FrameSource
from pose_core.specs.run import DataSpec
from pose_core.structures import Region

NONE = "none"
"""What a caller says to have whole frames."""

_METAVAR = "X1,X2,Y1,Y2"

GivenCrop = Sequence[int] | str | None
"""``X1,X2,Y1,Y2`` as text or as four numbers; ``none``; None: as the run says."""


@dataclass(frozen=True)
class Crop:
    """What is said of the part of frames to look at.

    Attributes:
        given: by the caller, for every source.
        own: the data of the run, whose crop counts for videos where the caller says nothing; None for whole
            frames.
    """

    given: Region | None
    own: DataSpec | None

    @classmethod
    def of(cls, given: GivenCrop, data: DataSpec) -> Crop:
        """Take what the caller says before what the run says.

        Raises:
            ConfigError: it is no region.
        """
        if given is None:
            return cls(None, data)
        if isinstance(given, str) and given.strip().lower() == NONE:
            return cls(None, None)
        return cls(_parse(given), None)

    def of_source(self, source: FrameSource, name: str) -> Region | None:
        """Choose for one source; None for whole frames.

        Args:
            source: to be predicted.
            name: what messages call it.

        Raises:
            ConfigError: its frames are smaller than that.
        """
        if self.given is not None:
            for what, size in source.sizes():
                if not self.given.lies_in(*size):
                    raise ConfigError(
                        f"{argument('crop', _write(self.given))}: lies outside of {what or name}, which has "
                        f"{size[0]} x {size[1]} pixels"
                    )
            return self.given
        if self.own is None or source.video is None:
            return None
        info = source.info
        crop = self.own.video_crops.get(source.video.name)
        # Tools note the whole frame beside every video, which says less than the crop of the project.
        if crop is None or crop.is_whole(info.width, info.height):
            crop = self.own.crop
        if crop is None or crop.is_whole(info.width, info.height):
            return None
        if not crop.lies_in(info.width, info.height):
            raise ConfigError(
                f"{name}: has {info.width} x {info.height} pixels, and the project of the run crops videos to "
                f"{crop}; say which part with {argument('crop', _METAVAR)}, or {argument('crop', NONE)} for "
                "whole frames"
            )
        return crop


def _parse(given: Sequence[int] | str) -> Region:
    parts = given.split(",") if isinstance(given, str) else list(given)
    try:
        numbers = [int(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) == 4:
        region = Region(*numbers)
        if 0 <= region.x1 < region.x2 and 0 <= region.y1 < region.y2:
            return region
    raise ConfigError(
        f"{argument('crop', given if isinstance(given, str) else str(list(given)))}: must be {_METAVAR}, whole "
        f"pixels from 0 with X1 < X2 and Y1 < Y2, or {NONE}"
    )


def _write(region: Region) -> str:
    return ",".join(map(str, region))

"""Choose the part, or the parts, of frames that are predicted.

By default that is the crop of the project that the run was trained on, which counts for videos: the labelled
images of such a project were cut out by it already. What the caller says counts for every source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pose_core.errors import ConfigError, argument
from pose_core.pipeline.sources import FrameSource
from pose_core.specs.data import DataSpec
from pose_core.structures import Region

NONE = "none"
"""What a caller says to have whole frames."""

_METAVAR = "X1,Y1,X2,Y2"

GivenRegion = Sequence[int] | Sequence[str] | Mapping[str, Sequence[int] | str] | str | None
"""``X1,Y1,X2,Y2`` as text or as four numbers; several by name, as a mapping or as texts ``NAME=X1,Y1,X2,Y2``;
``none``; None: as the run says."""

WHOLE: Mapping[str, Region | None] = {"": None}


@dataclass(frozen=True)
class Regions:
    """What is said of the parts of frames to look at.

    Attributes:
        given: by the caller, for every source, by name; the only one may have the empty name. None: nothing.
        own: the data of the run, whose crop counts for videos where the caller says nothing; None for whole
            frames.
    """

    given: Mapping[str, Region] = field(default_factory=dict)
    own: DataSpec | None = None

    @classmethod
    def of(cls, given: GivenRegion, data: DataSpec) -> Regions:
        """Take what the caller says before what the run says.

        Raises:
            ConfigError: it is no region, or several have no or the same name.
        """
        if given is None or (isinstance(given, Sequence | Mapping) and not given):
            return cls(own=data)
        if isinstance(given, Mapping):
            return cls({_check_name(str(name)): _parse(region) for name, region in given.items()})
        if isinstance(given, Region):
            return cls({"": _parse(given)})
        texts = [given] if isinstance(given, str) else list(given)
        if [text.strip().lower() if isinstance(text, str) else "" for text in texts] == [NONE]:
            return cls()
        if not all(isinstance(text, str) for text in texts):
            return cls({"": _parse(given)})
        regions: dict[str, Region] = {}
        for text in map(str, texts):
            before, equals, after = text.rpartition("=")
            name = _check_name(before.strip()) if equals else ""
            if name in regions:
                several = (
                    f"{name!r} is given twice" if name else f"of several each needs a name: NAME={_METAVAR}"
                )
                raise ConfigError(f"{argument('region', text)}: {several}")
            regions[name] = _parse(after)
        if len(regions) > 1 and "" in regions:
            raise ConfigError(f"{argument('region')}: of several each needs a name: NAME={_METAVAR}")
        return cls(regions)

    def of_source(self, source: FrameSource, name: str) -> Mapping[str, Region | None]:
        """Choose for one source: regions by name, None for whole frames.

        Args:
            source: to be predicted.
            name: what messages call it.

        Raises:
            ConfigError: its frames are smaller than that.
        """
        for region in self.given.values():
            for what, size in source.sizes():
                if not region.lies_in(*size):
                    raise ConfigError(
                        f"{argument('region', _write(region))}: lies outside of {what or name}, which has "
                        f"{size[0]} x {size[1]} pixels"
                    )
        if self.given:
            return dict(self.given)
        if self.own is None or source.video is None:
            return WHOLE
        info = source.info
        crop = self.own.video_crops.get(source.video.name)
        # Tools note the whole frame beside every video, which says less than the crop of the project.
        if crop is None or crop.is_whole(info.width, info.height):
            crop = self.own.crop
        if crop is None or crop.is_whole(info.width, info.height):
            return WHOLE
        if not crop.lies_in(info.width, info.height):
            raise ConfigError(
                f"{name}: has {info.width} x {info.height} pixels, and the project of the run crops videos to "
                f"{crop}; say which part with {argument('region', _METAVAR)}, or {argument('region', NONE)} for "
                "whole frames"
            )
        return {"": crop}

    def only_of_source(self, source: FrameSource, name: str) -> Region | None:
        """Choose the only one for a source; as :meth:`of_source`.

        Raises:
            ConfigError: there are several, which only results in files have room for.
        """
        regions = self.of_source(source, name)
        if len(regions) > 1:
            raise ConfigError(
                f"{argument('region')}: {', '.join(regions)} are several, each with a result of its own; load the "
                "model once for each, or predict into files"
            )
        return next(iter(regions.values()))


def _check_name(name: str) -> str:
    # It becomes part of a file's name.
    if not re.fullmatch(r"\w[\w-]*", name):
        raise ConfigError(
            f"{argument('region')}: the name {name!r} must be of letters, digits, '_' and '-', since files are "
            "called by it"
        )
    return name


def _parse(given: object) -> Region:
    if isinstance(given, Region):
        # Its fields have another order than boxes do, as projects write crops.
        given = (given.x1, given.y1, given.x2, given.y2)
    parts = given.split(",") if isinstance(given, str) else list(given) if isinstance(given, Sequence) else []
    try:
        numbers = [int(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) == 4:
        x1, y1, x2, y2 = numbers
        if 0 <= x1 < x2 and 0 <= y1 < y2:
            return Region(x1, x2, y1, y2)
    shown = given if isinstance(given, str) else str(parts or given)
    raise ConfigError(
        f"{argument('region', shown)}: must be {_METAVAR}, whole pixels from 0 with X1 < X2 and Y1 < Y2, or {NONE}"
    )


def _write(region: Region) -> str:
    return f"{region.x1},{region.y1},{region.x2},{region.y2}"

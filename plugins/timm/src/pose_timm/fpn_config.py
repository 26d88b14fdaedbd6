"""Config of the feature pyramid. No torch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pydantic import Field, PositiveInt

from pose_core.specs import Feature, NeckConfig


class FPNConfig(NeckConfig):
    """A light top-down pathway (Lin et al. 2017): each map becomes one of few channels by a 1 x 1 convolution,
    the coarser ones are doubled and added, and a 3 x 3 convolution follows at the finest."""

    channels: PositiveInt = Field(128, description="Channels of the pathway and of what comes out.")
    stride: PositiveInt | None = Field(
        None, description="Of the output map, one of those that come in; null: the finest from 4 on."
    )

    def chosen(self, features: Sequence[Feature]) -> int:
        """Return which incoming map has the stride of the output.

        Raises:
            ValueError: none has, or the maps are no pyramid.
        """
        if any(feature.tokens for feature in features):
            raise ValueError("a pyramid needs feature maps, and these are keypoint tokens; remove the neck")
        strides = [feature.stride for feature in features]
        if any(coarse % fine for fine, coarse in itertools.pairwise(strides)):
            raise ValueError(f"strides {strides} do not divide one another; use another neck")
        wanted = self.stride or next((s for s in strides if s >= 4), strides[-1])
        if wanted not in strides:
            raise ValueError(
                f"stride: there is no map of stride {wanted}; there are {', '.join(map(str, strides))}"
            )
        return strides.index(wanted)

    def features(self, features: Sequence[Feature]) -> tuple[Feature, ...]:
        """Return one map of the stride, which lies where the incoming one does."""
        finest = features[self.chosen(features)]
        return (Feature(self.channels, finest.stride, offset=finest.offset),)

"""Base of heads that make maps of one feature map."""

from __future__ import annotations

from functools import partial

from pose_core.interfaces import BuildContext, Grid, Head
from pose_core.maps.grid import deconv_grid
from pose_core.maps.layers import Deconvolutions
from pose_core.specs import DeconvolutionHeadConfig


class MapsHead(Head):
    """Base of the heads that make maps of one feature map by transposed convolutions.

    A subclass makes its layers with ``make_maps(outputs, bias=...)``, a :class:`Deconvolutions` each, and
    then sets its codec.

    Attributes:
        feature: index of the feature map that is used.
        grid: of the maps.
        make_maps: makes the layers of so many maps on the feature map.
    """

    def __init__(self, config: DeconvolutionHeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.feature = config.chosen_feature(context.features)
        feature = context.features[self.feature]
        layers = config.layers_on(feature)
        grid = deconv_grid(Grid.of(feature), layers, config.deconv_kernel, config.deconv_padding)
        self.grid = grid.with_offset(config.grid_offset)
        self.make_maps = partial(
            Deconvolutions,
            feature.channels,
            layers=layers,
            hidden=config.deconv_channels,
            kernel=config.deconv_kernel,
            padding=config.deconv_padding,
        )

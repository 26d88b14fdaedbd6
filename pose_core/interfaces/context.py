"""Tell a part, when it is built, about its surroundings: skeleton, features, grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pose_core.specs import ComponentConfig, Feature
from pose_core.structures import Skeleton


@dataclass(frozen=True)
class Grid:
    """Places of an output's cells in the network's input.

    Cell i has its centre at pixel ``i * stride + offset`` of the input image (the centre of the top-left
    pixel is 0). The same rule holds for both axes. Target generator and predictor of a head share one grid,
    so that encoding and decoding cannot disagree. A 1-D output with two bins a pixel is a grid of stride 0.5.

    Attributes:
        stride: pixels a cell.
        offset: pixel at the centre of cell 0.
    """

    stride: float
    offset: float

    @classmethod
    def cells(cls, stride: float) -> Grid:
        """Cells that tile the pixels: cell 0 covers the first ``stride`` pixels."""
        # The middle of pixels 0 to stride - 1; (stride / 2 would be right only if pixel 0 had its centre at
        # 0.5).
        return cls(stride=stride, offset=(stride - 1) / 2)

    @classmethod
    def of(cls, feature: Feature) -> Grid:
        """Cells of a feature map, as its config declares them."""
        return cls.cells(feature.stride).with_offset(feature.offset)

    def with_offset(self, offset: float | None) -> Grid:
        """This grid with its cell 0 centred at another pixel; None leaves it as it is."""
        return self if offset is None else replace(self, offset=offset)

    def to_pixels(self, cells: Tensor) -> Tensor:
        """Cell coordinates -> pixels of the network's input."""
        return cells * self.stride + self.offset

    def to_cells(self, pixels: Tensor) -> Tensor:
        """Pixels of the network's input -> (fractional) cell coordinates."""
        return (pixels - self.offset) / self.stride

    def centres(self, count: int, device: torch.device | str = "cpu") -> Tensor:
        """Pixel positions of the first ``count`` cell centres, (count,) float32."""
        return torch.arange(count, dtype=torch.float32, device=device) * self.stride + self.offset


@dataclass(frozen=True)
class BuildContext:
    """Surroundings of a network part, given to its factory beside the config.

    Attributes:
        skeleton: keypoints, edges and individuals the model is made for.
        features: the feature maps that arrive (empty for a backbone).
        input_size: (height, width) of the network's input where it is fixed, else None.
        pretrained: whether pretrained weights named in the config may be fetched; False when weights of a run
            are loaded right after building.
        key: of a backbone: where its config stands in the configuration, for messages.
    """

    skeleton: Skeleton
    features: tuple[Feature, ...] = ()
    input_size: tuple[int, int] | None = None
    pretrained: bool = False
    key: str = "model.backbone"

    def within(self, field: str) -> BuildContext:
        """The same context for a backbone that this one's config holds in a field."""
        return replace(self, key=f"{self.key}.{field}")

    def with_features(self, features: tuple[Feature, ...]) -> BuildContext:
        """The same context for a part that gets these features."""
        return replace(self, features=features)

    # Any: what comes out is of the interface of the kind, which is known by its name only.
    def build(self, kind: str, config: ComponentConfig, *arguments: Any) -> Any:
        """Make a component that a config names, as a head does with its losses.

        Called as ``factory(config, context, *arguments)``.

        Raises:
            PluginError: the plugin's factory does not exist.
        """
        # Here, so that tests and tools can make a context without looking for plugins.
        from pose_core.catalog import get_catalog

        return get_catalog().component(kind, config.type).factory()(config, self, *arguments)

"""Config of the networks of timm. No torch for the networks of the presets."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, PositiveInt, field_validator
from pydantic_core import PydanticCustomError

from pose_core.specs import BackboneConfig, Feature, FrozenNorms, Pretrained

FINEST = 4
"""Stride of the finest map that is used by default: finer ones cost much and tell little."""

Maps = tuple[tuple[int, int], ...]
"""Channels and stride of each feature map, from fine to coarse."""

KNOWN: dict[str, Maps] = {
    "efficientnet_b0": ((16, 2), (24, 4), (40, 8), (112, 16), (320, 32)),
    "tf_efficientnet_lite0": ((16, 2), (24, 4), (40, 8), (112, 16), (320, 32)),
    "tf_efficientnet_lite1": ((16, 2), (24, 4), (40, 8), (112, 16), (320, 32)),
    "tf_efficientnet_lite2": ((16, 2), (24, 4), (48, 8), (120, 16), (352, 32)),
}
"""Of the networks of the presets, so that listing these imports no torch; timm tells those of all others."""


class TimmConfig(BackboneConfig):
    """A network of timm (Wightman 2019) that gives feature maps of several strides: convolutional or
    hierarchical."""

    name: str = Field(
        "efficientnet_b0",
        description="Of the network, as timm.list_models() lists it; NAME.TAG chooses among its weights.",
    )
    strides: tuple[PositiveInt, ...] | None = Field(
        None,
        description="Strides of the output maps, from fine to coarse; null: all from 4 on. Later stages are "
        "not built.",
    )
    pretrained: Pretrained = "auto"
    freeze_bn: FrozenNorms = False

    @classmethod
    def example(cls) -> Mapping[str, object]:
        """Return the settings of a small network."""
        return {"name": "tf_efficientnet_lite0", "strides": [4, 8], "pretrained": False}

    @field_validator("strides")
    @classmethod
    def _check_order(cls, strides: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if strides is not None and (not strides or list(strides) != sorted(set(strides))):
            raise PydanticCustomError(
                "strides", "must be different strides from fine to coarse, such as [4, 8]"
            )
        return strides

    def architecture(self) -> str:
        """Return the name without the tag of its weights."""
        return self.name.partition(".")[0]

    def maps(self) -> Maps:
        """Return channels and stride of all maps of the network.

        Raises:
            ValueError: timm has no such network, or one that gives no maps of several strides.
        """
        if (known := KNOWN.get(self.architecture())) is not None:
            return known
        # timm imports torch, which a listing does without.
        from pose_timm.ask import ask_maps

        return ask_maps(self.architecture())

    def indices(self) -> tuple[int, ...]:
        """Return which of the maps are used.

        Raises:
            ValueError: as of :meth:`maps`, or there is no map of such a stride.
        """
        strides = [stride for _, stride in self.maps()]
        if self.strides is None:
            return tuple(i for i, stride in enumerate(strides) if stride >= FINEST)
        if unknown := [stride for stride in self.strides if stride not in strides]:
            raise ValueError(
                f"strides: {self.name} has no map of stride {unknown[0]}; it has {', '.join(map(str, strides))}"
            )
        return tuple(strides.index(stride) for stride in self.strides)

    def features(self) -> tuple[Feature, ...]:
        """Return the maps of ``strides``."""
        maps = self.maps()
        # With TensorFlow's padding of even sides a 3 x 3 cell of stride 2 is centred on the second of its two
        # pixels, and so is a 5 x 5 cell; after n such layers the shift is 2^n - 1.
        shifted = self.architecture().startswith("tf_")
        return tuple(
            Feature(channels, stride, offset=float(stride - 1) if shifted else None)
            for channels, stride in (maps[i] for i in self.indices())
        )

    def size_multiple(self) -> int:
        """Return the stride of the coarsest map that is computed."""
        return max(stride for _, stride in self.maps()[: max(self.indices()) + 1])

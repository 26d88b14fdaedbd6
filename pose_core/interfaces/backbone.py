"""Backbone: image -> feature maps.

A backbone may be built around another one that it names in its config
(``context.within("backbone").build(...)``). Where the one within offers *insert points*
(``config.insert_points()``), the one around it may read or change the feature maps that pass there, by
handing functions to its ``forward``::

    def forward(self, images, **extra):
        attend = lambda maps: [self.attention(x) for x in maps]
        return self.backbone(images, inserts={"stage2": attend})

So attention between the stages, or features of early stages, need no copy of the network, and its pretrained
weights, frozen norms and settings stay its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, Self

from torch import Tensor, nn

# Private in torch, but the only base that batch norms of all dimensions and the synchronised ones share.
from torch.nn.modules.batchnorm import _BatchNorm

from pose_core.interfaces.context import BuildContext
from pose_core.interfaces.keypoints import KeypointAxis
from pose_core.specs import BackboneConfig

Insert = Callable[[list[Tensor]], list[Tensor]]
"""Gets the feature maps that pass an insert point, and returns those that go on: as many, of the same
shapes."""

Inserts = Mapping[str, Insert]
"""Inserts by the name of their insert point."""

NO_INSERTS: Inserts = MappingProxyType({})


def insert(inserts: Inserts, point: str, maps: list[Tensor]) -> list[Tensor]:
    """Pass feature maps through what is inserted at a point.

    Args:
        inserts: as ``forward`` got them.
        point: one of ``config.insert_points()``.
        maps: (B, C, h, w) each, from fine to coarse.
    """
    return inserts[point](maps) if point in inserts else maps


class Backbone(nn.Module, ABC):
    """Image -> one feature map for each entry of ``config.features()``.

    A backbone that needs more than the image declares the names in ``config.extra_inputs()`` and takes them
    by keyword. One that has ``config.insert_points()`` takes ``inserts: Inserts = NO_INSERTS`` by keyword,
    too, and calls :func:`insert` at each point, in their order.
    """

    def __init__(self, config: BackboneConfig, context: BuildContext) -> None:
        super().__init__()
        self._frozen_norms = False

    def freeze_norms(self, frozen: Literal["statistics"] | bool) -> None:
        """Keep the batch norms as they are; to be called when all layers are made.

        Args:
            frozen: True: statistics and parameters; ``"statistics"``: the statistics only; False: nothing is
                kept.
        """
        # Kept, since every call of train() would put the norms back into training mode.
        self._frozen_norms = bool(frozen)
        for norm in self._batch_norms() if frozen else ():
            norm.eval()
            if frozen is True:
                norm.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Training mode; batch norms with frozen statistics stay in evaluation mode."""
        super().train(mode)
        if self._frozen_norms:
            for norm in self._batch_norms():
                norm.eval()
        return self

    def _batch_norms(self) -> list[nn.Module]:
        # Looked up anew each time: on several GPUs they are replaced by synchronised ones after construction.
        return [module for module in self.modules() if isinstance(module, _BatchNorm)]

    def keypoint_axes(self) -> Mapping[str, Sequence[KeypointAxis]]:
        """As of a head, see :meth:`pose_core.interfaces.Head.keypoint_axes`; for a backbone that takes
        keypoints in."""
        return {}

    def stage_parts(self) -> Sequence[Sequence[str]]:
        """Name the parts of each stage, the stage that sees the image first.

        ``train.optimizer.layer_decay`` lets earlier stages learn more slowly by this order; without it, it is
        refused.

        Returns:
            for each stage the names of its modules or parameters, as in ``named_parameters()``:
            ``(("stem", "layer1"), ("layer2",))``.
        """
        return ()

    @abstractmethod
    def forward(self, images: Tensor, **extra: Any) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32, normalised; H and W multiples of ``config.size_multiple()``.
            extra: the declared extra inputs, tensors; and ``inserts``, where there are insert points.

        Returns:
            feature maps (B, C, h, w) in the order, channels and strides of ``config.features()``.
        """

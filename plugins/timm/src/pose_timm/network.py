"""The networks of timm."""

from __future__ import annotations

import itertools
from typing import Any

from torch import Tensor

from pose_core.interfaces import Backbone, BuildContext, load_timm
from pose_timm.ask import make, run
from pose_timm.config import TimmConfig
from pose_timm.packaged import find_packaged, read_packaged


class Timm(Backbone):
    """A network of timm (Wightman 2019); its parameters are under ``model``, as timm names them.

    Raises:
        ConfigError: there are no published weights of it.
        DownloadError: the pretrained weights that the config insists on cannot be had.
        WeightsError: their file is damaged or of another network.
    """

    def __init__(self, config: TimmConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        # Its parts are timm's; nn.Module types them as tensors.
        model: Any = make(config.architecture())
        self.indices = config.indices()
        model.prune_intermediate_layers(list(self.indices), prune_norm=True, prune_head=True)
        if context.pretrained and config.pretrained:
            if (path := find_packaged(config.name)) is not None:
                model.load_state_dict(read_packaged(path, model.state_dict()))
            else:
                option = f"{context.key}.pretrained"
                required = config.pretrained is True
                # Any beginning: whatever the file holds beyond the maps that are used is left out.
                load_timm(model, config.name, required=required, classifier=("",), option=option)
        self.model = model
        self.freeze_norms(config.freeze_bn)

    def stage_parts(self) -> tuple[tuple[str, ...], ...]:
        """What leads to each map that timm names, as far as its parameters lie there."""
        return _order_stages(self.model)

    def forward(self, images: Tensor, **extra: Tensor) -> list[Tensor]:
        """Args:
            images: (B, 3, H, W) float32, H and W multiples of the coarsest stride.

        Returns:
            a feature map (B, C, H / stride, W / stride) for each of ``strides``.
        """
        return run(self.model, images, self.indices)


def _order_stages(model: Any) -> tuple[tuple[str, ...], ...]:
    """Group the parameters, which stand in the order of the network, by the map that they lead to."""
    names = [name for name, _ in model.named_parameters()]
    info = model.feature_info
    ends = [str(f["module"]) for f in getattr(info, "info", info)]
    # Where the last parameter of the module that makes each map stands; an activation has none.
    last = [max((i for i, n in enumerate(names) if n.startswith(f"{end}.")), default=-1) for end in ends]
    borders = sorted({place for place in last if place >= 0})[:-1]
    edges = [0, *(place + 1 for place in borders), len(names)]
    return tuple(tuple(f"model.{name}" for name in names[a:b]) for a, b in itertools.pairwise(edges))

from collections.abc import Iterable

from pose_core.hooks import BackbonePreset, hookimpl


@hookimpl
def pose_backbones() -> Iterable[BackbonePreset]:
    yield BackbonePreset(
        "toy_small",
        family="toy",
        backbone={"type": "toy/toy", "channels": 16},
        summary="Toy with 16 channels",
        spec={"train": {"optimizer": {"base_lr": 3e-3}}},  # what it wants in any model
        overrides={"top_down": {"train": {"batch_size": 32}}},  # and in models of one method
    )

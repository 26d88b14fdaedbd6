from collections.abc import Iterable

from pose_core.hooks import ModelPreset, hookimpl


@hookimpl
def pose_models() -> Iterable[ModelPreset]:
    yield ModelPreset(
        "toy_whole",
        method="single_animal",
        family="toy",
        summary="Backbone and head that belong together",
        spec={"model": {"backbone": {"type": "toy/toy"}, "heads": {"keypoints": {"type": "toy/toy"}}}},
    )

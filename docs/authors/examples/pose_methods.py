from collections.abc import Iterable

from pose_core.hooks import MethodSpec, hookimpl


@hookimpl
def pose_methods() -> Iterable[MethodSpec]:
    yield MethodSpec(
        "toy_tiles",
        "several animals: a large frame is looked at in tiles, whose animals are merged",
        view="frame",
        animals="several",
        heads="several",
        stages={"tiles": {"type": "toy/tiles", "overlap": 64}},
    )

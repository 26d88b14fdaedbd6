from collections.abc import Iterable

from pose_core.hooks import FormerName, hookimpl


@hookimpl
def pose_former_names() -> Iterable[FormerName]:
    # "no model 'ToyNet-S' is installed; in Toy 1 that is toy_small here"
    yield FormerName("ToyNet-S", "model", now=("toy_small",), of="Toy 1")

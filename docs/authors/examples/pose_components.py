from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, hookimpl


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "backbone",
        "toy",  # toy/toy in full
        config="pose_toy.config:ToyConfig",  # strings: nothing is imported before it is used
        factory="pose_toy.network:Toy",
        summary="One line for 'pose show'",
    )

from collections.abc import Iterable

from pose_core.hooks import Kind, hookimpl


@hookimpl
def pose_kinds() -> Iterable[Kind]:
    yield Kind(
        "smoother",  # toy/smoother in full, by which other plugins contribute to it
        "a track -> a smoother one",
        config="pose_toy.config:SmootherConfig",  # base of the configs of all smoothers
        interface="pose_toy.smoother:Smoother",
        checks=("pose_toy.smoother_checks",),  # its CHECKS run in 'pose check' of whoever offers a smoother
    )

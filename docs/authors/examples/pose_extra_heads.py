from collections.abc import Iterable

from pose_core.hooks import ExtraHead, hookimpl


@hookimpl
def pose_extra_heads() -> Iterable[ExtraHead]:
    yield ExtraHead(
        "corners",
        needs="unique_keypoints",
        head={"type": "toy/corners"},
        methods=("single_animal", "bottom_up"),
        summary="keypoints that exist once a frame",
    )

from collections.abc import Iterable

from pose_core.hooks import ModelRecipe, hookimpl


@hookimpl
def pose_recipes() -> Iterable[ModelRecipe]:
    yield ModelRecipe(
        "{backbone}_toy",
        "single_animal",
        "{backbone}; the toy's head",
        {"model": {"heads": {"keypoints": {"type": "toy/toy"}}}},
    )

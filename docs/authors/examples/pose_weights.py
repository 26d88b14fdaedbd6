from collections.abc import Iterable

from pose_core.hooks import WeightSpec, hookimpl


@hookimpl
def pose_weights() -> Iterable[WeightSpec]:
    yield WeightSpec(
        "toy_small_mice",
        model="toy/toy_small",
        url="https://example.org/toy_small_mice.safetensors",
        sha256="9f86d081884c7d65",
        license="CC-BY-4.0",
        source="1000 images of mice, by a laboratory",
    )

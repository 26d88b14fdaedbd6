from collections.abc import Iterable

from pose_core.hooks import ZooNetwork, hookimpl


@hookimpl
def pose_zoo() -> Iterable[ZooNetwork]:
    # 'pose predict toy_mice/small VIDEO' downloads it once
    yield ZooNetwork(
        "toy_mice",
        "small",
        url="https://example.org/toy_mice_small/weights.safetensors",
        license="CC-BY-4.0",
        source="1000 images of mice, by a laboratory",
        description_file="pose_toy:zoo/small.yaml",
        keypoints=("nose", "tail_base"),
    )

"""PyTorch computes a large batch on a CPU a few images at a time; what it finds is the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_detector import make_detector
from torch import Tensor, nn

from pose_core.catalog import get_catalog
from pose_core.model import microbatches
from pose_core.model.detector import DetectorModel
from pose_core.model.microbatches import PIXELS, split_batch
from pose_core.model.runner import make_pixels
from pose_core.runs.run_folder import Run
from pose_core.specs import DetectorRunSpec
from tests.helpers.calibrated import build_calibrated
from tests.test_every_model import key, spec_of


@given(st.integers(0, 100), st.integers(1, 3000), st.integers(1, 3000))
def test_each_image_is_in_one_of_the_fewest_parts_that_are_small_enough(
    count: int, height: int, width: int
) -> None:
    parts = split_batch(torch.empty(1, dtype=torch.uint8).expand(count, 3, height, width))
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(count))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 1 or max(sizes) * height * width <= PIXELS
    # One part less would be too large.
    fewer = len(parts) - 1
    assert not fewer or -(-count // fewer) * height * width > PIXELS


def test_a_gpu_is_given_the_whole_batch() -> None:
    assert split_batch(torch.empty(64, 3, 480, 640, device="meta")) == [slice(0, 64)]


class Watch:
    """Counts the images that a network is given."""

    def __init__(self, network: nn.Module) -> None:
        self.images: list[int] = []
        network.register_forward_pre_hook(lambda module, inputs: self.images.append(len(inputs[0])))


@pytest.mark.parametrize(
    ("method", "name"), [("single_animal", "unet"), ("conditional_top_down", "ctd_prenet_rtmpose_s")]
)
def test_pose_networks_find_the_same(method: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_calibrated(spec_of(next(m for m in get_catalog().models() if key(m) == (method, name))))
    images, *extra = make_pixels(network, 5)
    named = dict(zip(network.inputs, extra, strict=True))
    watch = Watch(network)
    with torch.inference_mode():
        wanted = network.compute_by_pytorch(images, named)
        monkeypatch.setattr(microbatches, "PIXELS", 2 * images[0, 0].numel())
        found = network.compute_by_pytorch(images, named)
    assert watch.images == [5, 2, 1, 2]
    for head, tensors in wanted.items():
        assert list(found[head]) == list(tensors)
        for output, tensor in tensors.items():
            torch.testing.assert_close(found[head][output], tensor, rtol=1e-4, atol=1e-5)


def test_detectors_find_the_same_where_parts_differ_in_their_number_of_boxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector: DetectorModel = Run.open(make_detector(tmp_path / "run"), DetectorRunSpec).load_model()
    images = torch.randint(
        0, 256, (5, 3, 128, 160), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    images[:2] = 0
    watch = Watch(detector.network)
    wanted = detector.predict(images)
    monkeypatch.setattr(microbatches, "PIXELS", 2 * 128 * 160)
    found = detector.predict(images)
    assert watch.images == [5, 2, 1, 2]
    counts = (found[1] > 0).sum(1).tolist()
    assert len({max(counts[:2]), counts[2], max(counts[3:])}) == 3
    assert_boxes(found, wanted)


def assert_boxes(found: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> None:
    torch.testing.assert_close(found[1], wanted[1], rtol=0, atol=1e-4)
    torch.testing.assert_close(found[0], wanted[0], rtol=0, atol=0.01, equal_nan=True)

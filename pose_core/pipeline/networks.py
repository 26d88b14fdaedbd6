"""The networks of a pipeline: what a runtime is given, where it keeps files, what the networks are given."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pose_core.catalog import get_catalog
from pose_core.io.downloads import get_cache_folder
from pose_core.model.assemble import Compute, Outputs, PoseModel
from pose_core.model.detector import ComputeBoxes, DetectorModel
from pose_core.model.weights import file_hash
from pose_core.runs.run_folder import Run
from pose_core.specs import DetectorRunSpec, RunSpec, RuntimeConfig

Tensors = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class RunNetwork:
    """A pose network that was loaded for a pipeline.

    Attributes:
        run: that it is of.
        model: the network; several pipelines do not share one.
    """

    run: Run[RunSpec]
    model: PoseModel

    def describe(self) -> dict[str, object]:
        """Describe what decides what it computes: weights and configuration."""
        return {
            "weights": file_hash(self.run.weights_file),
            "network": self.run.spec.model_dump(mode="json", include={"skeleton", "model"}),
        }


@dataclass(frozen=True, eq=False)
class RunDetector:
    """A detector that was loaded for a pipeline.

    Attributes:
        run: that it is of.
        model: the network; several pipelines do not share one.
    """

    run: Run[DetectorRunSpec]
    model: DetectorModel

    def describe(self) -> dict[str, object]:
        """Describe what decides what it computes: weights and configuration."""
        return {
            "weights": file_hash(self.run.weights_file),
            "network": self.run.spec.model_dump(mode="json", include={"network"}),
        }


AnyNetwork = RunNetwork | RunDetector


def choose_cache(network: AnyNetwork, config: RuntimeConfig, precision: int = 32) -> Path:
    """Name the folder in the user's cache for what a runtime makes of the network of a run.

    Not in the run: that may be read-only, or on a disk that several machines share.
    """
    component = get_catalog().component("runtime", config.type)
    content = {
        **network.describe(),
        "runtime": config.model_dump(mode="json"),
        "device": network.model.device.type,
        # Code of the same version that was changed is found out by comparing the results.
        "versions": _list_versions([component.plugin.distribution]),
        **({} if precision == 32 else {"precision": precision}),
    }
    return get_cache_folder() / "runtimes" / f"{component.name}-{_hash(content)}"


def choose_record(networks: Sequence[AnyNetwork]) -> Path:
    """Name the file in the user's cache for what was measured of the runtimes of some networks, on this machine."""
    distributions = {component.plugin.distribution for component in get_catalog().components("runtime")}
    content = {
        "networks": [network.describe() for network in networks],
        "versions": _list_versions(sorted(distributions)),
        # A cache may lie on a disk that several machines share.
        "machine": [platform.node(), platform.machine(), torch.get_num_threads()],
    }
    return get_cache_folder() / "runtimes" / f"measured-{_hash(content)}.json"


def _list_versions(distributions: Sequence[str]) -> list[str]:
    # The core has a version of its own, and its runtime is in it.
    names = dict.fromkeys(("pose-core", *distributions))
    return [torch.__version__, *(importlib.metadata.version(name) for name in names)]


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def save_computes(networks: Sequence[AnyNetwork]) -> Callable[[], None]:
    """Remember what computes networks; returns what puts it back."""
    poses = [
        (network.model, network.model.compute) for network in networks if isinstance(network, RunNetwork)
    ]
    boxes = [
        (network.model, network.model.compute) for network in networks if isinstance(network, RunDetector)
    ]

    def put_back() -> None:
        for model, compute in poses:
            model.compute = compute
        for detector, find in boxes:
            detector.compute = find

    return put_back


@contextmanager
def record_inputs(networks: Sequence[AnyNetwork], keep: Callable[[int, Tensors], None]) -> Iterator[None]:
    """Hand over what networks are given while PyTorch computes them.

    Args:
        networks: of one pipeline.
        keep: gets the place of a network, and the tensors: the images (B, 3, H, W) uint8, then extra inputs in
            their order.
    """
    put_back = save_computes(networks)
    for place, network in enumerate(networks):
        if isinstance(network, RunNetwork):
            network.model.compute = _make_recorder(network.model, place, keep)
        else:
            network.model.compute = _make_box_recorder(network.model, place, keep)
    try:
        yield
    finally:
        put_back()


def compute_again(network: AnyNetwork, tensors: Tensors) -> None:
    """Compute a network once more as predictions do, by what computes it now; for its time.

    Args:
        network: of a pipeline.
        tensors: that :func:`record_inputs` handed over.
    """
    images, *rest = tensors
    if isinstance(network, RunDetector):
        network.model.predict(images)
        return
    compute = network.model.compute or network.model.compute_by_pytorch
    compute(images, dict(zip(network.model.inputs, rest, strict=True)))


def _make_recorder(model: PoseModel, place: int, keep: Callable[[int, Tensors], None]) -> Compute:
    def compute(images: Tensor, extra: Mapping[str, Tensor]) -> Outputs:
        keep(place, (images, *(extra[name] for name in model.inputs)))
        return model.compute_by_pytorch(images, extra)

    return compute


def _make_box_recorder(
    model: DetectorModel, place: int, keep: Callable[[int, Tensors], None]
) -> ComputeBoxes:
    def compute(images: Tensor) -> tuple[Tensor, Tensor]:
        keep(place, (images,))
        return model.find_by_pytorch(images)

    return compute

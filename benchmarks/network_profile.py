"""Where the time of a network goes under ONNX Runtime: by kind of operation, and how fast convolutions are.

    python benchmarks/network_profile.py RUN [--size 640x480] [--images 8] [--threads 2]

Exports the network as ``pose predict --runtime onnxruntime`` does, computes random images under the profiler of ONNX
Runtime, and sums by kind: convolutions by kernel (1 x 1, larger, depthwise) with the multiplications that they reach,
everything else with the bytes that it moves at least.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime  # type: ignore[import-untyped]
import torch
from pose_onnxruntime.export import export

from pose_core.model.runner import PlainNetwork
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec

REPETITIONS = 5


@dataclass
class Kind:
    """Sums over the operations of a kind, a repetition.

    Attributes:
        microseconds: by the clock.
        flops: of multiplications and additions; 0 of what is no convolution.
        count: operations.
    """

    microseconds: float = 0.0
    flops: float = 0.0
    count: int = 0


def find_kind(node: Any, weights: dict[str, tuple[int, ...]]) -> tuple[str, tuple[int, ...] | None]:
    """Find the kind of a node of the graph, and the shape of its kernel."""
    if node.op_type not in ("Conv", "FusedConv", "ConvTranspose"):
        return node.op_type, None
    shape = weights[node.input[1]]
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    if groups > 1:
        return "depthwise convolution" if shape[1] == 1 else "grouped convolution", shape
    return ("1 x 1 convolution" if shape[2:] == (1, 1) else "larger convolution"), shape


def profile(run: Run[RunSpec], width: int, height: int, images: int, threads: int) -> dict[str, Kind]:
    """Sum a run's network by kind of operation."""
    network = PlainNetwork(run.load_model()).eval()
    example = (torch.rand(images, 3, height, width),)
    with tempfile.TemporaryDirectory() as temporary, torch.inference_mode():
        file, optimised = Path(temporary) / "network.onnx", Path(temporary) / "optimised.onnx"
        export(network, example, network.inputs, file, fixed_size=False, refusal=str(run.path), advice="")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(temporary) / "profile")
        options.optimized_model_filepath = str(optimised)
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        feed = {session.get_inputs()[0].name: example[0].numpy()}
        for _ in range(REPETITIONS + 1):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        graph = onnx.load(optimised).graph
    weights = {value.name: tuple(value.dims) for value in graph.initializer}
    kinds = {node.name: find_kind(node, weights) for node in graph.node}
    sums: dict[str, Kind] = defaultdict(Kind)
    seen: dict[str, int] = defaultdict(int)
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        name = event["name"].removesuffix("_kernel_time")
        seen[name] += 1
        # Memory is claimed in the first one.
        if seen[name] == 1:
            continue
        kind, kernel = kinds.get(name, (event["args"]["op_name"], None))
        found = sums[kind]
        found.microseconds += event["dur"] / REPETITIONS
        found.count += seen[name] == 2
        if kernel is not None:
            (shape,) = event["args"]["output_type_shape"][0].values()
            found.flops += 2 * math.prod(shape) * math.prod(kernel[1:]) / REPETITIONS
    return dict(sums)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--size", default="640x480", help="width x height of what the network sees")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    run = Run.open(options.run, RunSpec)
    kinds = profile(run, width, height, options.images, options.threads)
    total = sum(kind.microseconds for kind in kinds.values())
    print(f"{total / 1000 / options.images:.1f} ms an image\n")
    print("| kind | operations | of the time | GFLOP | GFLOP/s |\n|---|--:|--:|--:|--:|")
    for name, kind in sorted(kinds.items(), key=lambda item: -item[1].microseconds):
        if kind.microseconds < 0.005 * total:
            continue
        speed = f"{kind.flops / kind.microseconds / 1e3:.0f}" if kind.flops else ""
        amount = f"{kind.flops / 1e9 / options.images:.2f}" if kind.flops else ""
        print(f"| {name} | {kind.count} | {100 * kind.microseconds / total:.0f} % | {amount} | {speed} |")


if __name__ == "__main__":
    main()

"""Export a detector: its file, a contract, an example with its answer, and the proof that boxes agree."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import torch

from pose_core.data.samples import detector_view
from pose_core.errors import DataError, argument
from pose_core.escapes import escape_text
from pose_core.exporting.box_proof import find_boxes, move_boxes, prove_boxes
from pose_core.exporting.contract import FORMAT, VERSION, describe_image, describe_origin, describe_view
from pose_core.exporting.views import SeenView, find_images, make_frames
from pose_core.exporting.writing import (
    CONTRACT,
    EXAMPLE,
    PROOF,
    STEM,
    describe_source,
    hash_files,
    round_values,
    write_json,
    write_network,
    write_png,
)
from pose_core.interfaces import Exporter, ExporterContext
from pose_core.model.exported_detector import BOXES, make_exported_detector
from pose_core.pipeline.detector_boxes import clip_corners, take_off
from pose_core.reporting import Reporter
from pose_core.runs.run_folder import Run
from pose_core.specs import DetectorRunSpec

_IMAGES = 100

_EXCESS = (
    "boxes become smaller by it on each side, in pixels of the frame, and end at the edges of the frame, unless crops "
    "have a fixed extent"
)

_MEANINGS = {
    "boxes": "x1, y1, x2, y2 of each box in pixels of the input, the highest score first; NaN: no box in this row",
    "scores": "how certain each box is, from 0 to 1; 0: there is none in this row",
}


def describe_refusal(run: Run[DetectorRunSpec]) -> str:
    """Say why a detector is in no file."""
    return f"detector {run.name}: offers no form that files can hold"


def write_detector(
    run: Run[DetectorRunSpec],
    exporter: Exporter,
    exporter_name: str,
    folder: Path,
    data: Path | None,
    reporter: Reporter,
) -> bool:
    """Write the export of a detector, proven on validation images of its run.

    Returns:
        False where it offers no form that files can hold; nothing is written then.

    Raises:
        ConfigError: the exporter cannot write it.
        DataError: an image cannot be read, or there is none.
        PluginError: the file finds other boxes.
    """
    network = make_exported_detector(run.load_model("cpu"))
    if network is None:
        return False
    model = network.model
    source = find_images(run, data, _IMAGES)
    if source.why:
        reporter.note(
            f"note: {run.name} is proven on drawn pictures, for its validation images are not at hand: {source.why}"
        )
    views = make_frames(run, source, model.size_multiple)
    first = next(views, None)
    if first is None:
        raise DataError(
            f"{run.path}: has no validation image to prove anything with; give other {argument('data')}"
        )
    working = f"exporting {run.name}"
    reporter.progress(working, 0.0, None)
    path = folder / f"{STEM}{exporter.suffix}"
    height, width = first.picture.shape[:2]
    # Default boxes are laid out for one size; of a detector that takes any, it is that of the first image.
    example = tuple(network.make_example(height, width))
    context = ExporterContext(
        network=network,
        inputs=network.inputs,
        outputs=network.outputs,
        example=example,
        fixed_size=True,
        size_multiple=model.size_multiple,
        name=run.name,
    )
    written = write_network(exporter, context, path)
    what = f"exporter {exporter_name.rpartition('/')[2]}: {run.name}"
    proof = prove_boxes(network, exporter.open(path), chain([first], views), what)
    if not proof.differences:
        reporter.note(
            f"note: {run.name} finds nothing in these pictures, and neither does the file: no box was compared"
        )
    if proof.left_out:
        reporter.note(
            f"note: the file takes images of one size only, and {len(proof.left_out)} of "
            f"{len(proof.left_out) + proof.views} pictures are none of them"
        )
    with torch.inference_mode():
        boxes, _ = network(*example)
    shapes = {"boxes": [None, boxes.shape[1], 4], "scores": [None, boxes.shape[1]]}
    axes = {"boxes": ["batch", "box", "corners"], "scores": ["batch", "box"]}
    config = model.config
    contract = {
        "format": FORMAT,
        "version": VERSION,
        "exporter": exporter_name,
        "finds": "boxes",
        "network": {
            "file": path.name,
            "files": hash_files(folder),
            "needs": dict(written.needs),
            "inputs": [describe_image(height, width, model.size_multiple, fixed=True)],
            "outputs": [
                {
                    "name": name,
                    "dtype": "float32",
                    "axes": axes[name],
                    "shape": shapes[name],
                    "meaning": _MEANINGS[name],
                }
                for name in BOXES
            ],
            "normalisation": "inside",
            "decoding": "inside",
        },
        "view": describe_view(detector_view(config), model.size_multiple),
        "use": {"threshold": config.threshold, "excess": config.excess},
        "stages": [],
        "outside": [
            "resizing: frames are resized and padded as 'view' says, and boxes return through its inverse",
            f"excess: {_EXCESS}",
        ],
        "origin": describe_origin(run),
    }
    _write_example(folder / EXAMPLE, first, find_boxes(network, first), config.excess)
    write_json(folder / CONTRACT, contract)
    write_json(folder / PROOF, {"images": describe_source(source), **proof.to_json()})
    reporter.progress(working, 1.0, 1.0)
    return True


def _write_example(folder: Path, view: SeenView, found: torch.Tensor, excess: float) -> None:
    """Write an image, what the detector sees of it, and what it answers.

    Args:
        folder: of the example.
        view: of the image.
        found: (N, 5) boxes in pixels of the picture, and their scores.
        excess: that is taken off.
    """
    folder.mkdir()
    write_png(folder / "frame.png", view.frame)
    write_png(folder / "input.png", view.picture)
    corners = move_boxes(found, view).reshape(1, -1, 2, 2)
    height, width = view.frame.shape[:2]
    moved = clip_corners(take_off(corners, excess), width, height).reshape(-1, 4)

    def join(boxes: torch.Tensor) -> list[list[float]]:
        return [
            [*round_values(box), float(score)] for box, score in zip(boxes.tolist(), found[:, 4], strict=True)
        ]

    frame: dict[str, Any] = {
        "file": "frame.png",
        "name": escape_text(view.name),
        "to_frame": [[float(value) for value in row] for row in view.to_frame],
        "boxes": join(moved),
    }
    about = (
        "frame: the boxes that prediction finds in frame.png, in its pixels; input: what the file puts out for "
        "input.png, in its pixels; boxes are [x1, y1, x2, y2, score]"
    )
    given = {"file": "input.png", "boxes": join(found[:, :4])}
    write_json(folder / "expected.json", {"about": about, "frame": frame, "input": given})

"""Compares models of SLEAP-NN with what ``pose import sleap`` makes of them.

``python parity/sleap_models.py [--oracle COMMAND]``, run by ``make parity``. Ends with code 1 when a row fails.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pose_core import load
from pose_core.errors import PoseError
from pose_core.interfaces import Head, Predictions
from pose_core.model.assemble import PoseModel
from pose_core.runs.importing import import_model
from pose_core.specs import RunSpec

HERE = Path(__file__).resolve().parent
SLEAP = HERE / "sleap"
ORACLE = (str(HERE.parent / ".venv-parity-sleap" / "bin" / "python"), str(SLEAP / "models_oracle.py"))
"""SLEAP-NN's side, in an environment of its own."""

RAW, PIXELS = 1e-4, 0.01
"""Largest difference of an output, as a fraction of its largest value; largest distance of a keypoint."""


@dataclass(frozen=True)
class Row:
    """A model that was compared.

    Attributes:
        name: of the model.
        theirs, ours: parameters; a first kernel of one channel has three here.
        raw: largest difference of an output, as a fraction of its largest value.
        pixels: largest distance of a keypoint.
        keypoints: how many were compared; those of crops are around centres whose crops begin at whole pixels.
        bound: for pixels.
        problem: why it could not be compared.
    """

    name: str
    theirs: int = 0
    ours: int = 0
    raw: float = 0.0
    pixels: float = 0.0
    keypoints: int = 0
    bound: float = PIXELS
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether the outputs agree."""
        return not self.problem and self.raw <= RAW and self.pixels <= self.bound


def compare(folder: Path, out: Path, image: Tensor) -> Row:
    """Import the model of a folder and compare its raw outputs with what SLEAP-NN put out."""
    answer: dict[str, Any] = json.loads((folder / "answer.json").read_text())
    name = answer["name"]
    try:
        made = import_model({"type": "sleap", "as_trained": True}, folder, out)
    except PoseError as error:
        return Row(name, problem=str(error))
    model = made.run.of(RunSpec).load_model()
    if answer["channels"] == 1:
        image = image[:, :1].expand(-1, 3, -1, -1)
    with torch.no_grad():
        outputs = list(run_heads(model, model.normalise(image)).values())
    wanted = [torch.tensor(each) for each in answer["outputs"]]
    if len(outputs) != len(wanted):
        return Row(name, problem=f"{len(outputs)} outputs, not {len(wanted)}")
    raw = 0.0
    for ours, theirs in zip(outputs, wanted, strict=True):
        if ours.shape != theirs.shape:
            return Row(name, problem=f"an output of shape {tuple(ours.shape)}, not {tuple(theirs.shape)}")
        raw = max(raw, float((ours - theirs).abs().max() / theirs.abs().max()))
    pixels, keypoints = 0.0, 0
    # SLEAP-NN's predictor rounds gray to whole numbers, which noise does not bear.
    if "instances" in answer and answer["channels"] == 3:
        compared = compare_crops if model.view == "animal" else compare_keypoints
        pixels, keypoints = compared(model, out, image, answer, wanted[0])
    bound = PIXELS if made.run.of(RunSpec).spec.model.preprocess.scale == 1 else PIXELS_SCALED
    return Row(name, answer["parameters"], made.parameters, raw, pixels, keypoints, bound)


def compare_keypoints(
    model: PoseModel, run: Path, image: Tensor, answer: dict[str, Any], maps: Tensor
) -> tuple[float, int]:
    """Predict the image, and find each keypoint of SLEAP-NN among ours.

    Which keypoints are an animal is not compared: networks of random weights know of none. So of heads that
    group, the candidates before grouping are ours.

    Args:
        maps: (1, K, h, w), confidence maps of SLEAP-NN.

    Returns:
        the largest distance in pixels, and how many keypoints were compared.
    """
    several = len(model.heads) > 1 or "centroid" in model.heads
    if several:
        ours = find_candidates(model, image)
    else:
        shown = image[0].permute(1, 2, 0).contiguous().numpy()
        (frame,) = load(run).predict([shown])
        ours = frame.instances.keypoints
    theirs = np.array([each["points"] for each in answer["instances"]], np.float64)
    certain = find_certain(maps)[0]
    largest, count = 0.0, 0
    for k in range(ours.shape[1]):
        if not several and not certain[k]:
            continue
        found, wanted = (points[np.isfinite(points[:, k]).all(-1), k] for points in (ours, theirs))
        if len(wanted):
            distances = np.linalg.norm(wanted[:, None] - found[None], axis=-1).min(1, initial=np.inf)
            largest, count = max(largest, float(distances.max())), count + len(wanted)
    return largest, count


def compare_crops(
    model: PoseModel, run: Path, image: Tensor, answer: dict[str, Any], maps: Tensor
) -> tuple[float, int]:
    """Predict crops around the centres that SLEAP-NN was given, and compare each animal's keypoints.

    The run is imported with ``as_trained``, so keypoints are not moved to where the labels of the training lay.

    Returns:
        the largest distance in pixels, and how many keypoints were compared.
    """
    boxes = run.parent / f"{run.name}_boxes.csv"
    centres = answer["centres"]
    rows = [f"0,{x - 9},{y - 9},{x + 9},{y + 9}" for x, y in centres]
    boxes.write_text("\n".join(["frame,x1,y1,x2,y2", *rows]) + "\n", encoding="utf-8")
    shown = image[0].permute(1, 2, 0).contiguous().numpy()
    (frame,) = load(run, boxes=boxes, threshold=0.0).predict([shown])
    ours = frame.instances.keypoints
    theirs = np.array([each["points"] for each in answer["instances"]], np.float64)
    if len(ours) != len(centres) or len(theirs) != len(centres):
        return math.inf, 0
    # Both leave the animals in the order of the centres.
    side = model.spec.preprocess.size[0]
    corners = [(round(x - side / 2 + 0.5), round(y - side / 2 + 0.5)) for x, y in centres]
    crops = torch.cat([image[..., y : y + side, x : x + side] for x, y in corners])
    with torch.no_grad():
        certain = find_certain(next(iter(run_heads(model, model.normalise(crops)).values()))).numpy()
    distances = np.linalg.norm(theirs - ours, axis=-1)[certain & np.isfinite(theirs).all(-1)]
    return float(distances.max(initial=0.0)), len(distances)


def find_certain(maps: Tensor) -> Tensor:
    """Whether one cell is the highest: of two that are equally high but for rounding, either may be taken.

    Args:
        maps: (B, K, h, w).

    Returns:
        (B, K) bool.
    """
    highest = maps.flatten(2).topk(2).values
    return highest[..., 0] - highest[..., 1] >= TIE


def find_candidates(model: PoseModel, image: Tensor) -> Any:
    """All peaks of the first head, (P, K, 2) in pixels, of which each row has one."""
    name, head = next(iter(model.heads.items()))
    assert isinstance(head, Head)
    predictor = head.predictor
    predictor.count = MANY
    with torch.no_grad():
        outputs = model(model.normalise(image))[name]
        return head.decode(outputs, Predictions.none(1, model.skeleton, image.device)).keypoints[0].numpy()


PIXELS_SCALED = 0.05
"""Where frames are resized, which other filters do to noise."""
TIE = 1e-4
MANY = 2000


def run_heads(model: PoseModel, image: Tensor) -> dict[str, Tensor]:
    """Outputs of the heads, logits of identities as the probabilities that SLEAP-NN puts out."""
    found = {}
    for head, outputs in model(image).items():
        for name, value in outputs.items():
            chances = value
            if name == "identity":
                chances = value.sigmoid() if value.ndim == 4 else value.softmax(-1)
            found[f"{head}.{name}"] = chances
    return found


def main(arguments: Sequence[str]) -> int:
    """Compare, print a line a row, and say whether all agree."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--oracle", default=shlex.join(ORACLE), help="the command of SLEAP-NN's side")
    parser.add_argument("--folder", type=Path, help="models that were made before")
    parser.add_argument("--report", type=Path, help="page whose table is written, such as docs/parity.md")
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(SLEAP))
    import cases

    image = (cases.image() * 255).round().to(torch.uint8)
    with tempfile.TemporaryDirectory(prefix="pose-parity-sleap-") as work:
        folder = options.folder
        if folder is None:
            folder = Path(work) / "models"
            subprocess.run([*shlex.split(options.oracle), str(folder)], check=True, stdout=subprocess.DEVNULL)
        rows = [compare(each, Path(work) / f"run_{each.name}", image) for each in sorted(folder.iterdir())]
    for row in rows:
        shown = row.problem or f"{row.theirs} parameters, ours {row.ours}, raw {row.raw:.1e}"
        if row.keypoints and not row.problem:
            shown += f", {row.keypoints} keypoints, {row.pixels:.1e} px"
        print(f"{'ok' if row.passed else 'FAIL':4} {row.name}: {shown}")
    if options.report is not None:
        write_table(rows, options.report)
    return int(not all(row.passed for row in rows))


def write_table(rows: Sequence[Row], page: Path) -> None:
    """Put the rows between the marks of a page."""
    lines = [
        "| name | parameters, theirs | ours | raw | keypoints | px | result |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        cells = [row.name, f"{row.theirs:,}", f"{row.ours:,}", f"{row.raw:.1e}"]
        cells += [str(row.keypoints), f"{row.pixels:.1e}"] if row.keypoints else ["", ""]
        cells.append("equal" if row.passed else f"**differs** {row.problem}".strip().replace("|", "/"))
        lines.append(f"| {' | '.join(cells)} |")
    text = page.read_text(encoding="utf-8")
    before, mark, rest = text.partition("<!-- sleap -->\n")
    if not mark:
        raise SystemExit(f"{page}: has no place for the table: <!-- sleap -->, then <!-- end -->")
    after = rest[rest.index("<!-- end -->") :]
    page.write_text(before + mark + "\n".join(lines) + "\n" + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Our side: takes over the model that the original's side made, runs it on the same images, and compares."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import typer
from cases import Case
from torch import Tensor

from pose_core.cli.import_ import import_
from pose_core.model.detector import DetectorModel
from pose_core.model.run_folder import Run

Arrays = Mapping[str, npt.NDArray[Any]]

RAW, PIXELS, SCORE = 1e-4, 0.01, 1e-4
"""Largest differences: of raw outputs max |a - b| / max |b|; of keypoints and corners of boxes; of scores."""
ALIVE = 0.01
"""Outputs must differ from image to image by more than this, max |a - b| / max |b|: a dead network proves nothing."""
_SLOTS = {"bodypart": "keypoints", "unique_bodypart": "unique_keypoints"}


@dataclass
class Row:
    """What came out of a case.

    Attributes:
        theirs, ours: parameters.
        raw, pixels, score: largest differences over all images.
        images, drawn: how many images were compared, and drawn to have none with near-ties.
        sizes: (height, width) of what the networks saw.
        problem: why there is no comparison.
        versions: of the original.
    """

    case: Case
    theirs: int = 0
    ours: int = 0
    raw: float = 0.0
    pixels: float = 0.0
    score: float = 0.0
    alive: float = 0.0
    images: int = 0
    drawn: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    problem: str = ""
    versions: str = ""

    @property
    def passed(self) -> bool:
        """Whether every number is within its bound."""
        close = self.raw <= RAW and self.pixels <= PIXELS and self.score <= SCORE
        return not self.problem and self.theirs == self.ours and close and self.alive > ALIVE and self.images > 0


def compare(case: Case, made: Mapping[str, Any], folder: Path) -> Row:
    """One row of the table.

    Args:
        made: what the original's side answered.
        folder: where it put its files; the run goes there too.
    """
    row = Row(case, theirs=made["parameters"], images=made["images"], drawn=made["drawn"], versions=made["versions"])
    run = take_over(made, folder / "run")
    original = dict(np.load(folder / "original.npz"))
    with torch.inference_mode():
        if case.detector is not None:
            detector = run.detector
            assert detector is not None
            compare_detector(detector.load_model(), original, row)
        else:
            compare_pose(run, original, row)
    return row


def take_over(made: Mapping[str, Any], out: Path) -> Run:
    """``pose import deeplabcut SNAPSHOT [--detector SNAPSHOT] --set as_trained=true --out RUN``."""
    app = typer.Typer()
    app.command()(import_)
    detector = ["--detector", made["detector"]] if "detector" in made else []
    arguments = ["deeplabcut", made["snapshot"], "--out", str(out), "--set", "as_trained=true", *detector]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        app(arguments, standalone_mode=False)
    return Run.open(out)


def compare_pose(run: Run, original: Arrays, row: Row) -> None:
    """Raw outputs, keypoints and scores of a pose network."""
    model = run.load_model()
    row.ours = sum(p.numel() for p in model.parameters())
    seen: dict[str, list[npt.NDArray[Any]]] = {}
    for at in places(original):
        image = original[f"{at}.image"]
        row.sizes.append(image.shape[:2])
        images = torch.from_numpy(image).permute(2, 0, 1)[None]
        outputs = model(model.normalise(images))
        for key in [k for k in original if k.startswith(f"{at}.raw.")]:
            _, _, slot, name = key.split(".")
            ours = raw_output(outputs[_SLOTS[slot]], name, model, _SLOTS[slot])
            row.raw = max(row.raw, relative(ours, original[key]))
            seen.setdefault(f"{slot}.{name}.{original[key].shape}", []).append(original[key])
        found = model.predict(images)
        for slot, points, scores in (
            ("bodypart", found.keypoints[0, 0], found.keypoint_scores[0, 0]),
            ("unique_bodypart", found.unique_keypoints[0], found.unique_scores[0]),
        ):
            if (theirs := original.get(f"{at}.poses.{slot}")) is not None:
                theirs = theirs.reshape(-1, 3)
                row.pixels = max(row.pixels, largest(points, theirs[:, :2]))
                row.score = max(row.score, largest(scores, theirs[:, 2]))
    row.alive = min((relative(torch.from_numpy(v[0]), v[1]) for v in seen.values() if len(v) > 1), default=0.0)


def raw_output(outputs: Mapping[str, Tensor], name: str, model: Any, head: str) -> Tensor:
    """Our output of the original's name, in its units."""
    # The original scales location refinement to pixels when it decodes, we do so in the head.
    return outputs[name] / model.heads[head].locref_std if name == "locref" else outputs[name]


def compare_detector(model: DetectorModel, original: Arrays, row: Row) -> None:
    """Boxes and scores in the order in which they come out, in double precision; both were given the same pixels."""
    row.ours = sum(v.numel() for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked"))
    detector = model.double().network
    row.alive = float("inf")
    for at in places(original):
        image = original[f"{at}.image"]
        row.sizes.append(image.shape[:2])
        boxes, scores = detector(torch.from_numpy(image).permute(2, 0, 1)[None].double() / 255)
        theirs, confidence = original[f"{at}.boxes"], original[f"{at}.scores"]
        if boxes.shape[1] != len(theirs) or len(theirs) < 2:
            row.problem = f"{boxes.shape[1]} boxes, the original has {len(theirs)}, on image {at}"
            return
        row.pixels = max(row.pixels, largest(boxes[0], theirs))
        row.score = max(row.score, largest(scores[0], confidence))
        row.raw = max(row.raw, relative(boxes[0], theirs), relative(scores[0], confidence))
        row.alive = min(row.alive, float(confidence.max() - confidence.min()))


def places(original: Arrays) -> list[str]:
    """Names of the images."""
    return sorted(k.removesuffix(".image") for k in original if k.endswith(".image"))


def relative(ours: Tensor, theirs: npt.NDArray[Any]) -> float:
    """max |a - b| / max |b|; infinite where shapes differ or a value is no number."""
    return largest(ours, theirs) / float(np.abs(theirs).max())


def largest(ours: Tensor, theirs: npt.NDArray[Any]) -> float:
    """max |a - b|."""
    if tuple(ours.shape) != theirs.shape:
        print(f"shapes differ: {tuple(ours.shape)} and {theirs.shape}", file=sys.stderr)
        return float("inf")
    difference = np.abs(ours.double().numpy() - theirs.astype(np.float64)).max(initial=0.0)
    return float(difference) if np.isfinite(difference) else float("inf")

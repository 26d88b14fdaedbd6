"""Our side: takes over the model that the original's side made, runs it on the same images, and compares."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import typer
from cases import Case
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pose_core.catalog import get_catalog
from pose_core.cli.import_ import import_
from pose_core.interfaces import Predictions
from pose_core.model.assemble import PoseModel
from pose_core.model.detector import DetectorModel
from pose_core.pipeline.crops import Crops
from pose_core.pipeline.naming import assign_names
from pose_core.runs.importing import import_published
from pose_core.runs.run_folder import Run
from pose_core.specs import AnyRunSpec, DetectorRunSpec, RunSpec

Arrays = Mapping[str, npt.NDArray[Any]]

RAW, PIXELS, SCORE = 1e-4, 0.01, 1e-4
"""Largest differences: of raw outputs max |a - b| / max |b|; of keypoints and corners of boxes; of scores."""
ALIVE = 0.01
"""Outputs must differ from image to image by more than this, max |a - b| / max |b|: a dead network proves
nothing."""
_SLOTS = {"bodypart": "keypoints", "unique_bodypart": "unique_keypoints", "identity": "identity"}


@dataclass
class Row:
    """What came out of a case.

    Attributes:
        theirs, ours: parameters.
        raw, pixels, score: largest differences over all images.
        images, drawn: how many images were compared, and drawn to have none with near-ties.
        animals: how many were compared.
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
    animals: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    problem: str = ""
    versions: str = ""

    @property
    def passed(self) -> bool:
        """Whether every number is within its bound."""
        close = self.raw <= RAW and self.pixels <= PIXELS and self.score <= SCORE
        compared = self.images > 0 and (self.animals > 0 or self.case.detector is not None)
        return not self.problem and self.theirs == self.ours and close and self.alive > ALIVE and compared


def compare(case: Case, made: Mapping[str, Any], folder: Path) -> Row:
    """One row of the table.

    Args:
        made: what the original's side answered.
        folder: where it put its files; the run goes there too.
    """
    row = Row(
        case, theirs=made["parameters"], images=made["images"], drawn=made["drawn"], versions=made["versions"]
    )
    original = dict(np.load(folder / "original.npz"))
    if case.zoo is not None:
        published = take_published(case, Path(made["file"]), folder / "run")
        with torch.inference_mode():
            if case.detector is not None:
                compare_detector(published.of(DetectorRunSpec).load_model(), original, row)
            else:
                compare_pose(published.of(RunSpec), original, row)
        return row
    run = take_over(made, folder / "run")
    with torch.inference_mode():
        if case.detector is not None:
            detector = Run.open(run.stages["detector"].path, DetectorRunSpec)
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
    return Run.open(out, RunSpec)


def take_published(case: Case, file: Path, out: Path) -> Run[AnyRunSpec]:
    """The run of a file that the zoo publishes, as its name gives it; but the checksum is that of random weights."""
    entry = get_catalog().zoo_network(case.name)
    assert entry is not None
    importer = {**entry.definition.importer, "as_trained": True} if entry.definition.importer else {}
    entry = replace(entry, definition=replace(entry.definition, importer=importer))
    return import_published(entry, file, out).run


def compare_pose(run: Run, original: Arrays, row: Row) -> None:
    """Raw outputs, keypoints and scores of a pose network."""
    model = run.load_model()
    row.ours = sum(p.numel() for p in model.parameters())
    seen: dict[str, list[npt.NDArray[Any]]] = {}
    for at in places(original):
        image = original[f"{at}.image"]
        row.sizes.append(image.shape[:2])
        images = torch.from_numpy(image).permute(2, 0, 1)[None]
        outputs = model(
            model.normalise(images), **extra_inputs(model, original.get(f"{at}.conditions"), images)
        )
        for key in [k for k in original if k.startswith(f"{at}.raw.")]:
            _, _, slot, name = key.split(".")
            ours = raw_output(outputs[_SLOTS[slot]], name, model, _SLOTS[slot])
            row.raw = max(row.raw, relative(ours, original[key]))
            seen.setdefault(f"{slot}.{name}.{original[key].shape}", []).append(original[key])
        found = model.decode(outputs)
        if f"{at}.frame" in original:
            found = predict_in_box(run, model, original[f"{at}.frame"], original[f"{at}.box"])
            clear = torch.from_numpy(original[f"{at}.clear"])
            found = found.with_animals(
                torch.where(clear[:, None], found.keypoints, torch.nan), found.keypoint_scores, found.scores
            )
        if (theirs := original.get(f"{at}.poses.bodypart")) is not None:
            compare_animals(found.keypoints[0], found.keypoint_scores[0], theirs, row)
        if (theirs := original.get(f"{at}.poses.unique_bodypart")) is not None:
            compare_animals(found.unique_keypoints, found.unique_scores, theirs.reshape(1, -1, 3), row)
    head = model.heads["keypoints"]
    for at in sorted(
        k.removesuffix(".poses") for k in original if k.startswith("ideal.") and k.endswith(".poses")
    ):
        maps = {
            k.split(".")[-1]: torch.from_numpy(v) for k, v in original.items() if k.startswith(f"{at}.raw.")
        }
        if "locref" in maps:
            maps["locref"] = maps["locref"] * head.locref_std
        found = head.decode(maps, Predictions.none(1, model.skeleton))
        names = None
        if "identity" in maps:
            found = assign_names(model.heads["identity"].decode({"identity": maps["identity"]}, found))
            names = found.identity[0]
        compare_animals(found.keypoints[0], found.keypoint_scores[0], original[f"{at}.poses"], row, names)
    row.alive = min(
        (relative(torch.from_numpy(v[0]), v[1]) for v in seen.values() if len(v) > 1), default=0.0
    )
    if (other := original.get(f"{places(original)[0]}.conditions")) is not None:
        # Of the last image, with the pose of the first.
        moved = model(model.normalise(images), **extra_inputs(model, other, images))
        for key, value in moved["keypoints"].items():
            row.alive = min(row.alive, relative(value, outputs["keypoints"][key].numpy()))


def predict_in_box(run: Run, model: PoseModel, frame: npt.NDArray[Any], box: npt.NDArray[Any]) -> Predictions:
    """The pose in a box of a frame, without the margin that boxes of detectors have."""
    preprocess = replace(run.spec.model.decided_preprocess(), margin_pixels=0.0)
    return Crops(model, preprocess, 1).predict([frame], box.astype(np.float32)[None])


def extra_inputs(model: PoseModel, pose: npt.NDArray[Any] | None, images: Tensor) -> dict[str, Tensor]:
    """What the network sees besides images: nothing, or a (K, 3) pose to correct, in pixels of the image."""
    if pose is None:
        return {}
    animal = torch.from_numpy(pose)[None, None]
    points = torch.where(animal[..., 2:] > 0, animal[..., :2], torch.nan)
    found = Predictions.none(1, model.skeleton).with_animals(points, animal[..., 2], animal[..., 2].mean(-1))
    return model.extra_for_inference(found, (images.shape[-2], images.shape[-1]))


def compare_animals(
    points: Tensor, scores: Tensor, theirs: npt.NDArray[Any], row: Row, names: Tensor | None = None
) -> None:
    """Animals (N, K, 2) and their scores (N, K) with those of the original, (M, K, 3), where -1 or NaN is
    missing.

    Each is compared with the nearest of the other side; all must be there on both sides. With ``names`` (N,),
    which individuals they are, each must be that of the original's row.
    """
    theirs = theirs.astype(np.float64)
    theirs[(theirs == -1).all(-1)] = np.nan
    there = np.flatnonzero(np.isfinite(theirs).any((1, 2)))
    ours = torch.cat([points, scores[..., None]], dim=-1).double().numpy()
    ours[~np.isfinite(ours[..., :2]).all(-1)] = np.nan
    here = np.flatnonzero(np.isfinite(ours).any((1, 2)))
    theirs, ours = theirs[there], ours[here]
    if len(ours) != len(theirs):
        row.problem = f"{len(ours)} animals, the original has {len(theirs)}"
        return
    apart = np.nan_to_num(np.abs(ours[:, None, :, :2] - theirs[None, :, :, :2]), nan=1e6).max(
        (2, 3), initial=0.0
    )
    first, second = linear_sum_assignment(apart)
    ours, theirs = ours[first], theirs[second]
    if names is not None and (names.numpy()[here[first]] != there[second]).any():
        row.problem = f"animals are {names.tolist()}, the original says {there[second].tolist()}"
        return
    if (np.isnan(ours[..., 0]) != np.isnan(theirs[..., 0])).any():
        row.problem = "other keypoints are missing than in the original"
        return
    row.animals += len(theirs)
    difference = np.nan_to_num(np.abs(ours - theirs))
    row.pixels = max(row.pixels, float(difference[..., :2].max(initial=0.0)))
    row.score = max(row.score, float(difference[..., 2].max(initial=0.0)))


def raw_output(outputs: Mapping[str, Tensor], name: str, model: Any, head: str) -> Tensor:
    """Our output of the original's name, in its units."""
    if head == "identity":
        return outputs["identity"]
    # The original scales location refinement to pixels when it decodes, we do so in the head.
    return outputs[name] / model.heads[head].locref_std if name == "locref" else outputs[name]


def compare_detector(model: DetectorModel, original: Arrays, row: Row) -> None:
    """Boxes and scores in the order in which they come out, in double precision; both were given the same
    pixels."""
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

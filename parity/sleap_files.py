"""Compares SLEAP's files as this project reads and writes them with sleap-io.

``python parity/sleap_files.py [--train] [--oracle COMMAND]``, run by ``make parity``. Ends with code 1 when a row
fails.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import pose_core
from pose_core.data.images import read_image
from pose_core.data.projects import read_project
from pose_core.interfaces import PredictionsHeader
from pose_core.interfaces.prediction_files import make_writer, open_predictions
from pose_core.pipeline.sources import ImageSource
from pose_core.pipeline.video import VideoSource
from pose_core.prediction.inputs import find_inputs
from pose_core.structures import Frame, Instances, LabelledDataset, Skeleton
from pose_core.synthetic.videos import read_number, write_numbered_video

HERE = Path(__file__).resolve().parent
ORACLE = (str(HERE.parent / ".venv-parity-sleap" / "bin" / "python"), str(HERE / "sleap_oracle.py"))
"""sleap-io's side, in an environment of its own."""

FRAMES = 12
SHORT: dict[str, Any] = {
    "train.batch_size": 1,
    "train.max_time": "2s",
    "model.backbone.filters": 4,
    # What two seconds teach is not much; animals are found all the same.
    "inference.threshold": 0.0,
    "model.heads.keypoints.predictor.threshold": 0.0,
    "model.heads.keypoints.predictor.min_affinity": 0.0,
}
"""Settings of a training that is there to be gone through."""
Ask = Callable[..., Any]


def make_material(folder: Path) -> None:
    """Write a video whose frames show their numbers, and three images."""
    write_numbered_video(folder / "clip.mp4", FRAMES)
    for i in range(3):
        cv2.imwrite(str(folder / f"image{i}.png"), np.full((48, 64, 3), (200, 7, 50 * i), np.uint8))


def compare_project(dataset: LabelledDataset, theirs: dict[str, Any]) -> list[str]:
    """Compare a project as read here with what sleap-io reads; what differs."""
    wrong: list[str] = []
    skeleton = dataset.skeleton
    for name, ours, other in (
        ("nodes", list(skeleton.keypoints), theirs["nodes"]),
        ("edges", [list(edge) for edge in skeleton.edges], theirs["edges"]),
        ("pairs", sorted(sorted(pair) for pair in skeleton.symmetry), theirs["pairs"]),
    ):
        if ours != other:
            wrong.append(f"{name}: {ours}, not {other}")
    wanted = {}
    for frame in theirs["frames"]:
        user = [instance for instance in frame["instances"] if not instance["predicted"]]
        if user or frame["negative"]:
            wanted[_name(theirs, frame)] = user
    if [image.name for image in dataset.images] != list(wanted):
        return [*wrong, f"images: {[image.name for image in dataset.images]}, not {list(wanted)}"]
    for image, user in zip(dataset.images, wanted.values(), strict=True):
        points = np.array([instance["points"] for instance in user], float).reshape(
            -1, len(theirs["nodes"]), 2
        )
        if not np.allclose(image.instances.keypoints, points, atol=1e-5, rtol=0, equal_nan=True):
            wrong.append(f"{image.name}: points differ")
        tracks = [theirs["tracks"][t] if t >= 0 else None for t in image.instances.track.tolist()]
        if tracks != [instance["track"] for instance in user]:
            wrong.append(f"{image.name}: tracks {tracks}")
    return wrong


def _name(theirs: dict[str, Any], frame: dict[str, Any]) -> str:
    return f"clip.mp4 frame {frame['frame']}" if frame["video"] == 0 else f"image{frame['frame']}.png"


def compare_pictures(dataset: LabelledDataset) -> list[str]:
    """Check that each label is on its own picture."""
    wrong = []
    for image in dataset.images:
        pixels = read_image(image.image)
        if image.name.startswith("clip"):
            shown = read_number(pixels)
            right = image.name.endswith(f" {shown}")
        else:
            right = pixels[0, 0].tolist() == [50 * int(image.name[5]), 7, 200]
        wrong += [] if right else [f"{image.name}: another picture"]
    return wrong


def make_predictions(images: Sequence[str | None], seed: int = 1) -> list[Frame]:
    """Two tracked animals a frame, some points missing, one frame without."""
    rng = np.random.default_rng(seed)
    frames = []
    for index, image in enumerate(images):
        count = 0 if index == 1 and len(images) > 3 else 2
        points = rng.uniform(2, 44, (count, 6, 2)).astype(np.float32)
        points[:, index % 6] = np.nan
        scores = rng.uniform(0.1, 1, (count, 6)).astype(np.float32)
        animals = Instances.from_keypoints(points, keypoint_scores=scores, track=np.arange(count))
        frames.append(Frame(index, animals, image=image))
    return frames


def write_predictions(format: str, path: Path, skeleton: Skeleton, source: Path, frames: list[Frame]) -> Path:
    """Write predictions of a source."""
    writer = make_writer(format)
    header = PredictionsHeader(skeleton, str(source), len(frames), 64, 48, 10.0, "unet/unet", "runs/first")
    file = path.with_suffix(writer.extension)
    writer.write(file, header, iter(frames))
    return file


def compare_predictions(frames: list[Frame], theirs: dict[str, Any], scores: bool = True) -> list[str]:
    """Compare predictions with what sleap-io reads of them; what differs."""
    wrong = []
    found = {frame["frame"]: frame for frame in theirs["frames"]}
    for frame in frames:
        instances = found.get(frame.index, {"instances": []})["instances"]
        if len(instances) != len(frame.instances):
            wrong.append(f"frame {frame.index}: {len(instances)} instances")
            continue
        for row, instance in enumerate(instances):
            animals = frame.instances
            same = [
                np.allclose(
                    np.array(instance["points"], float), animals.keypoints[row], atol=1e-6, equal_nan=True
                ),
                instance["track"] == f"track_{animals.track[row]}",
                instance["predicted"],
                np.isclose(instance["score"], animals.scores[row], atol=1e-6),
                not scores
                or np.allclose(
                    np.nan_to_num(np.array(instance["point_scores"], float)),
                    animals.keypoint_scores[row],
                    atol=1e-6,
                ),
            ]
            if not all(same):
                wrong.append(f"frame {frame.index}, animal {row}: {same}")
    return wrong


def compare_loop(folder: Path, file: str, ask: Ask, theirs: dict[str, Any]) -> list[str]:
    """Train on a project, predict its suggested frames, and merge these into it; what is wrong on the way.

    Args:
        folder: of the project.
        file: its name.
        ask: sleap-io.
        theirs: what sleap-io reads of it.
    """
    run, project = folder / f"run of {file}", folder / file
    pose_core.train(project, model="unet", out=run, device="cpu", epochs=1, settings=SHORT)
    (outcome,) = pose_core.predict(run, project, folder / f"out of {file}", format="slp", device="cpu")
    if outcome is None:
        return ["its suggested frames could not be predicted"]
    found = ask("read", outcome.result)
    wrong = [
        f"{name}: {found[name]}, not {theirs[name]}"
        for name in ("nodes", "edges", "pairs")
        if found[name] != theirs[name]
    ]
    # A package calls itself, where the predictions name it.
    if len(found["videos"]) != len(theirs["videos"]):
        wrong.append(f"videos: {found['videos']}")
    frames = [frame for frame in open_predictions(outcome.result) if len(frame.instances)]
    for frame, other in zip(frames, found["frames"], strict=False):
        points = np.array([instance["points"] for instance in other["instances"]], float)
        if not np.allclose(frame.instances.keypoints, points, atol=1e-5, equal_nan=True):
            wrong.append(f"frame {other['frame']} of video {other['video']}: points differ")
    places = sorted([frame["video"], frame["frame"]] for frame in found["frames"])
    if places != theirs["suggestions"] or len(frames) != len(places):
        wrong.append(f"frames {places} are predicted, and {theirs['suggestions']} are suggested")
    merged = ask("merge", project, outcome.result, folder / f"merged with training {file}")
    return wrong + compare_merged(merged, theirs, outcome.frames, animals=None)


def compare_merged(
    merged: dict[str, Any], project: dict[str, Any], frames: int, animals: int | None = 2
) -> list[str]:
    """Check that merging kept the project and brought predictions to its own videos."""
    wrong = []
    # Their names may change: saving a package without its images brings back the original videos.
    if len(merged["videos"]) != len(project["videos"]):
        wrong.append(f"videos: {merged['videos']}")
    places = {(frame["video"], frame["frame"]): frame for frame in merged["frames"]}
    for frame in project["frames"]:
        kept = places.get((frame["video"], frame["frame"]), {"instances": []})["instances"]
        wrong += [
            f"frame {frame['frame']}: a label is gone"
            for instance in frame["instances"]
            if not instance["predicted"] and instance["points"] not in [other["points"] for other in kept]
        ]
    for video, number in project["suggestions"]:
        there = places.get((video, number), {"instances": []})["instances"]
        count = len([instance for instance in there if instance["predicted"]])
        if not count or animals not in (None, count):
            wrong.append(f"suggested frame {number} of video {video}: {count} predictions")
    if len(merged["frames"]) != len(project["frames"]) + frames:
        wrong.append(f"{len(merged['frames'])} frames")
    return wrong


def compare(folder: Path, ask: Ask, train: bool) -> dict[str, list[str]]:
    """Compare all, training included if wanted; for each row what is wrong."""
    make_material(folder)
    rows: dict[str, list[str]] = {}
    both = ask("write", folder)
    for file, theirs in zip(("project.slp", "project.pkg.slp"), both, strict=True):
        dataset = read_project(folder / file)
        rows[f"labels of {file}"] = compare_project(dataset, theirs)
        rows[f"pictures of {file}"] = compare_pictures(dataset)
    skeleton = dataset.skeleton
    frames = make_predictions([None] * FRAMES)
    clip = folder / "clip.mp4"
    slp = write_predictions("slp", folder / "clip.predictions", skeleton, clip, frames)
    rows["predictions as .slp"] = compare_predictions(frames, ask("read", slp))
    again = open_predictions(slp)
    same = all(
        np.array_equal(a.instances.keypoints, b.instances.keypoints, equal_nan=True)
        for a, b in zip(again, frames, strict=True)
    )
    rows["predictions read back"] = [] if same else ["other points"]
    table = write_predictions("sleap-analysis", folder / "clip.analysis", skeleton, clip, frames)
    rows["predictions as analysis HDF5"] = compare_predictions(frames, ask("read", table))
    for file, theirs in zip(("project.slp", "project.pkg.slp"), both, strict=True):
        source = find_inputs([folder / file], VideoSource).found[0].source
        assert isinstance(source, ImageSource)
        shown = [frame.image for frame in source.read()]
        predicted = write_predictions(
            "slp", folder / f"{file}.predictions", skeleton, folder / file, make_predictions(shown)
        )
        merged = ask("merge", folder / file, predicted, folder / f"merged.{file.partition('.')[2]}")
        rows[f"suggested frames merged into {file}"] = compare_merged(merged, theirs, len(shown))
    if not train:
        return rows
    rows["trained, predicted and merged: project.slp"] = compare_loop(folder, "project.slp", ask, both[0])
    # By itself, without the video and the images that its own are of.
    alone = folder / "alone"
    alone.mkdir()
    shutil.move(folder / "project.pkg.slp", alone)
    for path in (clip, *folder.glob("image*.png")):
        path.unlink()
    rows["the same without the video: project.pkg.slp"] = compare_loop(alone, "project.pkg.slp", ask, both[1])
    return rows


def main(arguments: Sequence[str]) -> int:
    """Compare, print a line a row, and say whether all are right."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--oracle", default=shlex.join(ORACLE), help="the command of sleap-io's side")
    parser.add_argument("--train", action="store_true", help="go through training and prediction, too")
    options = parser.parse_args(arguments)
    command = shlex.split(options.oracle)

    def ask(*words: object) -> Any:
        ended = subprocess.run([*command, *map(str, words)], capture_output=True, text=True, check=False)
        if ended.returncode:
            raise SystemExit(f"sleap-io's side failed:\n{ended.stderr}")
        return json.loads(ended.stdout.splitlines()[-1])

    with tempfile.TemporaryDirectory() as folder:
        rows = compare(Path(folder), ask, options.train)
    for name, wrong in rows.items():
        print(f"{name:48} {'same' if not wrong else 'DIFFERS: ' + '; '.join(wrong[:5])}")
    return int(any(rows.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What the parts of ``gpu.py`` share: how much is computed, what was found, runs and videos of random numbers."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pose_core.catalog import get_catalog
from pose_core.model.build import build_model
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec
from pose_core.specs.resolve import Layer, resolve
from pose_core.synthetic.scenes import Scene, SceneSpec

KEYPOINTS = tuple(f"keypoint{i}" for i in range(12))

Row = dict[str, object]


@dataclass(frozen=True)
class Sizes:
    """How much is computed.

    Attributes:
        frame: (height, width) of the video, pixels.
        frames: of the video.
        batch: frames that go through a network together.
        repeats: of what is timed.
        models: (method, name) of the networks.
        steps: of the training.
        matrix: side of the matrices that are multiplied.
        plugins: whose checks are run; None: those of all.
        deeplabcut: networks of DeepLabCut that both sides predict with.
        turns: of DeepLabCut and ours.
        deeplabcut_frames: of the video that both predict.
        deeplabcut_seconds: that this takes at most.
    """

    frame: tuple[int, int] = (480, 640)
    frames: int = 480
    batch: int = 16
    repeats: int = 7
    models: tuple[tuple[str, str], ...] = (
        ("single_animal", "unet"),
        ("single_animal", "resnet_50"),
        ("single_animal", "hrnet_w32"),
        ("top_down", "top_down_hrnet_w32"),
        ("bottom_up", "unet"),
    )
    steps: int = 40
    matrix: int = 8192
    plugins: tuple[str, ...] | None = None
    deeplabcut: tuple[str, ...] = ("resnet_50", "hrnet_w32", "rtmpose_s")
    turns: int = 2
    deeplabcut_frames: int = 160
    deeplabcut_seconds: float = 110.0


SMALL = Sizes(
    frame=(96, 128),
    frames=12,
    batch=4,
    repeats=2,
    models=(("single_animal", "unet"), ("top_down", "top_down_unet")),
    steps=2,
    matrix=256,
    plugins=("heatmap",),
    deeplabcut=("resnet_50",),
    turns=1,
    deeplabcut_frames=4,
    deeplabcut_seconds=600.0,
)


@dataclass
class Session:
    """What the parts share.

    Attributes:
        device: that is looked at.
        sizes: how much is computed.
        folder: for runs and videos.
        ends: when the time is up, seconds of the monotonic clock.
        oracle: command that runs DeepLabCut's side; None: that of ``.venv-parity``, where there is one.
        rows: what was found, by part.
        left_out: what the time did not suffice for, or is not there.
    """

    device: torch.device
    sizes: Sizes
    folder: Path
    ends: float
    oracle: str | None = None
    rows: dict[str, list[Row]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def has_time(self, what: str, seconds: float = 0.0) -> bool:
        """Whether there is time for something that takes about so long; what there is none for is left out."""
        if time.monotonic() + seconds < self.ends:
            return True
        self.leave_out(what)
        return False

    def leave_out(self, what: str) -> None:
        """Say once what is not done."""
        if what not in self.left_out:
            self.left_out.append(what)

    def add(self, part: str, **row: object) -> None:
        """Keep and print a result."""
        self.rows.setdefault(part, []).append(row)
        print(f"{part:12}", "  ".join(f"{key} {_format(value)}" for key, value in row.items()), flush=True)

    def time(self, work: Callable[[], object]) -> float:
        """Median seconds of a call, without the first two."""
        taken = []
        for _ in range(2 + self.sizes.repeats):
            self.wait()
            began = time.perf_counter()
            work()
            self.wait()
            taken.append(time.perf_counter() - began)
        return statistics.median(taken[2:])

    def wait(self) -> None:
        """Wait until the device has computed all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def _format(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def make_run(session: Session, method: str, name: str) -> Run[RunSpec]:
    """A run folder of a network of random weights that sees frames at full resolution."""
    path = session.folder / "runs" / f"{method}-{name}"
    if path.is_dir():
        return Run.open(path, RunSpec)
    model = next(m for m in get_catalog().models() if (m.method, m.name) == (method, name))
    animals: Row = {} if method == "single_animal" else {"individuals": ["a", "b", "c", "d"]}
    edges = [list(pair) for pair in itertools.pairwise(KEYPOINTS)]
    skeleton = {"keypoints": list(KEYPOINTS), "edges": edges, **animals}
    settings = {"model": {"preprocess": {"scale": 1.0, "min_box": 32.0}}}
    spec = resolve(model, Layer({"skeleton": skeleton, "data": {"source": "nowhere"}}), [Layer(settings)])
    run = Run.create(path, spec, {})
    torch.manual_seed(0)
    run.save_weights(build_model(spec).state_dict())
    return run


def write_boxes(session: Session) -> Path:
    """Four boxes in every frame."""
    height, width = session.sizes.frame
    path = session.folder / "boxes.csv"
    with path.open("w") as file:
        file.write("frame,x1,y1,x2,y2\n")
        for number in range(session.sizes.frames):
            for column, row in ((0, 0), (1, 0), (0, 1), (1, 1)):
                x, y = column * width / 2, row * height / 2
                file.write(f"{number},{x},{y},{x + width / 2 - 2},{y + height / 2 - 2}\n")
    return path


def draw(frames: int, size: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Frames of one picture that moves: cheap to draw, and not trivial to encode."""
    height, width = size
    scene = Scene(SceneSpec(seed=1, frames=1, size=(min(256, height), min(256, width))))
    picture = np.pad(
        scene.frame(0).image,
        ((0, max(0, height - 256)), (0, max(0, width - 256)), (0, 0)),
        mode="wrap",
    )[:height, :width]
    return np.stack([np.roll(picture, 3 * number, axis=1) for number in range(frames)])

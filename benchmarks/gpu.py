"""All that needs a GPU, in one go: how fast predictions are, and whether the GPU gives what the CPU gives.

    python benchmarks/gpu.py [--device cuda] [--seconds 330] [--only PART ...] [--out FILE.json] [--small]

Parts, in this order: ``machine`` (what it multiplies), ``views`` (resizing and cropping), ``parity`` (CPU beside GPU,
16 bits beside 32), ``rates`` (frames a second, network alone and from end to end), ``training`` (steps in mixed
precision), ``conformance`` (levels 3 and 1 of all plugins). What the time does not suffice for is listed as left out;
results are written after each part. ``--small`` is the same on a CPU with small inputs, to try the script out. Networks
have random weights. ``benchmarks/gpu.sh`` installs what is needed from a folder of wheels and runs this.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import pose_core
from pose_core.catalog import get_catalog
from pose_core.data.device_warp import warp_frames
from pose_core.data.geometry import compute_crop_geometry, resize_matrix, warp
from pose_core.interfaces import FrameGeometry
from pose_core.model.assemble import PoseModel
from pose_core.model.build import build_model
from pose_core.model.runner import make_example
from pose_core.prediction.result import Outcome
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec
from pose_core.specs.resolve import Layer, resolve
from pose_core.synthetic.encode import write_video
from pose_core.synthetic.projects import scene_examples, write_project
from pose_core.synthetic.scenes import Scene, SceneSpec
from pose_core.testing.conformance import FAILED, Item, items
from pose_core.testing.conformance import run as run_check

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


SMALL = Sizes(
    frame=(96, 128),
    frames=12,
    batch=4,
    repeats=2,
    models=(("single_animal", "unet"), ("top_down", "top_down_unet")),
    steps=2,
    matrix=256,
    plugins=("heatmap",),
)


@dataclass
class Session:
    """What the parts share.

    Attributes:
        device: that is looked at.
        sizes: how much is computed.
        folder: for runs and videos.
        ends: when the time is up, seconds of the monotonic clock.
        rows: what was found, by part.
        left_out: what the time did not suffice for.
    """

    device: torch.device
    sizes: Sizes
    folder: Path
    ends: float
    rows: dict[str, list[Row]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def has_time(self, what: str, seconds: float = 0.0) -> bool:
        """Whether there is time for something that takes about so long; what there is none for is left out."""
        if time.monotonic() + seconds < self.ends:
            return True
        self.left_out.append(what)
        return False

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


def measure_machine(session: Session) -> None:
    """Multiply matrices: what no network can be faster than."""
    side, device = session.sizes.matrix, session.device
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    for dtype in (torch.float32, torch.float16):
        one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        seconds = session.time(partial(torch.matmul, one, other))
        gflops = 2 * side**3 / seconds / 1e9
        session.add("machine", device=name, torch=torch.__version__, dtype=str(dtype), gflops=gflops)


def measure_views(session: Session) -> None:
    """Time views made of frames on the device beside those of the CPU, and compare their pixels."""
    height, width = session.sizes.frame
    frames = _draw(session.sizes.batch, (2 * height, 2 * width))
    boxes = [(17.3 * i, 9.1 * i, 17.3 * i + width / 2, 9.1 * i + height / 2) for i in range(len(frames))]
    kinds = {
        "resized to a half": [FrameGeometry(resize_matrix(0.5), width, height)] * len(frames),
        "resized to 0.37": [FrameGeometry(resize_matrix(0.37), width, height)] * len(frames),
        "crops": [compute_crop_geometry(box, (256, 256), 0.1) for box in boxes],
    }
    pinned = torch.from_numpy(frames)
    if session.device.type == "cuda":
        pinned = pinned.pin_memory()
    uploaded = pinned.to(session.device)
    upload = session.time(lambda: pinned.to(session.device, non_blocking=True))
    for name, geometries in kinds.items():
        rows = range(len(frames))
        wanted = np.stack([warp(frame, geometry) for frame, geometry in zip(frames, geometries, strict=True)])
        found = warp_frames(uploaded, rows, geometries).permute(0, 2, 3, 1).cpu().numpy()
        off = np.abs(found.astype(int) - wanted)
        device = session.time(partial(warp_frames, uploaded, rows, geometries))
        cpu = session.time(lambda g=geometries: [warp(f, each) for f, each in zip(frames, g, strict=True)])  # type: ignore[misc]
        session.add(
            "views",
            what=name,
            frames=len(frames),
            device_ms=1000 * device,
            upload_ms=1000 * upload,
            one_core_ms=1000 * cpu,
            largest_grey_levels=int(off.max()),
            mean_grey_levels=float(off.mean()),
        )


def compare_devices(session: Session) -> None:
    """Compare the outputs of networks on CPU and device, and those of 16 bits with those of 32."""
    for method, name in session.sizes.models:
        if not session.has_time(f"parity of {name}", 10):
            continue
        own = _make_run(session, method, name).load_model("cpu")
        images, *extra = make_example(own)
        wanted = _compute(own, images, extra)
        moved = own.to(session.device)
        on_device = [tensor.to(session.device) for tensor in (images, *extra)]
        # TF32 has 10 bits of mantissa, and is what cuDNN computes float32 convolutions in by default.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            exact = _compute(moved, on_device[0], on_device[1:])
        usual = _compute(moved, on_device[0], on_device[1:])
        half = torch.float16 if session.device.type == "cuda" else torch.bfloat16
        with torch.autocast(session.device.type, half):
            halved = _compute(moved, on_device[0], on_device[1:])
        session.add(
            "parity",
            model=name,
            method=method,
            float32_off=_find_largest(exact, wanted),
            default_off=_find_largest(usual, wanted),
            half_off=_find_largest(halved, wanted),
        )


def measure_rates(session: Session) -> None:
    """Count frames a second: of the network alone, of streams with views of CPU and device, from end to end."""
    height, width = session.sizes.frame
    video = session.folder / "video.mp4"
    write_video(video, _draw(session.sizes.frames, (height, width)))
    for method, name in session.sizes.models:
        run = _make_run(session, method, name)
        sources = {"boxes": _write_boxes(session)} if method == "top_down" else {}
        for precision in (32, 16):
            what = f"{name} ({method}) with {precision} bits"
            # The first measurement of a network is slow: cuDNN tries out its algorithms.
            if not session.has_time(f"rates of {what}", 20):
                continue
            if precision == 16 and session.device.type == "cpu":
                session.left_out.append(f"rates of {what}: a CPU has none")
                continue
            session.add(
                "rates",
                model=name,
                method=method,
                precision=precision,
                network_alone=_measure_network(session, run, precision),
                **_measure_streams(session, run, video, precision, sources),
                end_to_end=_measure_command(session, run, video, precision, sources),
            )


def _measure_network(session: Session, run: Run[RunSpec], precision: int) -> float:
    """Images a second that a network gets in tensors on the device, of the size of the video or of a crop."""
    model = run.load_model(session.device)
    height, width = model.spec.preprocess.size or (
        -(-side // model.size_multiple) * model.size_multiple for side in session.sizes.frame
    )
    images = torch.randint(0, 256, (session.sizes.batch, height, width, 3), dtype=torch.uint8)
    seen = images.to(session.device).permute(0, 3, 1, 2)

    def compute() -> None:
        with (
            torch.inference_mode(),
            torch.autocast(session.device.type, torch.float16, enabled=precision == 16),
        ):
            model(model.normalise(seen))

    return session.sizes.batch / session.time(compute)


def _measure_streams(
    session: Session, run: Run[RunSpec], video: Path, precision: int, sources: Mapping[str, Any]
) -> Row:
    """Frames a second that come out of the pipeline, with views made on the CPU and on the device."""
    found: Row = {}
    estimator = pose_core.load(
        run.path, str(session.device), session.sizes.batch, precision=precision, **sources
    )
    for name, on_device in (("views_by_cpu", False), ("views_by_device", True)):
        estimator.pipeline.device_views = on_device

        def stream() -> float:
            began = time.perf_counter()
            frames = sum(len(result.frames) for result in estimator.pipeline.run(estimator.open_video(video)))
            return frames / (time.perf_counter() - began)

        stream()
        found[name] = statistics.median(stream() for _ in range(3))
    return found


def _measure_command(
    session: Session, run: Run[RunSpec], video: Path, precision: int, sources: Mapping[str, Any]
) -> float:
    """Frames a second of ``pose predict``, once the model is loaded."""
    (outcome,) = pose_core.predict(
        run.path,
        video,
        session.folder / "results" / f"{run.path.name}-{precision}",
        device=str(session.device),
        batch_size=session.sizes.batch,
        precision=precision,
        overwrite=True,
        **sources,
    )
    if not isinstance(outcome, Outcome) or outcome.timing is None:
        raise SystemExit(f"{video}: could not be predicted")
    return float(outcome.timing.rate)


def train_steps(session: Session) -> None:
    """Train for some steps in mixed precision, and see that losses stay finite and fall."""
    height, width = session.sizes.frame
    scene = Scene(SceneSpec(seed=3, frames=80, size=(height // 2, width // 2)))
    project = session.folder / "project"
    write_project(project, scene.skeleton, scene_examples(scene, range(0, 80, 2), "scene"), name="gpu")
    for precision in ("32", "16-mixed" if session.device.type == "cuda" else "bf16-mixed"):
        if not session.has_time(f"training with {precision}", 30):
            continue
        epochs = max(2, session.sizes.steps // 5)
        began = time.perf_counter()
        run = pose_core.train(
            project,
            "unet",
            out=session.folder / f"trained-{precision}",
            epochs=epochs,
            device=str(session.device),
            settings={
                "train.precision": precision,
                "train.batch_size": 8,
                "train.validate_every": 1,
                "model.preprocess.scale": 1,
            },
        )
        losses = _read_losses(run.path)
        session.add(
            "training",
            precision=precision,
            epochs=epochs,
            seconds=time.perf_counter() - began,
            first_loss=losses[0],
            last_loss=losses[-1],
        )


def check_plugins(session: Session) -> None:
    """Run the checks of levels 3 and 1 of all plugins; first those that only a GPU can answer."""
    names = session.sizes.plugins or tuple(sorted({c.plugin.name for c in get_catalog().components()}))
    checks: list[Item] = [item for name in names for item in items(name, {1, 3})]
    order = {"runs_on_a_gpu": 0, "mixed_precision": 1, "channels_last": 2}
    checks.sort(key=lambda item: (order.get(item.check.name, 4 - item.check.level), item.id))
    counts: dict[str, int] = {}
    for done, item in enumerate(checks):
        if not session.has_time(f"{len(checks) - done} checks from {item.id}"):
            break
        outcome = run_check(item)
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
        if outcome.status == FAILED:
            session.add("conformance", plugin=outcome.plugin, check=outcome.id, reason=outcome.reason)
    session.add("conformance", plugins=len(names), checks=len(checks), **counts)


PARTS: dict[str, Callable[[Session], None]] = {
    "machine": measure_machine,
    "views": measure_views,
    "parity": compare_devices,
    "rates": measure_rates,
    "training": train_steps,
    "conformance": check_plugins,
}


def _make_run(session: Session, method: str, name: str) -> Run[RunSpec]:
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


def _write_boxes(session: Session) -> Path:
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


def _draw(frames: int, size: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Frames of one picture that moves: cheap to draw, and not trivial to encode."""
    height, width = size
    scene = Scene(SceneSpec(seed=1, frames=1, size=(min(256, height), min(256, width))))
    picture = np.pad(
        scene.frame(0).image,
        ((0, max(0, height - 256)), (0, max(0, width - 256)), (0, 0)),
        mode="wrap",
    )[:height, :width]
    return np.stack([np.roll(picture, 3 * number, axis=1) for number in range(frames)])


def _compute(model: PoseModel, images: Tensor, extra: list[Tensor]) -> list[Tensor]:
    with torch.inference_mode():
        found = model(images, **dict(zip(model.inputs, extra, strict=True)))
    return [tensor.float().cpu() for tensors in found.values() for tensor in tensors.values()]


def _find_largest(found: list[Tensor], wanted: list[Tensor]) -> float:
    """The largest difference, as a fraction of the largest value of its tensor."""
    return max(
        float((one - other).abs().max() / other.abs().max().clamp(min=1e-6))
        for one, other in zip(found, wanted, strict=True)
    )


def _read_losses(run: Path) -> list[float]:
    """The training loss of each epoch."""
    with (run / "history.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default=None, help="cuda; with --small cpu")
    parser.add_argument("--seconds", type=float, default=330.0, help="after which nothing new is begun")
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--out", type=Path, default=None, metavar="FILE.json")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    device = torch.device(options.device or ("cpu" if options.small else "cuda"))
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU here; --small tries the script out on a CPU")
    with tempfile.TemporaryDirectory() as folder:
        sizes = SMALL if options.small else Sizes()
        session = Session(device, sizes, Path(folder), time.monotonic() + options.seconds)
        for name in options.only:
            if session.has_time(name):
                PARTS[name](session)
            if options.out is not None:
                content = {"parts": session.rows, "left_out": session.left_out}
                options.out.write_text(json.dumps(content, indent=1))
    for line in session.left_out:
        print(f"left out: {line}")


if __name__ == "__main__":
    main()

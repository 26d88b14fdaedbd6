"""How fast a device is: multiplications, views, networks, predictions from end to end, training."""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_session import Row, Session, draw, make_run, write_boxes

import pose_core
from pose_core.data.device_warp import warp_frames
from pose_core.data.geometry import compute_crop_geometry, resize_matrix, warp
from pose_core.errors import PoseError
from pose_core.interfaces import FrameGeometry
from pose_core.model.runner import use_runtime
from pose_core.pipeline.computing import parse_runtime
from pose_core.prediction.result import Outcome
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec
from pose_core.structures import ByteArray
from pose_core.synthetic.encode import write_video
from pose_core.synthetic.projects import scene_examples, write_project
from pose_core.synthetic.scenes import Scene, SceneSpec


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
    frames = draw(session.sizes.batch, (2 * height, 2 * width))
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
        cpu = session.time(partial(_warp_each, frames, geometries))
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


def measure_rates(session: Session) -> None:
    """Count frames a second: of the network alone, of streams with views of CPU and device, from end to end."""
    height, width = session.sizes.frame
    video = session.folder / "video.mp4"
    write_video(video, draw(session.sizes.frames, (height, width)))
    for method, name in session.sizes.models:
        run = make_run(session, method, name)
        sources = {"boxes": write_boxes(session)} if method == "top_down" else {}
        for precision in (32, 16):
            what = f"{name} ({method}) with {precision} bits"
            # The first measurement of a network is slow: cuDNN tries out its algorithms.
            if not session.has_time(f"rates of {what}", 20):
                continue
            if precision == 16 and session.device.type == "cpu":
                session.leave_out(f"rates of {what}: a CPU has none")
                continue
            session.add(
                "rates",
                model=name,
                method=method,
                precision=precision,
                network_alone=_measure_network(session, run, precision),
                **_measure_graphs(session, run, video, precision, sources),
                **_measure_streams(session, run, video, precision, sources),
                end_to_end=_measure_command(session, run, video, precision, sources),
                **_measure_decoded_there(session, run, video, precision, sources),
            )


def _measure_network(
    session: Session, run: Run[RunSpec], precision: int, runtime: str | None = None
) -> float:
    """Images a second that a network gets in tensors on the device, of the size of the video or of a crop."""
    model = run.load_model(session.device)
    if runtime is not None:
        cache = session.folder / "runtimes" / run.path.name
        use_runtime(model, parse_runtime(runtime, "runtime"), cache, run.name, precision)
    height, width = model.spec.preprocess.size or (
        -(-side // model.size_multiple) * model.size_multiple for side in session.sizes.frame
    )
    images = torch.randint(0, 256, (session.sizes.batch, height, width, 3), dtype=torch.uint8)
    seen = images.to(session.device).permute(0, 3, 1, 2)

    def compute() -> None:
        with torch.inference_mode():
            if model.compute is not None:
                model.compute(seen, {})
                return
            with torch.autocast(session.device.type, torch.float16, enabled=precision == 16):
                model(model.normalise(seen))

    return session.sizes.batch / session.time(compute)


def _measure_graphs(
    session: Session, run: Run[RunSpec], video: Path, precision: int, sources: Mapping[str, Any]
) -> Row:
    """The same by CUDA graphs, where there are any."""
    if session.device.type != "cuda":
        return {}
    return {
        "network_by_graphs": _measure_network(session, run, precision, "cuda_graphs"),
        "end_to_end_by_graphs": _measure_command(session, run, video, precision, sources, "cuda_graphs"),
    }


def _measure_decoded_there(
    session: Session, run: Run[RunSpec], video: Path, precision: int, sources: Mapping[str, Any]
) -> Row:
    """From end to end once more, decoded by torchcodec where it is installed: on the device if that is a GPU."""
    settings = {"inference.decoder": "torchcodec"}
    try:
        pose_core.load(run.path, "cpu", settings=settings, **sources).open_video(video)
    except PoseError as error:
        session.leave_out(f"decoding by torchcodec: {error}")
        return {}
    rate = _measure_command(session, run, video, precision, sources, settings=settings)
    return {"end_to_end_by_torchcodec": rate}


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
    session: Session,
    run: Run[RunSpec],
    video: Path,
    precision: int,
    sources: Mapping[str, Any],
    runtime: str = "torch",
    settings: Mapping[str, str] | None = None,
) -> float:
    """Frames a second of ``pose predict``, once the model is loaded."""
    (outcome,) = pose_core.predict(
        run.path,
        video,
        session.folder / "results" / f"{run.path.name}-{precision}-{runtime}",
        device=str(session.device),
        batch_size=session.sizes.batch,
        precision=precision,
        runtime=runtime,
        settings=settings,
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


def _warp_each(frames: Sequence[ByteArray], geometries: Sequence[FrameGeometry]) -> list[ByteArray]:
    """Views by the cores, one after the other as each thread of the pipeline makes them."""
    return [warp(frame, geometry) for frame, geometry in zip(frames, geometries, strict=True)]


def _read_losses(run: Path) -> list[float]:
    """The training loss of each epoch."""
    with (run / "history.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]

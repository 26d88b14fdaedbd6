"""``pose adapt``: a model learns from its own confident predictions on videos."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pose_core
from pose_core import adapt, train
from pose_core.adaptation.adapt import PSEUDO_LABELS
from pose_core.adaptation.pseudo_labels import Counts, choose_labels
from pose_core.adaptation.sampled_frames import choose_frames
from pose_core.cli.adapt import adapt as cli_adapt
from pose_core.data.projects import read_project
from pose_core.errors import ConfigError, PoseError, RunError
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec
from pose_core.structures import ByteArray, FloatArray, Frame, Instances, Skeleton
from pose_core.synthetic.encode import write_video


@given(st.lists(st.integers(1, 50), min_size=1, max_size=5), st.integers(1, 80))
def test_frames_are_spread_evenly(counts: list[int], number: int) -> None:
    chosen = choose_frames(counts, number)
    assert len(chosen) == min(number, sum(counts)) == len(set(chosen))
    assert chosen == sorted(chosen)
    assert all(0 <= frame < counts[video] for video, frame in chosen)
    starts = np.cumsum([0, *counts])
    places = np.array([starts[video] + frame for video, frame in chosen])
    gaps = np.diff([-1, *places, sum(counts)])
    # Between frames all gaps are equal but for rounding, and half of that before the first and after the last.
    if len(gaps) > 2:
        assert np.ptp(gaps[1:-1]) <= 1
    assert abs(int(gaps[0]) - int(gaps[-1])) <= 1


def draw_discs(rng: np.random.Generator, light: float) -> tuple[ByteArray, FloatArray]:
    """A red and a green disc on grey noise, in some light."""
    image = rng.integers(90, 120, (64, 64, 3)).astype(np.float32)
    points = rng.uniform(12, 52, (2, 2))
    while np.linalg.norm(points[0] - points[1]) < 14:
        points = rng.uniform(12, 52, (2, 2))
    for point, colour in zip(points, ((230, 30, 30), (30, 230, 30)), strict=True):
        cv2.circle(image, [round(v * 16) for v in point], 5 * 16, colour, -1, cv2.LINE_AA, shift=4)
    return np.clip(image * light, 0, 255).astype(np.uint8), points.astype(np.float32)


TINY = {
    "model.preprocess.scale": 1,
    "model.backbone.filters": 4,
    "model.backbone.max_stride": 8,
    "model.backbone.output_stride": 2,
    "augmentation.crop.size": [48, 48],
    "augmentation.transforms.brightness_contrast.brightness": 0.05,
    "augmentation.transforms.brightness_contrast.contrast": 0.05,
}


@pytest.fixture(scope="module")
def trained(blob_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that finds the discs."""
    out = tmp_path_factory.mktemp("trained") / "run"
    return train(blob_project, "unet", out=out, settings=TINY, epochs=25, device="cpu").path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty frames with discs, darker than the project."""
    path = tmp_path_factory.mktemp("videos") / "dark room.mp4"
    rng = np.random.default_rng(3)
    write_video(path, (draw_discs(rng, 0.6)[0] for _ in range(60)))
    return path


def measure(run: Path, light: float) -> tuple[float, float]:
    """Mean error in pixels and mean score on new images in some light."""
    rng = np.random.default_rng(77)
    images = [draw_discs(rng, light) for _ in range(40)]
    found = pose_core.load(run, "cpu").predict([image for image, _ in images])
    errors = [
        np.linalg.norm(frame.instances.keypoints[0] - points, axis=-1)
        for frame, (_, points) in zip(found, images, strict=True)
    ]
    return float(np.mean(errors)), float(np.mean([frame.instances.keypoint_scores for frame in found]))


@pytest.mark.slow
def test_a_model_gets_used_to_a_darker_room(trained: Path, video: Path, tmp_path: Path) -> None:
    adapt(trained, video, out=tmp_path / "adapted", frames=60, threshold=0.4, device="cpu")
    before, after = measure(trained, 0.6), measure(tmp_path / "adapted", 0.6)
    # Measured with 100 frames: 0.44 px with score 0.63 before, 0.25 px with 0.98 after; in the old light 0.25 and 0.29.
    assert after[0] < before[0]
    assert after[1] > before[1]
    assert measure(tmp_path / "adapted", 1.0)[0] < 1, "and finds them in the old light"


@pytest.mark.long
def test_an_adapted_run_and_its_labels(trained: Path, video: Path, pose: Any, tmp_path: Path) -> None:
    out = tmp_path / "adapted"
    process = pose(
        *("adapt", trained, video, "--out", out, "--frames", "10", "--threshold", "0.3", "--epochs", "1"),
        *("--device", "cpu", "--set", "train.optimizer.lr=0.0001"),
    )
    assert process.returncode == 0, process.stderr
    assert " frames are labels now" in process.stderr
    assert "adapted; next: pose evaluate" in process.stdout

    old, new = Run.open(trained, RunSpec), Run.open(out, RunSpec)
    assert new.spec.model == old.spec.model
    assert new.spec.augmentation == old.spec.augmentation
    assert new.spec.inference == old.spec.inference
    assert new.spec.train.freeze_norms
    assert new.spec.train.optimizer.lr == 0.0001
    assert new.provenance["split"]["validation"] == new.provenance["split"]["test"] == []

    project = read_project(out / PSEUDO_LABELS)
    assert 0 < len(project.images) <= 10
    estimator = pose_core.load(trained, "cpu", threshold=0.3)
    frames = list(estimator.predict_video(video))
    for image in project.images:
        number = int(Path(image.name).stem)
        assert image.name == f"images/0-dark_room/{number:06d}.png"
        np.testing.assert_allclose(
            image.instances.keypoints[0], frames[number].instances.keypoints[0], atol=1e-3
        )

    # Measured by real labels alone; what the first run has seen, this one has seen, too.
    with pytest.raises(PoseError, match=r"the test split has no images"):
        pose_core.evaluate(out, device="cpu")
    result = pose_core.evaluate(out, "all", old.spec.data.source, device="cpu")
    assert any("was trained on or chosen by 26 of the 32" in note for note in result.notes), result.notes


def test_crops_with_their_detector(blob_project: Path, video: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        **{key: value for key, value in TINY.items() if key.startswith("model.backbone")},
        "model.preprocess.size": [64, 64],
        "stages.detector.train.weights": "none",
        "stages.detector.network.size": [64, 64],
    }
    run = train(
        blob_project,
        "top_down_unet",
        out=tmp_path / "run",
        detector="ssdlite",
        settings=settings,
        epochs=1,
        device="cpu",
    )
    # Nothing is sure after one epoch: 0 takes all that is found.
    adapted = adapt(
        run.path, [video, video], out=tmp_path / "new", frames=6, threshold=0, epochs=1, device="cpu"
    )
    assert list(adapted.stages) == ["detector"]
    weights = [
        (path / "stages/detector/weights.safetensors").read_bytes() for path in (run.path, adapted.path)
    ]
    assert weights[0] == weights[1], "the detector stays as it is"
    names = {Path(image.name).parent.name for image in read_project(adapted.path / PSEUDO_LABELS).images}
    assert names <= {"0-dark_room", "1-dark_room"}


def test_the_part_of_frames_that_the_run_looks_at(trained: Path, video: Path, tmp_path: Path) -> None:
    region = "16,8,64,56"
    adapt(trained, video, out=tmp_path / "new", frames=5, threshold=0, epochs=1, region=region, device="cpu")
    project = read_project(tmp_path / "new" / PSEUDO_LABELS)
    frames = list(pose_core.load(trained, "cpu", region=region).predict_video(video))
    for image in project.images:
        assert (image.width, image.height) == (48, 48)
        found = frames[int(Path(image.name).stem)].instances.keypoints[0]
        np.testing.assert_allclose(image.instances.keypoints[0] + [16, 8], found, atol=1e-3)


def interrupt(*arguments: Any, **options: Any) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_prediction_leaves_nothing(
    trained: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pose_core.adaptation.pseudo_labels.choose_labels", interrupt)
    with pytest.raises(KeyboardInterrupt):
        adapt(trained, video, out=tmp_path / "new", frames=5, device="cpu")
    assert not list((tmp_path / "new").iterdir() if (tmp_path / "new").exists() else ())


def test_the_command_has_the_defaults_of_the_function() -> None:
    function, command = inspect.signature(adapt).parameters, inspect.signature(cli_adapt).parameters
    shared = [name for name in function if name in command]
    assert {"frames", "threshold", "epochs", "device", "resume"} <= set(shared)
    assert {n: command[n].default for n in shared} == {n: function[n].default for n in shared}


def test_an_interrupted_adaptation_goes_on_with_its_labels(
    trained: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"frames": 5, "threshold": 0, "device": "cpu"}
    with monkeypatch.context() as killed:
        killed.setattr("pose_core.adaptation.adapt.train_project", interrupt)
        with pytest.raises(KeyboardInterrupt):
            adapt(trained, video, out=tmp_path / "new", **options)
    with pytest.raises(
        RunError, match=r"pseudo_labels: is there from an earlier try; resume=True trains on what"
    ):
        adapt(trained, video, out=tmp_path / "new", **options)
    monkeypatch.setattr("pose_core.adaptation.adapt.load", None)
    run = adapt(trained, video, out=tmp_path / "new", resume=True, epochs=1, **options)
    assert run.finished
    with pytest.raises(RunError, match=r"already holds a run"):
        adapt(trained, video, out=tmp_path / "new", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"threshold": 1.0},
            r"threshold=1: .* is sure of no animal in 60 frames",
        ),
        ({"threshold": 1.5}, r"threshold=1\.5: must be from 0 to 1"),
        ({"frames": 0}, r"frames=0: must be at least 1"),
        ({"videos": []}, r"name a video"),
        ({"videos": ["nowhere.mp4"]}, r"nowhere\.mp4: no such file"),
        ({"videos": [__file__]}, r"test_adapt\.py: "),
        ({"settings": {"train.bacth_size": 1}}, r"train\.bacth_size: unknown key"),
        ({"settings": {"train.optimizer.lr": -1}}, r"train\.optimizer\.lr: must be"),
        ({"device": "gpu"}, r"device"),
        ({"detector": "runs/x"}, r"detector"),
    ],
)
def test_what_cannot_be_adapted_is_refused(
    options: dict[str, Any], message: str, trained: Path, video: Path, tmp_path: Path
) -> None:
    given = {"videos": video, "device": "cpu", "frames": 60, **options}
    videos = given.pop("videos")
    with pytest.raises(PoseError, match=message) as caught:
        adapt(trained, videos, out=tmp_path / "new", **given)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "new").glob("*")), "refused before anything is predicted, or removed again"


def test_a_run_of_centres_and_the_run_itself_are_refused(
    blob_project: Path, trained: Path, video: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"out=.*: is the run itself"):
        adapt(trained, video, out=trained)
    centres = train(
        blob_project, "centroid_unet", out=tmp_path / "centres", settings=TINY, epochs=1, device="cpu"
    ).path
    with pytest.raises(ConfigError, match=r"finds centres; adapt the pose network that uses it"):
        adapt(centres, video, out=tmp_path / "new")


class Estimator:
    """What :func:`choose_labels` asks of an estimator."""

    def __init__(self, view: str, identified: bool, untrained: Sequence[str] = ()) -> None:
        self.skeleton = Skeleton(("a", "b", "c", "d"), individuals=("one", "two"), identified=identified)
        self.spec: Any = type("Spec", (), {"untrained_keypoints": untrained})
        self.spec.model = type("Model", (), {"view": view})


def choose(
    found: Sequence[int], view: str, identity: Sequence[int] = (-1, -1), **about: Any
) -> tuple[int, Counts]:
    """How many animals become labels, where so many of the four keypoints of each are confident."""
    points = np.full((len(found), 4, 2), np.nan, np.float32)
    for animal, sure in enumerate(found):
        points[animal, :sure] = animal
    animals = Instances.from_keypoints(points, identity=identity[: len(found)])
    counts = Counts()
    estimator: Any = Estimator(view, identified=about.pop("identified", False), **about)
    labels = choose_labels(Frame(0, animals), estimator, counts)
    return 0 if labels is None else len(labels.instances), counts


def test_a_model_teaches_what_it_is_sure_of() -> None:
    assert choose((4, 2), "frame")[0] == 2
    # In a whole frame the doubtful animal would be background; a crop is about its own animal.
    taken, counts = choose((4, 1), "frame")
    assert (taken, counts.doubtful, counts.labelled) == (0, 1, 0)
    taken, counts = choose((4, 1), "animal")
    assert (taken, counts.animals, counts.keypoints) == (1, 1, 4)
    assert choose((1, 1), "animal")[1].empty == 1
    assert choose((), "frame")[1].empty == 1
    assert choose((4, 4), "frame", identity=(0, -1), identified=True)[0] == 0
    assert choose((4, 4), "frame", identity=(1, 0), identified=True)[0] == 2
    # Keypoints that the network never finds do not make an animal doubtful.
    assert choose((1,), "frame", untrained=("b", "c", "d"))[0] == 1


def test_a_keypoint_without_any_label_is_predicted_as_before(trained: Path, tmp_path: Path) -> None:
    """Green is nowhere to be seen in these frames."""
    path, rng = tmp_path / "red.mp4", np.random.default_rng(5)

    def frames() -> Iterator[ByteArray]:
        for _ in range(12):
            image, points = draw_discs(rng, 1.0)
            cv2.circle(image, [round(float(v)) for v in points[1]], 7, (105, 105, 105), -1)
            yield image

    write_video(path, frames())
    run = adapt(trained, path, out=tmp_path / "new", frames=12, threshold=0.6, epochs=1, device="cpu")
    labels = read_project(run.path / PSEUDO_LABELS)
    assert all(np.isnan(image.instances.keypoints[:, 1]).all() for image in labels.images)
    assert run.spec.untrained_keypoints == ()
    assert measure(run.path, 1.0)[0] < 1


def test_a_damaged_frame_is_counted(
    trained: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pose_core.adaptation import sampled_frames
    from pose_core.errors import DataError

    read, calls = sampled_frames.read_image, []

    def damaged(reference: Any) -> ByteArray:
        calls.append(reference.index)
        if len(calls) == 2:
            raise DataError("no such picture")
        return read(reference)

    monkeypatch.setattr(sampled_frames, "read_image", damaged)
    notes: list[str] = []

    class Notes:
        def note(self, line: str) -> None:
            notes.append(line)

        def progress(self, what: str, done: float, total: float | None) -> None:
            pass

    from pose_core.adaptation.adapt import adapt_run
    from pose_core.training.options import TrainOptions

    options = TrainOptions(weights=str(trained), epochs=1, device="cpu")
    adapt_run(trained, [video], tmp_path / "new", 4, 0.0, options, reporter=Notes())
    assert any(
        line.endswith("in 3 frames are labels now; left out: 1 that cannot be decoded") for line in notes
    )

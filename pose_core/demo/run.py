"""Run the demo with the functions behind the other commands."""

from __future__ import annotations

import difflib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_core.catalog import available_models, get_catalog
from pose_core.demo import folder as names
from pose_core.demo.report import render_report
from pose_core.demo.summary import DemoResults, compose_closing_lines, make_report
from pose_core.errors import ConfigError, DataError, VideoError
from pose_core.evaluation.run import evaluate_poses
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.model.device import choose_device
from pose_core.prediction.predict import predict
from pose_core.prediction.render import render
from pose_core.prediction.result import Outcome
from pose_core.reporting import Reporter
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec
from pose_core.specs.resolve import choose_model
from pose_core.specs.run import needs_of_method
from pose_core.specs.train import Seconds
from pose_core.specs.validation_errors import validate_option
from pose_core.structures import ByteArray, FloatArray
from pose_core.synthetic.encode import write_video
from pose_core.synthetic.projects import Example, scene_examples, write_project
from pose_core.synthetic.scenes import Scene, SceneSpec
from pose_core.training.options import TrainOptions
from pose_core.training.prepare import prepare
from pose_core.training.train_run import train_run

FPS = 25
CLIPS = 12
CLIP_FRAMES = 120
STEPS = 2400
"""Optimiser steps of the training, if the time allows."""

SETTINGS = ("model.preprocess.scale=0.75", "augmentation.crop.size=[160, 160]")
"""Settings that differ from the defaults of ``pose train``, because the time is short."""


@dataclass(frozen=True)
class DemoOptions:
    """Choices of the user: see the options of ``pose demo``."""

    out: Path
    model: str | None
    seed: int
    images: int
    seconds: float
    max_time: str
    epochs: int | None
    device: str


def run_demo(options: DemoOptions, reporter: Reporter, *, overwrite: bool = False) -> list[str]:
    """Run the whole demo.

    Args:
        options: choices of the user.
        reporter: is told how it goes.
        overwrite: replace an earlier demo in the same folder.

    Returns:
        lines to print: results, files, and commands for the user's own project.

    Raises:
        ConfigError: the folder, the model or a setting cannot be used.
    """
    # All options are checked before an earlier demo is removed.
    model = _choose_model(options.model or only_model())
    choose_device(options.device)
    validate_option("--max-time", options.max_time, Seconds)
    with names.prepare_demo_folder(options.out, overwrite) as replaced:
        if replaced:
            reporter.note(f"{options.out}: replacing the earlier demo")
        try:
            return _Demo(options, model, reporter).make()
        except KeyboardInterrupt:
            reporter.note(f"stopped; the unfinished demo in {options.out} is removed")
            raise


def _choose_model(name: str) -> str:
    """Find a model that predicts the demo's video by itself, as no other network is trained."""
    chosen = choose_model(name, multi_animal=False)
    if needs := needs_of_method(chosen.method):
        alone = sorted({m.name for m in get_catalog().models() if not needs_of_method(m.method)})
        near = difflib.get_close_matches(name, alone, n=3, cutoff=0.3) or alone[:3]
        raise ConfigError(
            f"--model {name}: needs {' and '.join(needs)} of another network, which the demo does "
            f"not train; choose a model that finds animals by itself, such as {', '.join(near)}"
        )
    return chosen.name


def only_model() -> str:
    """The one installed model for one animal."""
    methods = [m.name for m in get_catalog().methods() if m.animals == "one"]
    installed = sorted({name for method in methods for name in available_models(method)})
    if not installed:
        advice = get_catalog().advice_on_methods(methods)
        raise ConfigError(
            "no installed plugin offers a model for one animal ('pose plugins' lists what is installed); "
            f"{advice}"
        )
    if len(installed) > 1:
        raise ConfigError(f"several models are installed; choose one with --model: {', '.join(installed)}")
    return installed[0]


class _Demo:
    def __init__(self, options: DemoOptions, model: str, reporter: Reporter) -> None:
        self.options, self.model, self.reporter = options, model, reporter
        self.frames = max(round(options.seconds * FPS), 5)
        rng = np.random.default_rng([options.seed, 5])
        # The same animal in all clips; the background is another one in each, and in the video.
        self.coat = int(rng.integers(100))
        self.seeds = [int(s) for s in rng.choice(10**6, CLIPS + 1, replace=False)]

    def make(self) -> list[str]:
        started, out = time.monotonic(), self.options.out
        project, video = out / names.PROJECT, out / names.VIDEO
        self._title(1, f"rendering {self.options.images} labelled images and {self.frames} frames of video")
        skeleton = Scene(SceneSpec(frames=1, clutter=0)).skeleton
        write_project(project, skeleton, self._examples(), name="synthetic animal")
        truth: list[FloatArray] = []
        write_video(video, self._film(truth), FPS)
        self._title(2, f"training {self.model} on the labelled images, at most {self.options.max_time}")
        run = self._train(project)
        self._title(3, "evaluating on the images that were kept for the test")
        result = evaluate_poses(run, "test", device=self.options.device, reporter=self.reporter)
        self._title(4, "predicting the video, which the network has not seen")
        outcome = self._predict(run, video)
        self._title(5, "drawing the predictions into the video")
        render(outcome.result, video, out / names.LABELLED, reporter=self.reporter)
        self._title(6, "writing the report")
        shutil.copyfile(Path(result.folder) / "predictions.png", out / names.SHEET)
        shutil.copyfile(run.path / "training_curves.png", out / names.CURVES)
        demo = DemoResults(
            out=out,
            model=self.model,
            images=self.options.images,
            run=run,
            result=result,
            video_error=_error(outcome.result, truth),
            frames=self.frames,
            frames_per_second=outcome.timing.frames / outcome.timing.seconds if outcome.timing else None,
            settings=SETTINGS,
            seconds=time.monotonic() - started,
        )
        (out / names.REPORT).write_text(render_report(make_report(demo)), encoding="utf-8")
        return compose_closing_lines(demo)

    def _scene(self, number: int, frames: int) -> Scene:
        return Scene(SceneSpec(seed=self.seeds[number], frames=frames, coat=self.coat))

    def _examples(self) -> Iterator[Example]:
        """Render labelled frames, spread evenly over all clips."""
        total = self.options.images
        for clip, numbers in enumerate(np.array_split(np.arange(total), CLIPS)):
            scene = self._scene(clip, CLIP_FRAMES)
            chosen = np.linspace(0, CLIP_FRAMES - 1, len(numbers)).astype(int).tolist()
            for number, example in zip(
                numbers, scene_examples(scene, chosen, f"clip{clip:02d}"), strict=True
            ):
                yield example
                self._rendered(int(number) + 1)

    def _film(self, truth: list[FloatArray]) -> Iterator[ByteArray]:
        """Render the frames of the video, and append their keypoints to ``truth``."""
        for t, frame in enumerate(self._scene(CLIPS, self.frames)):
            found = frame.instances.keypoints
            # A scene has no instance of an animal that is outside the image.
            truth.append(found[0] if len(found) else np.full(found.shape[1:], np.nan, np.float32))
            yield frame.image
            self._rendered(self.options.images + t + 1)

    def _train(self, project: Path) -> Run:
        options = self.options
        # Prepared twice: the number of epochs follows from the number of training images, which the split
        # decides.
        prepared = prepare(project, self.model, assignments=SETTINGS, options=self._limits(1))
        steps_an_epoch = -(-len(prepared.split.train) // prepared.spec.train.decided().batch_size)
        prepared = prepare(
            project, self.model, assignments=SETTINGS, options=self._limits(-(-STEPS // steps_an_epoch))
        )
        train_run(prepared, options.out / names.RUN, reporter=self.reporter)
        return Run.open(options.out / names.RUN, RunSpec)

    def _limits(self, epochs: int) -> TrainOptions:
        options = self.options
        return TrainOptions(
            epochs=options.epochs or epochs,
            max_time=options.max_time,
            device=options.device,
            seed=options.seed,
        )

    def _rendered(self, done: int) -> None:
        self.reporter.progress("rendering", done, self.options.images + self.frames)

    def _predict(self, run: Run, video: Path) -> Outcome:
        def finished(name: str, outcome: Outcome | VideoError | DataError) -> None:
            if not isinstance(outcome, Outcome):
                raise outcome

        folder, device = self.options.out / names.PREDICTIONS, self.options.device
        (outcome,) = predict(
            run.path, [video], folder, device=device, reporter=self.reporter, finished=finished
        )
        assert isinstance(outcome, Outcome)
        return outcome

    def _title(self, number: int, text: str) -> None:
        self.reporter.note(f"{number}/6  {text}")


def _error(predictions: Path, truth: list[FloatArray]) -> float:
    """Measure the mean error on the video in pixels, hidden keypoints included."""
    found = np.full((len(truth), *truth[0].shape), np.nan, np.float32)
    for frame in open_predictions(predictions):
        if len(frame.instances):
            found[frame.index] = frame.instances.keypoints[0]
    # Keypoints that were not found are NaN and do not count.
    distance = np.sqrt(((found - np.stack(truth)) ** 2).sum(axis=-1))
    return float(np.nanmean(distance))

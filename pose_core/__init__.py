"""pose_core: a minimal core for animal pose estimation; every architecture, format and detector is a plugin.

The public names are imported when they are first used, so that ``import pose_core`` stays cheap (no torch).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pose_core.lazy_exports import export_lazily

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pose_core.adaptation.adapt import adapt
    from pose_core.catalog import available_detectors, available_models
    from pose_core.catalog.registration import register
    from pose_core.errors import PoseError
    from pose_core.evaluation.compare import compare
    from pose_core.evaluation.run import evaluate
    from pose_core.experiments.seeds import train_seeds
    from pose_core.exporting.export_run import export
    from pose_core.hooks import hookimpl
    from pose_core.inspection.inspect_project import inspect_project
    from pose_core.inspection.show_batch import draw_batch
    from pose_core.inspection.show_maps import draw_maps
    from pose_core.prediction.estimator import PoseEstimator, load
    from pose_core.prediction.plot import plot_predictions
    from pose_core.prediction.predict import predict
    from pose_core.prediction.worker import work
    from pose_core.runs.importing import import_model
    from pose_core.runs.run_folder import Run
    from pose_core.specs import RunSpec
    from pose_core.structures import Frame, Instances, LabelledDataset, LabelledImage, Skeleton
    from pose_core.tracking.filter import filter_predictions
    from pose_core.tracking.live import FrameTracker
    from pose_core.tracking.track import track
    from pose_core.training.decided_config import make_config
    from pose_core.training.train_project import train
    from pose_core.workers.engines import cancel
    from pose_core.workers.status import read_status

_HOME = {
    "Frame": "pose_core.structures",
    "FrameTracker": "pose_core.tracking.live",
    "Instances": "pose_core.structures",
    "LabelledDataset": "pose_core.structures",
    "LabelledImage": "pose_core.structures",
    "PoseError": "pose_core.errors",
    "PoseEstimator": "pose_core.prediction.estimator",
    "Run": "pose_core.runs.run_folder",
    "RunSpec": "pose_core.specs",
    "Skeleton": "pose_core.structures",
    "adapt": "pose_core.adaptation.adapt",
    "available_detectors": "pose_core.catalog",
    "available_models": "pose_core.catalog",
    "cancel": "pose_core.workers.engines",
    "compare": "pose_core.evaluation.compare",
    "draw_batch": "pose_core.inspection.show_batch",
    "draw_maps": "pose_core.inspection.show_maps",
    "evaluate": "pose_core.evaluation.run",
    "filter_predictions": "pose_core.tracking.filter",
    "hookimpl": "pose_core.hooks",
    "import_model": "pose_core.runs.importing",
    "inspect_project": "pose_core.inspection.inspect_project",
    "load": "pose_core.prediction.estimator",
    "make_config": "pose_core.training.decided_config",
    "track": "pose_core.tracking.track",
    "train": "pose_core.training.train_project",
    "plot_predictions": "pose_core.prediction.plot",
    "export": "pose_core.exporting.export_run",
    "train_seeds": "pose_core.experiments.seeds",
    "predict": "pose_core.prediction.predict",
    "read_status": "pose_core.workers.status",
    "register": "pose_core.catalog.registration",
    "work": "pose_core.prediction.worker",
}

__all__ = [
    "Frame",
    "FrameTracker",
    "Instances",
    "LabelledDataset",
    "LabelledImage",
    "PoseError",
    "PoseEstimator",
    "Run",
    "RunSpec",
    "Skeleton",
    "__version__",
    "adapt",
    "available_detectors",
    "available_models",
    "cancel",
    "compare",
    "draw_batch",
    "draw_maps",
    "evaluate",
    "export",
    "filter_predictions",
    "hookimpl",
    "import_model",
    "inspect_project",
    "load",
    "make_config",
    "plot_predictions",
    "predict",
    "read_status",
    "register",
    "track",
    "train",
    "train_seeds",
    "work",
]


__getattr__, __dir__ = export_lazily(__name__, _HOME)

"""What a plugin implements, a file per kind. torch begins here.

Every network part is made as ``factory(config, context)``: ``config`` is the validated config of the
component, ``context`` a :class:`BuildContext`.
"""

from pose_core.interfaces.backbone import NO_INSERTS, Backbone, Insert, Inserts, insert
from pose_core.interfaces.calibration import Calibration
from pose_core.interfaces.codec import Predictor, TargetGenerator
from pose_core.interfaces.context import BuildContext, Grid
from pose_core.interfaces.detector import Detector
from pose_core.interfaces.geometry import FrameGeometry, Matrix, points_through
from pose_core.interfaces.head import Head
from pose_core.interfaces.hub import (
    RemoteFile,
    hugging_face,
    load_plain,
    load_pretrained,
    read_tensors,
    storage_problem,
)
from pose_core.interfaces.importer import Imported, ImportedNetwork, Importer
from pose_core.interfaces.inputs import ExtraInput
from pose_core.interfaces.keypoints import KeypointAxis
from pose_core.interfaces.loss import Loss
from pose_core.interfaces.neck import Neck
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.interfaces.reader import Reader
from pose_core.interfaces.stage import (
    BoxNetwork,
    CropNetwork,
    EarlierStages,
    FrameGroup,
    FrameNetwork,
    Network,
    Stage,
    StageContext,
    StageResult,
    View,
)
from pose_core.interfaces.tensors import Labels, Predictions, Target
from pose_core.interfaces.timm_weights import load_timm
from pose_core.interfaces.writer import PredictionsHeader, PredictionsStream, Writer

__all__ = [
    "NO_INSERTS",
    "Backbone",
    "BoxNetwork",
    "BuildContext",
    "Calibration",
    "CropNetwork",
    "Detector",
    "EarlierStages",
    "ExtraInput",
    "FrameGeometry",
    "FrameGroup",
    "FrameNetwork",
    "Grid",
    "Head",
    "Imported",
    "ImportedNetwork",
    "Importer",
    "Insert",
    "Inserts",
    "KeypointAxis",
    "Labels",
    "Loss",
    "Matrix",
    "Neck",
    "Network",
    "Predictions",
    "PredictionsHeader",
    "PredictionsStream",
    "Predictor",
    "Reader",
    "RemoteFile",
    "Stage",
    "StageContext",
    "StageResult",
    "Target",
    "TargetGenerator",
    "View",
    "Writer",
    "hugging_face",
    "insert",
    "load_plain",
    "load_pretrained",
    "load_timm",
    "open_predictions",
    "points_through",
    "read_tensors",
    "storage_problem",
]

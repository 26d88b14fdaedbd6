"""Interfaces that plugins implement, a file per kind. torch begins here, and is
imported with the first name that needs it: readers of labels and the decisions before a training do without.

Every network part is made as ``factory(config, context)``: ``config`` is the validated config of the
component, ``context`` a :class:`BuildContext`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pose_core.lazy_exports import export_lazily

if TYPE_CHECKING:
    from pose_core.interfaces.backbone import NO_INSERTS, Backbone, Insert, Inserts, insert
    from pose_core.interfaces.calibration import Calibration
    from pose_core.interfaces.codec import Predictor, TargetGenerator
    from pose_core.interfaces.context import BuildContext, Grid
    from pose_core.interfaces.conversion import find_reason, keep_quiet
    from pose_core.interfaces.detector import Detector
    from pose_core.interfaces.engine import Engine, EngineHandle, WorkerPlan
    from pose_core.interfaces.exporter import Exporter, ExporterContext, WrittenNetwork
    from pose_core.interfaces.filter import Filter, FilterContext, Series
    from pose_core.interfaces.geometry import FrameGeometry, Matrix, points_through
    from pose_core.interfaces.head import Head
    from pose_core.interfaces.hub import (
        RemoteFile,
        hugging_face,
        load_plain,
        load_pretrained,
        read_tensors,
        refused_global,
        storage_problem,
        torchvision_file,
    )
    from pose_core.interfaces.importer import Imported, ImportedNetwork, ImportedTraining, Importer
    from pose_core.interfaces.inputs import ExtraInput
    from pose_core.interfaces.keypoints import KeypointAxis
    from pose_core.interfaces.logger import Logger, LoggerContext
    from pose_core.interfaces.loss import Loss
    from pose_core.interfaces.map_view import MapView
    from pose_core.interfaces.neck import Neck
    from pose_core.interfaces.prediction_files import open_predictions
    from pose_core.interfaces.reader import Reader
    from pose_core.interfaces.runtime import Runtime, RuntimeContext
    from pose_core.interfaces.schedule import Schedule, ScheduleContext
    from pose_core.interfaces.similarity import compare_poses, drop_repeated, find_duplicates
    from pose_core.interfaces.stage import (
        BoxNetwork,
        CropNetwork,
        EarlierStages,
        FrameGroup,
        FrameNetwork,
        Network,
        Picture,
        Stage,
        StageContext,
        StageResult,
        View,
    )
    from pose_core.interfaces.state_dicts import (
        describe_non_finite,
        find_non_finite,
        unwrap,
        without_common_prefix,
    )
    from pose_core.interfaces.tensors import Labels, Predictions, Target
    from pose_core.interfaces.timm_weights import load_timm
    from pose_core.interfaces.tracker import Tracker, TrackerContext, Tracklet, TrackletEnd
    from pose_core.interfaces.transform import (
        GeometricTransform,
        LabelledView,
        LabelTransform,
        Movement,
        PixelTransform,
        PlacedLabels,
        Transform,
        TransformContext,
        cover_labels,
    )
    from pose_core.interfaces.warning import warn_once
    from pose_core.interfaces.writer import PredictionsHeader, PredictionsStream, Writer

_HOME = {
    "Backbone": "pose_core.interfaces.backbone",
    "BoxNetwork": "pose_core.interfaces.stage",
    "BuildContext": "pose_core.interfaces.context",
    "Calibration": "pose_core.interfaces.calibration",
    "CropNetwork": "pose_core.interfaces.stage",
    "Detector": "pose_core.interfaces.detector",
    "find_reason": "pose_core.interfaces.conversion",
    "keep_quiet": "pose_core.interfaces.conversion",
    "EarlierStages": "pose_core.interfaces.stage",
    "Engine": "pose_core.interfaces.engine",
    "EngineHandle": "pose_core.interfaces.engine",
    "ExtraInput": "pose_core.interfaces.inputs",
    "Filter": "pose_core.interfaces.filter",
    "FilterContext": "pose_core.interfaces.filter",
    "Series": "pose_core.interfaces.filter",
    "FrameGeometry": "pose_core.interfaces.geometry",
    "FrameGroup": "pose_core.interfaces.stage",
    "FrameNetwork": "pose_core.interfaces.stage",
    "GeometricTransform": "pose_core.interfaces.transform",
    "Grid": "pose_core.interfaces.context",
    "Head": "pose_core.interfaces.head",
    "Imported": "pose_core.interfaces.importer",
    "ImportedNetwork": "pose_core.interfaces.importer",
    "ImportedTraining": "pose_core.interfaces.importer",
    "Importer": "pose_core.interfaces.importer",
    "Insert": "pose_core.interfaces.backbone",
    "Inserts": "pose_core.interfaces.backbone",
    "KeypointAxis": "pose_core.interfaces.keypoints",
    "LabelTransform": "pose_core.interfaces.transform",
    "LabelledView": "pose_core.interfaces.transform",
    "Labels": "pose_core.interfaces.tensors",
    "Logger": "pose_core.interfaces.logger",
    "LoggerContext": "pose_core.interfaces.logger",
    "Loss": "pose_core.interfaces.loss",
    "MapView": "pose_core.interfaces.map_view",
    "Matrix": "pose_core.interfaces.geometry",
    "Movement": "pose_core.interfaces.transform",
    "NO_INSERTS": "pose_core.interfaces.backbone",
    "Neck": "pose_core.interfaces.neck",
    "Network": "pose_core.interfaces.stage",
    "Picture": "pose_core.interfaces.stage",
    "PixelTransform": "pose_core.interfaces.transform",
    "PlacedLabels": "pose_core.interfaces.transform",
    "Predictions": "pose_core.interfaces.tensors",
    "PredictionsHeader": "pose_core.interfaces.writer",
    "PredictionsStream": "pose_core.interfaces.writer",
    "Predictor": "pose_core.interfaces.codec",
    "Reader": "pose_core.interfaces.reader",
    "RemoteFile": "pose_core.interfaces.hub",
    "Exporter": "pose_core.interfaces.exporter",
    "ExporterContext": "pose_core.interfaces.exporter",
    "WrittenNetwork": "pose_core.interfaces.exporter",
    "Runtime": "pose_core.interfaces.runtime",
    "RuntimeContext": "pose_core.interfaces.runtime",
    "Schedule": "pose_core.interfaces.schedule",
    "ScheduleContext": "pose_core.interfaces.schedule",
    "Stage": "pose_core.interfaces.stage",
    "StageContext": "pose_core.interfaces.stage",
    "StageResult": "pose_core.interfaces.stage",
    "Target": "pose_core.interfaces.tensors",
    "TargetGenerator": "pose_core.interfaces.codec",
    "Tracker": "pose_core.interfaces.tracker",
    "TrackerContext": "pose_core.interfaces.tracker",
    "Tracklet": "pose_core.interfaces.tracker",
    "TrackletEnd": "pose_core.interfaces.tracker",
    "Transform": "pose_core.interfaces.transform",
    "TransformContext": "pose_core.interfaces.transform",
    "View": "pose_core.interfaces.stage",
    "WorkerPlan": "pose_core.interfaces.engine",
    "Writer": "pose_core.interfaces.writer",
    "compare_poses": "pose_core.interfaces.similarity",
    "cover_labels": "pose_core.interfaces.transform",
    "describe_non_finite": "pose_core.interfaces.state_dicts",
    "drop_repeated": "pose_core.interfaces.similarity",
    "find_duplicates": "pose_core.interfaces.similarity",
    "find_non_finite": "pose_core.interfaces.state_dicts",
    "hugging_face": "pose_core.interfaces.hub",
    "insert": "pose_core.interfaces.backbone",
    "load_plain": "pose_core.interfaces.hub",
    "load_pretrained": "pose_core.interfaces.hub",
    "load_timm": "pose_core.interfaces.timm_weights",
    "open_predictions": "pose_core.interfaces.prediction_files",
    "points_through": "pose_core.interfaces.geometry",
    "read_tensors": "pose_core.interfaces.hub",
    "refused_global": "pose_core.interfaces.hub",
    "storage_problem": "pose_core.interfaces.hub",
    "torchvision_file": "pose_core.interfaces.hub",
    "unwrap": "pose_core.interfaces.state_dicts",
    "warn_once": "pose_core.interfaces.warning",
    "without_common_prefix": "pose_core.interfaces.state_dicts",
}

__all__ = [
    "NO_INSERTS",
    "Backbone",
    "BoxNetwork",
    "BuildContext",
    "Calibration",
    "CropNetwork",
    "Detector",
    "EarlierStages",
    "Engine",
    "EngineHandle",
    "Exporter",
    "ExporterContext",
    "ExtraInput",
    "Filter",
    "FilterContext",
    "FrameGeometry",
    "FrameGroup",
    "FrameNetwork",
    "GeometricTransform",
    "Grid",
    "Head",
    "Imported",
    "ImportedNetwork",
    "ImportedTraining",
    "Importer",
    "Insert",
    "Inserts",
    "KeypointAxis",
    "LabelTransform",
    "LabelledView",
    "Labels",
    "Logger",
    "LoggerContext",
    "Loss",
    "MapView",
    "Matrix",
    "Movement",
    "Neck",
    "Network",
    "Picture",
    "PixelTransform",
    "PlacedLabels",
    "Predictions",
    "PredictionsHeader",
    "PredictionsStream",
    "Predictor",
    "Reader",
    "RemoteFile",
    "Runtime",
    "RuntimeContext",
    "Schedule",
    "ScheduleContext",
    "Series",
    "Stage",
    "StageContext",
    "StageResult",
    "Target",
    "TargetGenerator",
    "Tracker",
    "TrackerContext",
    "Tracklet",
    "TrackletEnd",
    "Transform",
    "TransformContext",
    "View",
    "WorkerPlan",
    "Writer",
    "WrittenNetwork",
    "compare_poses",
    "cover_labels",
    "describe_non_finite",
    "drop_repeated",
    "find_duplicates",
    "find_non_finite",
    "find_reason",
    "hugging_face",
    "insert",
    "keep_quiet",
    "load_plain",
    "load_pretrained",
    "load_timm",
    "open_predictions",
    "points_through",
    "read_tensors",
    "refused_global",
    "storage_problem",
    "torchvision_file",
    "unwrap",
    "warn_once",
    "without_common_prefix",
]

__getattr__, __dir__ = export_lazily(__name__, _HOME)

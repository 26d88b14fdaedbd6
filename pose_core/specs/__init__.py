"""All that a user can write in a YAML file, as pydantic models. No torch.

A plugin's config classes subclass the config base of their kind (:class:`BackboneConfig`, :class:`HeadConfig`
...); a field that holds another component uses the annotated types (``AnyLoss``, ``AnyPredictor`` ...), which
look the component up by its ``type`` and validate it with the config class that its plugin names.
"""

from pose_core.specs.base import Spec
from pose_core.specs.component_config import ComponentConfig, prefix_errors
from pose_core.specs.components import (
    AnyBackbone,
    AnyDetector,
    AnyHead,
    AnyImporter,
    AnyInput,
    AnyLoss,
    AnyNeck,
    AnyPredictor,
    AnyReader,
    AnyRuntime,
    AnyStage,
    AnyTargetGenerator,
    AnyWriter,
    BackboneConfig,
    DetectorConfig,
    ExporterConfig,
    HeadConfig,
    ImporterConfig,
    InputConfig,
    LossConfig,
    NeckConfig,
    PredictorConfig,
    ReaderConfig,
    RuntimeConfig,
    StageConfig,
    TargetGeneratorConfig,
    WriterConfig,
)
from pose_core.specs.data import DataSpec, SplitSpec
from pose_core.specs.decided import Preprocess
from pose_core.specs.engine import EngineConfig
from pose_core.specs.features import Feature, choose_feature
from pose_core.specs.fields import STAGES, FeatureIndex, FrozenNorms, GridOffset, OutFeatures, Pretrained
from pose_core.specs.filter import FilterConfig
from pose_core.specs.map_heads import DeconvolutionHeadConfig, FeatureMapHeadConfig, HeatmapPredictorConfig
from pose_core.specs.model import CUSTOM, ModelSpec, PreprocessSpec
from pose_core.specs.named_component import NamedComponent
from pose_core.specs.optimizer import OptimizerSpec
from pose_core.specs.parse_component import parse_component
from pose_core.specs.run import (
    AnyRunSpec,
    DetectorRunSpec,
    DetectorSpec,
    PoseNetworkSpec,
    RunBase,
    RunSpec,
)
from pose_core.specs.tracker import TrackerConfig
from pose_core.specs.train import AugmentationSpec, CropSpec, TrainSpec
from pose_core.specs.training_components import (
    AnyLogger,
    AnySchedule,
    AnyTransform,
    Covered,
    LoggerConfig,
    ScheduleConfig,
    TransformConfig,
)
from pose_core.specs.use import EvaluationSpec, InferenceSpec, TilesSpec
from pose_core.specs.yaml_file import parse_yaml

__all__ = [
    "CUSTOM",
    "STAGES",
    "AnyBackbone",
    "AnyDetector",
    "AnyHead",
    "AnyImporter",
    "AnyInput",
    "AnyLogger",
    "AnyLoss",
    "AnyNeck",
    "AnyPredictor",
    "AnyReader",
    "AnyRunSpec",
    "AnyRuntime",
    "AnySchedule",
    "AnyStage",
    "AnyTargetGenerator",
    "AnyTransform",
    "AnyWriter",
    "AugmentationSpec",
    "BackboneConfig",
    "ComponentConfig",
    "Covered",
    "CropSpec",
    "DataSpec",
    "DeconvolutionHeadConfig",
    "DetectorConfig",
    "DetectorRunSpec",
    "DetectorSpec",
    "EngineConfig",
    "EvaluationSpec",
    "ExporterConfig",
    "Feature",
    "FeatureIndex",
    "FeatureMapHeadConfig",
    "FilterConfig",
    "FrozenNorms",
    "GridOffset",
    "HeadConfig",
    "HeatmapPredictorConfig",
    "ImporterConfig",
    "InferenceSpec",
    "InputConfig",
    "LoggerConfig",
    "LossConfig",
    "ModelSpec",
    "NamedComponent",
    "NeckConfig",
    "OptimizerSpec",
    "OutFeatures",
    "PoseNetworkSpec",
    "PredictorConfig",
    "Preprocess",
    "PreprocessSpec",
    "Pretrained",
    "ReaderConfig",
    "RunBase",
    "RunSpec",
    "RuntimeConfig",
    "ScheduleConfig",
    "Spec",
    "SplitSpec",
    "StageConfig",
    "TargetGeneratorConfig",
    "TilesSpec",
    "TrackerConfig",
    "TrainSpec",
    "TransformConfig",
    "WriterConfig",
    "choose_feature",
    "parse_component",
    "parse_yaml",
    "prefix_errors",
]

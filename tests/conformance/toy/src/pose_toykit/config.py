"""What a user can write about the toys."""

from typing import Any, cast

from pydantic import Field

from pose_core.specs import (
    AnyLoss,
    AnyPredictor,
    AnyTargetGenerator,
    BackboneConfig,
    DetectorConfig,
    EngineConfig,
    ExporterConfig,
    Feature,
    FilterConfig,
    HeadConfig,
    ImporterConfig,
    InputConfig,
    LoggerConfig,
    LossConfig,
    NeckConfig,
    PredictorConfig,
    ReaderConfig,
    RuntimeConfig,
    ScheduleConfig,
    TargetGeneratorConfig,
    TrackerConfig,
    TransformConfig,
    WriterConfig,
    choose_feature,
)


class ToyNetConfig(BackboneConfig):
    channels: int = Field(6, ge=1, description="Channels of the map.")

    def features(self):
        return (Feature(self.channels, 4),)

    def insert_points(self):
        return {"images": (Feature(3, 1),)}


class ToyNeckConfig(NeckConfig):
    def features(self, features):
        return (Feature(features[0].channels, features[0].stride),)


class ToyHeadConfig(HeadConfig):
    feature: int | None = Field(None, description="Which feature map.")
    unique: bool = Field(False, description="Of the keypoints that exist once a frame.")
    target_generator: AnyTargetGenerator = Field(
        cast(Any, {"type": "toykit/toytargets"}), description="Labels -> maps."
    )
    predictor: AnyPredictor = Field(
        cast(Any, {"type": "toykit/toypredictor"}), description="Maps -> keypoints."
    )
    losses: dict[str, AnyLoss] = Field(
        cast(Any, {"maps": {"type": "toykit/toyloss"}}), description="By output."
    )

    def check(self, features, input_size):
        choose_feature(features, self.feature)

    def predicts_unique(self):
        return self.unique


class ToyTargetsConfig(TargetGeneratorConfig):
    pass


class ToyPredictorConfig(PredictorConfig):
    pass


class ToyLossConfig(LossConfig):
    pass


class ToyInputConfig(InputConfig):
    pass


class ToyDetectorConfig(DetectorConfig):
    pass


class ToyExporterConfig(ExporterConfig):
    pass


class ToyRuntimeConfig(RuntimeConfig):
    pass


class ToyScheduleConfig(ScheduleConfig):
    pass


class ToyLoggerConfig(LoggerConfig):
    pass


class ToyTrackerConfig(TrackerConfig):
    pass


class ToyFilterConfig(FilterConfig):
    pass


class ToyTransformConfig(TransformConfig):
    pass


class ToyShearConfig(TransformConfig):
    pass


class ToyEngineConfig(EngineConfig):
    pass


class ToyReaderConfig(ReaderConfig):
    pass


class ToyWriterConfig(WriterConfig):
    pass


class ToyImporterConfig(ImporterConfig):
    pass

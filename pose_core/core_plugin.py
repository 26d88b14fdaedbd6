"""The core's own formats, methods and stages, as a plugin like any other."""

from collections.abc import Iterable

from pose_core.hooks import ComponentSpec, MethodSpec, PluginInfo, SupplierSpec, hookimpl


@hookimpl
def pose_plugin_info() -> PluginInfo:
    return PluginInfo(
        namespace="core", summary="The core's own formats and methods", license="BSD-3-Clause", hook_api="1.0"
    )


@hookimpl
def pose_components() -> Iterable[ComponentSpec]:
    yield ComponentSpec(
        "reader",
        "project",
        config="pose_core.formats.project_config:ProjectReaderConfig",
        factory="pose_core.formats.project:ProjectReader",
        summary="project.yaml, labels.csv and images: the core's own labelled project",
    )
    yield ComponentSpec(
        "writer",
        "parquet",
        config="pose_core.formats.config:ParquetConfig",
        factory="pose_core.formats.parquet:ParquetWriter",
        summary="a table with one row for each animal of a frame; read it with pandas, polars or DuckDB",
        tags=("table",),
    )
    # Three stages share one config: they only put boxes in, and have no settings.
    for name, config, factory, summary in (
        (
            "whole_frame",
            "WholeFrame",
            "whole_frames:make_whole_frame_stage",
            "A network that sees the whole frame",
        ),
        ("crops", "Crops", "crops:make_crop_stage", "A network that sees a crop around each box"),
        ("detector", "Boxes", "detector_boxes:DetectorStage", "Boxes of a detector"),
        ("box_file", "Boxes", "box_file:BoxFileStage", "Boxes from a .csv or .parquet file"),
        ("labelled_boxes", "Boxes", "labelled_boxes:LabelledBoxesStage", "Boxes of labelled animals"),
    ):
        yield ComponentSpec(
            "stage",
            name,
            config=f"pose_core.pipeline.stage_configs:{config}Config",
            factory=f"pose_core.pipeline.{factory}",
            summary=summary,
        )
    yield ComponentSpec(
        "runtime",
        "torch",
        config="pose_core.model.runtime_config:TorchRuntimeConfig",
        factory="pose_core.model.torch_runtime:TorchRuntime",
        summary="PyTorch as it is: any network, any device, nothing to prepare",
    )
    yield ComponentSpec(
        "runtime",
        "cuda_graphs",
        config="pose_core.model.runtime_config:CudaGraphsRuntimeConfig",
        factory="pose_core.model.cuda_graphs:CudaGraphsRuntime",
        summary="PyTorch on a GPU of CUDA, which starts the kernels of a network at once",
    )
    yield ComponentSpec(
        "runtime",
        "auto",
        config="pose_core.model.runtime_config:AutoRuntimeConfig",
        factory="pose_core.model.torch_runtime:AutoRuntime",
        summary="what a long prediction has measured to be fastest here; until then PyTorch",
    )
    yield ComponentSpec(
        "exporter",
        "torch",
        config="pose_core.model.torch_exporter_config:TorchExporterConfig",
        factory="pose_core.model.torch_exporter:TorchExporter",
        summary="A program of torch.export (.pt2), for PyTorch without pose_core, in Python or C++",
    )
    yield ComponentSpec(
        "engine",
        "local",
        config="pose_core.workers.local_config:LocalEngineConfig",
        factory="pose_core.workers.local_engine:LocalEngine",
        summary="Processes on this machine, one for each GPU or with a share of the cores",
    )
    for name, title, summary in _TRANSFORMS:
        yield ComponentSpec(
            "transform",
            name,
            config=f"pose_core.data.transform_configs:{title}Config",
            factory=f"pose_core.data.transforms:{title}",
            summary=summary,
        )
    for name, module, title, summary in _SCHEDULES:
        yield ComponentSpec(
            "schedule",
            name,
            config=f"pose_core.training.{module}:{title}Config",
            factory=f"pose_core.training.{module}:{title}",
            summary=summary,
        )


_TRANSFORMS = (
    ("brightness_contrast", "BrightnessContrast", "Brightness and contrast"),
    ("motion_blur", "MotionBlur", "Blur along a line, as of a fast animal or a moving camera"),
    ("noise", "Noise", "Gaussian noise of brightness, as a camera has it"),
    ("erase", "Erase", "Gray rectangles that cover parts of the image"),
)

_SCHEDULES = (
    ("cosine", "schedules", "Cosine", "Half a cosine from the learning rate down to almost nothing"),
    ("constant", "schedules", "Constant", "One learning rate throughout"),
    ("linear", "schedules", "Linear", "A straight line from the learning rate down to almost nothing"),
    ("one_cycle", "schedules", "OneCycle", "Up to the learning rate, then down to almost nothing"),
    ("exponential", "schedules", "Exponential", "The learning rate times a factor after each epoch"),
    ("step", "schedules", "Step", "The learning rate times a factor every so many epochs"),
    ("milestones", "schedules", "Milestones", "The learning rate times a factor at some epochs"),
    ("rates", "schedules", "Rates", "A list of learning rates, each from an epoch on"),
    ("plateau", "plateau", "Plateau", "The learning rate times a factor where validation no longer improves"),
)


@hookimpl
def pose_methods() -> Iterable[MethodSpec]:
    yield MethodSpec(
        "single_animal",
        "one animal a frame: the whole frame goes through one network",
        view="frame",
        animals="one",
        heads="one",
        # One network sees the frame in both whole-frame methods; what differs is how its heads are decoded.
        stages={"whole_frame": {"type": "core/whole_frame"}},
    )
    yield MethodSpec(
        "bottom_up",
        "several animals: keypoints of the whole frame are found, then assembled to animals",
        view="frame",
        animals="several",
        heads="several",
        stages={"whole_frame": {"type": "core/whole_frame"}},
    )
    yield MethodSpec(
        "top_down",
        "several animals: a detector finds each one, a network looks at its crop",
        view="animal",
        animals="several",
        heads="one",
        # Without a stage for boxes: the crops stage needs them, and a supplier below gives them.
        stages={"crops": {"type": "core/crops"}},
    )


@hookimpl
def pose_suppliers() -> Iterable[SupplierSpec]:
    yield SupplierSpec(
        "detector",
        gives="boxes",
        stage={"type": "core/detector"},
        takes=("run",),
        metavar="RUN",
        help="A trained detector, in the place of the run's own: a run, or the name of a published one.",
        trains="boxes",
    )
    yield SupplierSpec(
        "boxes",
        gives="boxes",
        stage={"type": "core/box_file"},
        takes=("file",),
        metavar="FILE",
        help="A .csv (frame or image, x1, y1, x2, y2, score) or .parquet file of boxes, in the place of a "
        "detector.",
    )
    yield SupplierSpec(
        "labelled_boxes",
        gives="boxes",
        stage={"type": "core/labelled_boxes"},
        # For evaluation only, where there are labels: it measures the pose network apart from the detector.
        takes=("labels",),
        metavar="",
        help="The boxes of the labelled animals, in the place of a detector: the pose network by itself.",
    )

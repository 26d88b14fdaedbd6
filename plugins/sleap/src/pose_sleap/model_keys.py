"""The keys of SLEAP-NN's training configuration: what each is here, or why it is refused or left.

One table, which the importer reads files by and the documentation shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["stride", "count", "number", "flag", "text", "names", "pairs", "any"]


@dataclass(frozen=True)
class Key:
    """A key of a section.

    Attributes:
        name: of the key.
        default: where the file lacks it.
        kind: what values it has; None is one where it is the default.
        ours: the setting here that it becomes, or what is done with it; empty where nothing is.
        only: values that can be imported, where not all can.
        why: the reason why other values are refused, or why nothing becomes of it.
    """

    name: str
    default: Any
    kind: Kind
    ours: str = ""
    only: tuple[Any, ...] | None = None
    why: str = ""


_DECODER = (
    Key("in_channels", 1, "count", "weights of 1 channel are spread over RGB", (1, 3), "images have 1 or 3"),
    Key("kernel_size", 3, "count", "`kernel`"),
    Key("up_interpolate", True, "flag", "`up: bilinear`, else `transposed3`"),
    Key("output_stride", 1, "stride", "follows from the heads"),
)
_ENCODER = (
    Key("pre_trained_weights", None, "text", "weights: those of the file; settings alone: `pretrained`"),
    Key("model_type", "tiny", "text", "`size`"),
    Key("arch", None, "any", "`depths` and `channels`, or `embed_dim`, `depths` and `num_heads`"),
    Key(
        "stem_patch_stride",
        2,
        "count",
        "`stem_patch_stride`, with `stem_padding: 1`",
        (2, 4),
        "no other works there",
    ),
    Key("filters_rate", 2.0, "number", "fixed", (2.0,), "no other works there"),
    Key("convs_per_block", 2, "count", "neck `middle_convs`"),
    Key("max_stride", 32, "stride", "follows from `stem_patch_stride`"),
    *_DECODER,
)
_ANCHOR = (
    Key("anchor_part", None, "text", "`model.preprocess.centre`"),
    Key("centroid_method", None, "text", "`model.preprocess.centre`"),
    Key(
        "centroid_fallback", None, "text", "", why="where a point is missing the mean of the others is taken"
    ),
)
_SIGMA = (
    Key("sigma", 5.0, "number", "`target_generator.sigma`, in pixels: times `output_stride`"),
    Key("output_stride", 1, "stride", "`feature`, with `grid_offset: 0`"),
)
_WEIGHT = Key("loss_weight", None, "number", "", why="losses are normalised otherwise here; set `losses`")
_CLASSES = (
    Key("classes", None, "names", "`skeleton.individuals`, with `identified: true`, in their order"),
    Key("class_output", "track", "text", "", why="names go to `Instances.identity`"),
)
HEADS: Mapping[str, tuple[str, ...]] = {
    "single_instance": ("confmaps",),
    "centroid": ("confmaps",),
    "centered_instance": ("confmaps",),
    "bottomup": ("confmaps", "pafs"),
    "multi_class_bottomup": ("confmaps", "class_maps"),
    "multi_class_topdown": ("confmaps", "class_vectors"),
}
"""Types of models, and the heads of each in the order of their weights."""

CENTROID, CROPS = "centroid", ("centered_instance", "multi_class_topdown")

REFUSED_TYPES: Mapping[str, str] = {
    **dict.fromkeys(
        ("bottomup_segmentation", "centered_instance_segmentation", "semantic_segmentation"),
        "segments images, and keypoints are what is imported",
    ),
    "embedding": "tells animals apart by embeddings and finds no keypoints",
    **dict.fromkeys(
        ("bbox_centernet", "bbox_ssd"), "finds boxes; train a detector here, or import a centroid model"
    ),
}

SECTIONS: Mapping[str, tuple[Key, ...]] = {
    "model_config.backbone_config.unet": (
        Key("filters", 32, "count", "`filters`"),
        Key("filters_rate", 1.5, "number", "`rate`"),
        Key("max_stride", 16, "stride", "`max_stride`; twice as much with a stem, as it really is"),
        Key(
            "stem_stride",
            None,
            "stride",
            "`stem_stride`, with `stem: convolutions_only`",
            (None, 1, 2, 4),
            "there are no such stems",
        ),
        Key("middle_block", True, "flag", "`middle_block`", (True,), "such a network fails in SLEAP-NN"),
        Key("stacks", 1, "count", "one", (1,), "such a network fails in SLEAP-NN"),
        Key("convs_per_block", 2, "count", "`convs_per_block`, with `decoder_convs: 2`"),
        *_DECODER,
    ),
    "model_config.backbone_config.convnext": (
        Key("stem_patch_kernel", 4, "count", "`stem_patch_kernel`"),
        *_ENCODER,
    ),
    "model_config.backbone_config.swint": (
        Key("patch_size", 4, "count", "`patch_size`"),
        Key("window_size", 7, "count", "`window_size`"),
        *_ENCODER,
    ),
    "model_config.head_configs.TYPE.confmaps": (
        Key("part_names", None, "names", "`skeleton.keypoints`, in their order"),
        *_SIGMA,
        *_ANCHOR,
        _WEIGHT,
        Key("centroid_source", None, "text", "", why="centres are made of the labels' keypoints"),
        Key(
            "use_sigmoid_activation",
            False,
            "flag",
            "`losses.heatmap: heatmap/bce`, whose heatmaps are logits",
        ),
        *(
            Key(f"focal_loss_{name}", value, "number", "", why="there is no focal loss here")
            for name, value in (("alpha", 0.0), ("beta", 4.0), ("pos_threshold", 0.5))
        ),
    ),
    "model_config.head_configs.TYPE.pafs": (
        Key("edges", None, "pairs", "`graph`, in their order"),
        Key("sigma", 15.0, "number", "`target_generator.width`, its square root, with `profile: quartic`"),
        Key("output_stride", 1, "stride", "`feature`, with `grid_offset: 0`"),
        _WEIGHT,
    ),
    "model_config.head_configs.TYPE.class_maps": (
        *_CLASSES,
        Key("sigma", 5.0, "number", "", why="discs are taught here, not Gaussians"),
        Key("output_stride", 1, "stride", "`feature`, with `grid_offset: 0`"),
        _WEIGHT,
    ),
    "model_config.head_configs.TYPE.class_vectors": (
        *_CLASSES,
        Key("num_fc_layers", 1, "count", "`layers`"),
        Key("num_fc_units", 64, "count", "`units`"),
        Key("global_pool", True, "flag", "`pool: max`", (True,), "only inputs of one size would fit"),
        Key("output_stride", 1, "stride", "", why="the coarsest map is read, there too"),
        _WEIGHT,
    ),
    "data_config.preprocessing": (
        Key("scale", 1.0, "number", "`model.preprocess.scale`, with `half_pixel: false`; crops: `size`"),
        Key("crop_size", None, "number", "`model.preprocess.extent`"),
        Key(
            "max_height",
            None,
            "count",
            "",
            why="frames are not brought to the size of the training's; a note says it",
        ),
        Key("max_width", None, "count", "", why="likewise"),
        Key(
            "ensure_rgb", False, "flag", "", why="images are RGB here, and the first kernel sees what it saw"
        ),
        Key("ensure_grayscale", False, "flag", "", why="likewise"),
        Key("min_crop_size", 100, "number", "", why="`crop_size` is the result"),
        Key("crop_padding", None, "number", "", why="`crop_size` is the result"),
        Key(
            "crop_mode",
            "fixed",
            "text",
            "fixed",
            ("fixed", None),
            "boxes decide the magnification of such crops",
        ),
        Key("crop_centering", "auto", "any", "", why="`anchor_part` says where crops are centred"),
        Key("crop_bbox_aspect", "square", "any", "", why="belongs to `crop_mode: bbox`"),
        Key("crop_bbox_padding", 0.1, "any", "", why="belongs to `crop_mode: bbox`"),
        Key("crop_bbox_min_size", None, "any", "", why="belongs to `crop_mode: bbox`"),
        Key("tiling", None, "any", "", why="frames are seen as a whole"),
        Key("burn_in", False, "flag", "", why="belongs to masks"),
        Key("background_fill", "black", "any", "", why="belongs to masks"),
    ),
    "data_config": (
        Key("skeletons", None, "any", "`skeleton`"),
        Key("train_labels_path", None, "any", "`data.source`, where it is one file"),
        Key("val_labels_path", None, "any", "", why="images are split by `data.split`"),
        Key("validation_fraction", 0.1, "number", "`data.split.validation`"),
        Key("use_augmentations_train", True, "flag", "false: no random changes"),
        Key("user_instances_only", True, "flag", "`data.reader.labels: user`, else `all`"),
        Key(
            "use_negative_frames",
            False,
            "flag",
            "",
            why="negative frames are always read as images without animals",
        ),
    ),
    "data_config.augmentation_config.geometric": (
        Key("rotation_min", -15.0, "number", "`augmentation.rotation`, the larger of both"),
        Key("rotation_max", 15.0, "number", "`augmentation.rotation`, the larger of both"),
        Key("scale_min", 0.9, "number", "`augmentation.scale`"),
        Key("scale_max", 1.1, "number", "`augmentation.scale`"),
        Key("translate_width", 0.0, "number", "`augmentation.translation`, the larger of both"),
        Key("translate_height", 0.0, "number", "`augmentation.translation`, the larger of both"),
        Key("rotation_p", 1.0, "number", "0: no rotation; else it is always drawn"),
        Key("scale_p", 1.0, "number", "0: no zoom; else it is always drawn"),
        Key("translate_p", None, "number", "0: no shift; else it is always drawn"),
        Key(
            "affine_p",
            0.0,
            "number",
            "`augmentation.p`, where none of the three has its own",
        ),
        Key("erase_p", 0.0, "number", "`augmentation.transforms.erase.p`"),
        Key("erase_scale_max", 0.01, "number", "`augmentation.transforms.erase.size`, its square root"),
        Key("erase_scale_min", 1e-4, "number", "", why="sizes are drawn up to the largest"),
        Key("erase_ratio_min", 1.0, "number", "", why="shapes are drawn"),
        Key("erase_ratio_max", 1.0, "number", "", why="shapes are drawn"),
        Key("flip_p", 0.0, "number", "`augmentation.flip`"),
        Key("mixup_p", 0.0, "number", "", why="does nothing in SLEAP-NN"),
        Key("mixup_lambda_min", 0.01, "any", "", why="does nothing in SLEAP-NN"),
        Key("mixup_lambda_max", 0.05, "any", "", why="does nothing in SLEAP-NN"),
    ),
    "data_config.augmentation_config.intensity": (
        Key("gaussian_noise_std", 0.02, "number", "`augmentation.transforms.noise.strength`"),
        Key("gaussian_noise_p", 0.0, "number", "`augmentation.transforms.noise.p`"),
        Key("gaussian_noise_mean", 0.0, "number", "", why="noise has the mean 0"),
        Key(
            "contrast_min",
            0.9,
            "number",
            "`augmentation.transforms.contrast.contrast`, the larger distance from 1",
        ),
        Key(
            "contrast_max",
            1.1,
            "number",
            "`augmentation.transforms.contrast.contrast`, the larger distance from 1",
        ),
        Key("contrast_p", 0.0, "number", "`augmentation.transforms.contrast.p`"),
        Key(
            "brightness_min",
            0.9,
            "number",
            "`augmentation.transforms.brightness.brightness`, the larger distance from 1",
        ),
        Key(
            "brightness_max",
            1.1,
            "number",
            "`augmentation.transforms.brightness.brightness`, the larger distance from 1",
        ),
        Key("brightness_p", 0.0, "number", "`augmentation.transforms.brightness.p`"),
        Key("uniform_noise_p", 0.0, "number", "", why="noise is Gaussian"),
        Key("uniform_noise_min", 0.0, "number", "", why="noise is Gaussian"),
        Key("uniform_noise_max", 0.04, "number", "", why="noise is Gaussian"),
    ),
    "trainer_config": (
        Key("max_epochs", 100, "count", "`train.epochs`"),
        Key("seed", 42, "count", "`train.seed`"),
        Key(
            "optimizer_name",
            "Adam",
            "text",
            "`train.optimizer.name`",
            ("Adam", "AdamW"),
            "there are no others there",
        ),
        Key("min_train_steps_per_epoch", 200, "count", "", why="an epoch is a pass over the images"),
        Key("train_steps_per_epoch", None, "count", "", why="an epoch is a pass over the images"),
        Key(
            "lr_scheduler",
            None,
            "any",
            "`train.schedule: cosine` or `linear`; steps and plateaus are constant",
        ),
        Key(
            "online_hard_keypoint_mining",
            None,
            "any",
            "",
            why="the loss `heatmap/ohkm` is not the same; choose it by hand",
        ),
    ),
    "trainer_config.optimizer": (
        Key("lr", 1e-4, "number", "`train.optimizer.lr`"),
        Key("amsgrad", False, "flag", "", why="optimisers have no such variant here"),
    ),
    "trainer_config.train_data_loader": (
        Key("batch_size", 4, "count", "`train.batch_size`"),
        Key("num_workers", 0, "count", "", why="`train.workers` belongs to the machine"),
        Key("shuffle", True, "flag", "", why="images are always shuffled"),
    ),
    "trainer_config.early_stopping": (
        Key("stop_training_on_plateau", True, "flag", "false: `train.early_stopping: null`"),
        Key("patience", 10, "count", "`train.early_stopping`"),
        Key("min_delta", 1e-8, "number", "", why="any improvement counts"),
    ),
}
"""Keys by section; TYPE stands for the type of the model. Sections and keys that are not listed (devices, loggers,
windows) say nothing of a model."""


def keys_table() -> str:
    """All keys in a table of Markdown: section and key, default, what it is here."""
    lines = ["| key of SLEAP-NN | default | here |", "|---|---|---|"]
    for section, keys in SECTIONS.items():
        lines.append(f"| **`{section}`** | | |")
        lines += [f"| `{key.name}` | `{_show(key.default)}` | {_describe(key)} |" for key in keys]
    backbone = "model_config.backbone_config"
    lines.append(f"| **`{backbone}.pretrained`** | | refused: needs an encoder of Hugging Face |")
    lines += [
        f"| **`model_config.head_configs.{name}`** | | refused: {why} |"
        for name, why in REFUSED_TYPES.items()
    ]
    return "\n".join(lines)


def _describe(key: Key) -> str:
    if key.only is not None:
        allowed = ", ".join(f"`{_show(value)}`" for value in key.only)
        return f"{key.ours}; other than {allowed} refused: {key.why}"
    return key.ours or f"not taken over: {key.why}"


def _show(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

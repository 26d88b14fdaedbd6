"""The keys of DeepLabCut's pytorch_config.yaml: what each is here, or why nothing becomes of it.

One table, which the importer of settings names what is left by, and the documentation shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BELOW = "see below"


@dataclass(frozen=True)
class Key:
    """A key of a section.

    Attributes:
        name: of the key.
        default: what DeepLabCut 3.0.2 writes, or takes where the file lacks it.
        ours: the setting here that it becomes, or what is done with it; empty where nothing is.
        why: the reason why nothing becomes of it.
    """

    name: str
    default: Any = None
    ours: str = ""
    why: str = ""


_OF_PREDICTION = "belongs to prediction, not to a training"
_OF_EVALUATION = "belongs to evaluation, not to a training"
_OF_MACHINE = "belongs to the machine; set `train.workers`, `train.device`, `train.devices`"
_ALWAYS = "drawn for each image here"

_IMAGES = (
    Key("normalize_images", True, "`model.preprocess.mean` and `std`, ImageNet's"),
    Key("scale_to_unit_range", False, "`model.preprocess`: mean 0, std 1; with neither, std 1/255"),
    Key("top_down_crop", None, BELOW),
    Key("auto_padding", None, "fixed: images are padded to what the network needs, on the right and below"),
)

SECTIONS: Mapping[str, tuple[Key, ...]] = {
    "": (
        Key("config_version", 0, why="the form of the file"),
        Key("net_type", None, "follows from `model`"),
        Key("method", None, "`model.method`"),
        Key("model", None, BELOW),
        Key("metadata", None, BELOW),
        Key("data", None, BELOW),
        Key("device", "auto", "`train.device`, without a number"),
        Key("runner", None, BELOW),
        Key("train_settings", None, BELOW),
        Key("inference", None, BELOW),
        Key("logger", None, BELOW),
        Key("with_center_keypoints", False, "follows from the head"),
        Key("detector", None, "a training of its own; a note says how"),
        Key("resume_training_from", None, why="import that snapshot, and start from it with `train.weights`"),
    ),
    "metadata": (
        Key("project_path", None, "`data.source`, where no project is named and the file lies in none"),
        Key("pose_config_path", None, "the place of the file"),
        Key("bodyparts", None, "those of the project; a note says where they differ"),
        Key("unique_bodyparts", [], "those of the project; a note says where they differ"),
        Key("individuals", None, "those of the project; a note says where they differ"),
        Key("with_identity", False, "that of the project; a note says where it differs"),
    ),
    "model": (
        Key(
            "backbone", None, "`model.backbone`: the mapping of its type, which refuses what it does not know"
        ),
        Key("neck", None, "`model.neck`, likewise"),
        Key("heads", None, "`model.heads`, likewise; see below"),
        Key("backbone_output_channels", None, "follows from the backbone"),
        Key("pose_model", None, why="no part of the network reads it"),
    ),
    "model.heads.HEAD": (
        Key("weight_init", "normal", why="heads begin with the weights that they begin with here"),
        Key("aggregator", None, why="losses are weighted and averaged by the heads here; set `losses`"),
        Key("criterion", None, "`losses`; see below"),
        Key("predictor", None, "`predictor`, as the mapping of the type of the head says; see below"),
        Key("target_generator", None, "`target_generator`, likewise; see below"),
        Key("type", None, "the mapping of this type takes over or refuses its other keys; sizes follow"),
    ),
    "model.heads.HEAD.predictor": (
        Key("clip_scores", True, "fixed: scores lie in [0, 1]"),
        Key("sigma", None, "RTMPose: with `as_trained: true`"),
        Key("decode_beta", None, "RTMPose: with `as_trained: true`"),
    ),
    "model.heads.HEAD.target_generator": (
        Key("gradient_masking", False, "fixed: a keypoint that is missing teaches nothing"),
        Key("background_weight", None, why="where a keypoint is missing all of its map teaches nothing"),
        Key("num_heatmaps", None, "follows from the keypoints"),
        Key("heatmap_mode", None, "follows from the head"),
        Key("generate_locref", None, "follows from the head"),
        Key("locref_std", None, "`locref_std`, that of the predictor"),
    ),
    "model.heads.HEAD.criterion.OUTPUT": (
        Key("type", None, "`losses`: the loss of this kind, where the head has several"),
        Key("weight", None, why="losses are normalised otherwise here; set `losses` (RTMPose: taken over)"),
    ),
    "data": (
        Key("bbox_margin", 20, "`model.preprocess.margin_pixels` of networks that see crops"),
        Key("colormode", "RGB", "fixed; others are refused"),
        Key("gen_sampling", None, BELOW),
        Key("train", None, BELOW),
        Key("inference", None, BELOW),
        Key("loader", None, BELOW),
    ),
    "data.gen_sampling": (
        Key(
            "keypoint_sigmas", 0.1, "`errors.sigma` of the conditions, where there is one, or one a keypoint"
        ),
        Key("keypoints_symmetry", None, why="`skeleton.symmetry` says which keypoints are a pair"),
        Key("jitter_prob", 0.16, "`errors.jitter` of the conditions"),
        Key("swap_prob", 0.08, "`errors.swap` of the conditions"),
        Key("inv_prob", 0.03, "`errors.inversion` of the conditions"),
        Key("miss_prob", 0.1, "`errors.miss` of the conditions"),
    ),
    "data.loader": (
        Key("type", "DLCLoader", "`data.reader`: deeplabcut; COCO is named in a note"),
        Key("config", None, "`data.source`, where it is a path and no project is named"),
        Key("shuffle", 0, "`data.split.name`"),
        Key("trainset_index", 0, why="the shuffle says its own fraction"),
        Key("modelprefix", "", why="says where snapshots go"),
    ),
    "data.train": (
        *_IMAGES,
        Key("affine", None, BELOW),
        Key("random_bbox_transform", None, BELOW),
        Key("crop_sampling", None, BELOW),
        Key("hflip", None, "`augmentation.flip`: its chance, true is 0.5; see below"),
        Key("hist_eq", False, "`augmentation.transforms.equalize` 0.5, each channel by itself"),
        Key("motion_blur", False, "`augmentation.transforms.motion_blur` 0.5, up to 7 pixels"),
        Key("covering", None, "`augmentation.transforms.erase` 0.5: up to ten small rectangles"),
        Key("elastic_transform", None, "`augmentation.transforms.elastic` 0.5"),
        Key("grayscale", None, "`augmentation.transforms.gray` 0.5, at least half gray"),
        Key("gaussian_noise", None, "`augmentation.transforms.noise` 0.5, divided by 255"),
        Key(
            "resize", None, why="frames are resized by `model.preprocess.scale`, in training as in prediction"
        ),
        Key("longest_max_size", None, why="likewise"),
        Key("collate", None, why="likewise; `augmentation.scale` makes images of several sizes"),
    ),
    "data.train.affine": (
        Key(
            "p", 0.9, "`augmentation.p`; with `random_bbox_transform` drawn for each image, which a note says"
        ),
        Key("rotation", None, "`augmentation.rotation`"),
        Key("scaling", None, "`augmentation.scale`"),
        Key("translation", None, "`augmentation.translation`: pixels as a fraction of the training window"),
    ),
    "data.train.random_bbox_transform": (
        Key("shift_factor", 0.1, "`augmentation.translation`"),
        Key("shift_prob", 0.25, f"0: no shift; else {_ALWAYS}, which a note says"),
        Key("scale_factor", [0.75, 1.25], "`augmentation.scale`: a larger box shows a smaller animal"),
        Key("scale_prob", 1.0, f"0: no zoom; else {_ALWAYS}, which a note says"),
        Key("p", 1.0, f"0: neither; else {_ALWAYS}, which a note says"),
    ),
    "data.train.crop_sampling": (
        Key("width", None, "`augmentation.crop.size`"),
        Key("height", None, "`augmentation.crop.size`"),
        Key("max_shift", 0.4, "`augmentation.crop.shift`, at most 0.4 as there"),
        Key("method", "hybrid", "`augmentation.crop.background`: uniform 1, hybrid 0.5, else 0"),
    ),
    "data.train.hflip": (
        Key("p", 0.5, "`augmentation.flip`"),
        Key("symmetries", None, why="`skeleton.symmetry` says which keypoints are a pair"),
    ),
    "data.train.top_down_crop": (
        Key(
            "width", None, "`model.preprocess.size`, that of `data.inference`; a note says where they differ"
        ),
        Key("height", None, "likewise"),
        Key("margin", 0, "likewise"),
        Key("crop_with_context", True, "likewise"),
    ),
    "data.inference": (
        *_IMAGES,
        *(
            Key(name, None, "anything but null or false is refused: images would be changed in prediction")
            for name in (
                *("resize", "longest_max_size", "hflip", "affine", "random_bbox_transform", "crop_sampling"),
                *("hist_eq", "motion_blur", "covering", "elastic_transform", "grayscale", "gaussian_noise"),
            )
        ),
        Key("collate", None, why=_OF_PREDICTION),
    ),
    "data.inference.top_down_crop": (
        Key("width", None, "`model.preprocess.size`"),
        Key("height", None, "`model.preprocess.size`"),
        Key("margin", 0, "`model.preprocess.margin_pixels`, with `data.bbox_margin`"),
        Key("crop_with_context", True, "crops show what is there; others are refused, or named in a note"),
    ),
    "runner": (
        Key("type", None, "follows from the network"),
        Key("gpus", None, why=_OF_MACHINE),
        Key("device", "auto", "`train.device`, where `device` is auto"),
        Key("key_metric", "test.mAP", "`train.select`: ap of test.mAP, error of test.rmse; others are noted"),
        Key("key_metric_asc", True, "follows from the metric"),
        Key("eval_interval", 10, "`train.validate_every`"),
        Key("optimizer", None, BELOW),
        Key("scheduler", None, BELOW),
        Key("snapshots", None, BELOW),
        Key("snapshot_prefix", None, why="files of a run have their names"),
        Key("load_weights_only", None, why="nothing in a file of weights is ever run"),
    ),
    "runner.optimizer": (
        Key("type", None, "`train.optimizer.name`, in small letters"),
        Key(
            "params",
            None,
            "`train.optimizer`: `lr`, `weight_decay`, else torch's; others: `options`; `foreach` and such are named",
        ),
    ),
    "runner.scheduler": (
        Key(
            "type",
            None,
            "`train.schedule`: LRListScheduler is `rates`, MultiStepLR `milestones`, CosineAnnealingLR over all "
            "epochs `cosine`, without one `constant`; SequentialLR, LinearLR, ConstantLR, StepLR, ExponentialLR "
            "`rates`, epoch by epoch; others are constant, and named",
        ),
        Key("params", None, "likewise"),
    ),
    "runner.snapshots": (
        Key("save_epochs", 25, "`train.keep.every`"),
        Key("max_snapshots", 5, "`train.keep.most`"),
        Key("save_optimizer_state", False, why="the last checkpoint of a run always has it"),
    ),
    "train_settings": (
        Key("batch_size", 8, "`train.batch_size`"),
        Key("epochs", 200, "`train.epochs`"),
        Key("seed", 42, "`train.seed`"),
        Key("dataloader_workers", 0, why=_OF_MACHINE),
        Key("dataloader_pin_memory", False, why=_OF_MACHINE),
        Key("display_iters", 500, why="progress is shown all the time"),
        Key("weight_init", None, BELOW),
    ),
    "train_settings.weight_init": (
        Key("snapshot_path", None, why="import it, and name the run as `train.weights`"),
        Key("detector_snapshot_path", None, why="import it, and name the run as `--detector`"),
        Key("dataset", None, why="`pose weights` lists the published weights that `train.weights` takes"),
        Key("with_decoder", False, why="`train.weights` takes the heads that fit, by keypoint names"),
        Key(
            "memory_replay",
            False,
            why="is asked for when a training is started, not in a configuration",
        ),
        Key("conversion_array", None, why="`train.aliases` says what keypoints are called in the weights"),
        Key("bodyparts", None, why="`train.aliases` says what keypoints are called in the weights"),
    ),
    "inference": (
        Key("multithreading", None, BELOW),
        Key("compile", None, BELOW),
        Key("autocast", None, BELOW),
        Key("conditions", None, why="where rough poses come from is said when something is predicted"),
        Key("snapshot", None, why=_OF_PREDICTION),
        Key("eval", None, BELOW),
        Key("output_dir", None, why=_OF_PREDICTION),
    ),
    "inference.multithreading": (
        Key("enabled", True, why=_OF_PREDICTION),
        Key("queue_length", 4, why=_OF_PREDICTION),
        Key("timeout", 30.0, why=_OF_PREDICTION),
    ),
    "inference.compile": (
        Key("enabled", False, why=_OF_PREDICTION),
        Key("backend", "inductor", why=_OF_PREDICTION),
    ),
    "inference.autocast": (Key("enabled", False, why=_OF_PREDICTION),),
    "inference.eval": (
        Key("mode", "all", why=_OF_EVALUATION),
        Key("pcutoff", 0.6, why=_OF_EVALUATION),
        Key("comparison_bodyparts", "all", why=_OF_EVALUATION),
        Key("per_keypoint_evaluation", False, why=_OF_EVALUATION),
        Key("force_multi_animal", False, why=_OF_EVALUATION),
    ),
    "logger": (
        Key("type", None, "`train.loggers`: wandb; CSVLogger: history.csv is always written"),
        Key("project_name", "deeplabcut", "`project` of the logger"),
        Key("run_name", "tmp", "`name` of the logger; tmp: the name of the run folder"),
        Key(
            "wandb_kwargs",
            None,
            "settings of the logger: `entity`, `group`, `tags`, `notes`, `mode`, `id`; others are named",
        ),
        Key("image_log_interval", None, why="`train.pictures.every` draws what the network sees"),
        Key("model", None, why="the configuration is logged as a whole"),
        Key("train_folder", None, why="files of a run have their places"),
        Key("log_filename", "learning_stats.csv", why="files of a run have their names"),
    ),
}
"""Keys by section; HEAD and OUTPUT stand for names."""


def keys_table() -> str:
    """All keys in a table of Markdown: section and key, default, what it is here."""
    lines = ["| key of DeepLabCut | default | here |", "|---|---|---|"]
    for section, keys in SECTIONS.items():
        if section:
            lines.append(f"| **`{section}`** | | |")
        lines += [f"| `{key.name}` | `{_show(key.default)}` | {_describe(key)} |" for key in keys]
    return "\n".join(lines)


def _describe(key: Key) -> str:
    return key.ours or f"not taken over: {key.why}"


def _show(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

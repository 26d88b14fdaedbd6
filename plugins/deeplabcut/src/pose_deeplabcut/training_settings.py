"""Settings of a training of DeepLabCut as a start for one here: each key is taken over or named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pose_core.errors import argument, command
from pose_deeplabcut.learning_rates import make_optimizer, make_schedule
from pose_deeplabcut.model_config import CONDITIONAL, ModelConfig, Section
from pose_deeplabcut.training_augmentation import make_augmentation
from pose_deeplabcut.training_keys import SECTIONS, Key

_WANDB = ("project", "name", "entity", "group", "tags", "notes", "mode", "id")
"""Settings of ``wandb.init`` that are settings of the logger here."""
_METRICS = {"test.mAP": "ap", "test.rmse": "error"}
"""What selects the best snapshot there and the weights here."""
_UNNAMED = "tmp"
_LOADERS = (None, "DLCLoader")
_MARGIN = 20
_CROP_DEFAULTS = {"margin": 0, "crop_with_context": True}


def make_training(
    about: ModelConfig, model: Mapping[str, Any], source: str | None, split: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Make the content of a configuration file for ``pose train``.

    Args:
        about: the file.
        model: section ``model`` of a run with this network.
        source: the labelled project; None: as the file says.
        split: name of the shuffle in whose folder the file lies; None: as the file says.

    Returns:
        the content, and a line for each section in which settings are left out or are others here.

    Raises:
        RunError: a value is none that DeepLabCut takes.
    """
    notes: list[str] = []
    sees_crops = about.method in ("top_down", CONDITIONAL)
    augmentation, left = make_augmentation(_part(about.whole, "data.train"), sees_crops)
    content: dict[str, Any] = {
        "data": _make_data(about, source, split, notes),
        "model": as_new(model),
        "augmentation": augmentation,
        "train": _make_train(about.whole, notes),
    }
    return content, [
        *notes,
        *left,
        *_note_images(about, sees_crops),
        *_list_left(about.whole),
        *_note_detector(about),
    ]


def as_new(model: Any) -> Any:
    """The settings of a part without ``pretrained: false``, which is said of trained ones."""
    if isinstance(model, Mapping):
        return {key: as_new(value) for key, value in model.items() if (key, value) != ("pretrained", False)}
    return model


def _part(whole: Section, keys: str) -> Section:
    """A section that may be missing, then empty."""
    found = whole
    for key in keys.split("."):
        inner = found.optional(key)
        found = Section(whole.path, f"{found.at}.{key}" if found.at else key, {}) if inner is None else inner
    return found


def _make_data(about: ModelConfig, source: str | None, split: str | None, notes: list[str]) -> dict[str, Any]:
    loader = _part(about.whole, "data.loader")
    kind, config = loader.content.get("type"), loader.content.get("config")
    if kind not in _LOADERS:
        others = ", ".join(f"{key}: {value}" for key, value in loader.content.items() if key != "type")
        notes.append(f"{loader.at}: {kind} is not taken over ({others}); name its data when you train")
    elif isinstance(config, str):
        source = source or str(Path(config).parent if config.endswith(".yaml") else config)
    source = source or (str(about.project_path) if about.project_path is not None else None)
    made: dict[str, Any] = {} if source is None else {"source": source}
    if kind == "DLCLoader" and split is None:
        split = f"shuffle{loader.content.get('shuffle', 0)}"
    return {**made, "reader": {"type": "deeplabcut"}, **({"split": {"name": split}} if split else {})}


def _make_train(whole: Section, notes: list[str]) -> dict[str, Any]:
    runner, settings = _part(whole, "runner"), _part(whole, "train_settings")
    epochs = settings.size_or("epochs", 200)
    optimizer, of_optimizer = make_optimizer(runner)
    schedule, left = make_schedule(runner, optimizer["lr"], epochs)
    notes += [*of_optimizer, *left]
    snapshots = _part(whole, "runner.snapshots")
    made: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": settings.size_or("batch_size", 8),
        "seed": int(settings.number("seed", 42)),
        "optimizer": optimizer,
        "schedule": schedule,
        # DeepLabCut has neither.
        "gradient_clip": None,
        "ema": None,
        "validate_every": runner.size_or("eval_interval", 10),
        "keep": {
            "every": snapshots.size_or("save_epochs", 25),
            "most": snapshots.size_or("max_snapshots", 5),
        },
        "device": _find_device(whole, notes),
    }
    metric = str(runner.content.get("key_metric") or "test.mAP")
    made["select"] = _METRICS.get(metric, "error")
    if metric not in _METRICS:
        notes.append(
            f"{runner.at}.key_metric: {metric}: not taken over: the smallest error selects the best weights"
        )
    if (logger := whole.optional("logger")) is not None and (found := _make_logger(logger, notes)):
        made["loggers"] = [found]
    return made


def _find_device(whole: Section, notes: list[str]) -> str:
    places = (whole, "device"), (_part(whole, "runner"), "device")
    section, device = next(
        ((each, found) for each, key in places if (found := str(each.content.get(key) or "auto")) != "auto"),
        (whole, "auto"),
    )
    kind, _, number = device.partition(":")
    if number:
        at = f"{section.at}.device" if section.at else "device"
        notes.append(f"{at}: {device} is {kind} here; CUDA_VISIBLE_DEVICES={number} chooses the device")
    return kind


def _make_logger(logger: Section, notes: list[str]) -> dict[str, Any]:
    kind = logger.text("type")
    if kind == "CSVLogger":
        return {}
    if kind != "WandbLogger":
        raise logger.error(f"{kind} cannot be taken over; WandbLogger and CSVLogger can", "type")
    name = logger.content.get("run_name")
    more = _part(logger, "wandb_kwargs")
    if left := [f"{key} {value}" for key, value in more.content.items() if key not in _WANDB]:
        notes.append(f"{more.at}: not taken over: {', '.join(left)}")
    return {
        "type": "wandb",
        "project": logger.content.get("project_name") or "deeplabcut",
        **({"name": name} if name and name != _UNNAMED else {}),
        **{key: more.content[key] for key in _WANDB if more.content.get(key) is not None},
    }


def _note_images(about: ModelConfig, sees_crops: bool) -> list[str]:
    """What images of the training were beside their random changes, where that is not so here."""
    train, inference = _part(about.whole, "data.train"), _part(about.whole, "data.inference")
    # An empty section is one that the file leaves out: images are prepared as in prediction.
    notes = [
        f"{train.at}.{key}: {str(given).lower()} there, and {str(wanted).lower()} in prediction, which holds for both "
        "here"
        for key in ("normalize_images", "scale_to_unit_range")
        if (given := bool(train.content.get(key, inference.content.get(key))))
        != (wanted := bool(inference.content.get(key)))
    ]
    if sees_crops and train.content.get("top_down_crop") is not None:
        crop, used = _part(train, "top_down_crop"), _part(inference, "top_down_crop")
        other = [
            f"{key} {given}"
            for key in ("width", "height", "margin", "crop_with_context")
            if (given := crop.content.get(key, _CROP_DEFAULTS.get(key)))
            != used.content.get(key, _CROP_DEFAULTS.get(key))
        ]
        if other:
            notes.append(f"{crop.at}: {', '.join(other)}; the crops of data.inference are those of both here")
    if sees_crops and not about.context:
        notes.append("data.train.top_down_crop: black beside the box there; here crops show what is there")
    data = about.whole.section("data")
    sigmas = _part(data, "gen_sampling").content.get("keypoint_sigmas")
    if isinstance(sigmas, list) and len(sigmas) != len(about.keypoints):
        notes.append(
            f"{data.at}.gen_sampling.keypoint_sigmas: not taken over: {len(sigmas)} values for "
            f"{len(about.keypoints)} keypoints"
        )
    ignored = [
        key
        for key, set_ in (
            ("bbox_margin", data.content.get("bbox_margin", _MARGIN) != _MARGIN),
            ("train.random_bbox_transform", train.content.get("random_bbox_transform") is not None),
        )
        if set_ and not sees_crops
    ]
    if ignored:
        notes.append(f"{data.at}: not taken over: {', '.join(ignored)}, for the network sees no boxes")
    return notes


def _note_detector(about: ModelConfig) -> list[str]:
    detector = about.whole.optional("detector")
    if detector is None:
        return []
    kind = _part(detector, "model").content.get("type", "a detector")
    settings = _part(detector, "train_settings").content
    said = "".join(f", {key} {settings[key]}" for key in ("epochs", "batch_size") if key in settings)
    how = f"{command('train', 'DATA', argument('detector', 'NAME'))} trains one, with settings of its own"
    return [f"detector: not taken over: {kind}{said}; {how}"]


def _list_left(whole: Section) -> list[str]:
    """A line for each section with values that are set and become nothing here."""
    notes = []
    for name, keys in SECTIONS.items():
        for section in _find_sections(whole, name):
            known = {key.name: key for key in keys}
            left = [key.name for key in keys if not key.ours and _is_set(section, key)]
            unknown = [str(key) for key in section.content if key not in known]
            at = section.at or "the file"
            if left:
                notes.append(
                    f"{at}: not taken over: {', '.join(f'{key} {section.content[key]}' for key in left)}"
                )
            if unknown and not name.startswith(_OF_THEIR_TYPE):
                notes.append(f"{at}: says nothing of a training here: {', '.join(sorted(unknown))}")
    return notes


_OF_THEIR_TYPE = "model.heads.HEAD"
"""Beginning of the sections whose other keys the mapping of the head takes over or refuses."""


def _find_sections(whole: Section, name: str) -> list[Section]:
    """The sections of the file under a name of the table; a word in capitals stands for any."""
    found = [whole]
    for key in name.split(".") if name else []:
        found = [
            Section(whole.path, f"{each.at}.{inner}" if each.at else str(inner), content)
            for each in found
            for inner, content in each.content.items()
            if (key.isupper() or inner == key) and isinstance(content, Mapping)
        ]
    return found


def _is_set(section: Section, key: Key) -> bool:
    value = section.content.get(key.name)
    return value is not None and value != key.default

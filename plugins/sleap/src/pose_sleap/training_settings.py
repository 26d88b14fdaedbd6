"""Settings of a training of SLEAP-NN as a start for one here: each key is taken over or named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pose_sleap.imported_network import find_edges, make_spec
from pose_sleap.model_config import ModelConfig, Section
from pose_sleap.model_keys import SECTIONS, Key
from pose_sleap.networks import CONVNEXT_SIZES, SWIN_SIZES

_AUGMENTATION = "data_config.augmentation_config"
_OFF = ("brightness_contrast", "motion_blur", "noise", "erase")


def make_training(config: ModelConfig, skeleton: Any, data: Path | None) -> tuple[dict[str, Any], list[str]]:
    """Make the content of a configuration file for ``pose train``.

    Args:
        config: of the training.
        skeleton: keypoints in the order of the head.
        data: the labelled project; None: the one that the file names.

    Returns:
        the content, and a line for each section in which settings are left out.
    """
    whole, notes = config.whole, list[str]()
    spec = make_spec(config, skeleton, as_trained=True)
    model = spec["model"]
    backbone = model["backbone"]
    # There are no weights to come: published ones where the training had asked for them.
    asked = config.backbone.get("pre_trained_weights") is not None
    published = config.backbone.get("model_type") in (*CONVNEXT_SIZES, *SWIN_SIZES)
    if config.network.kind != "unet":
        backbone["pretrained"] = asked and published
    values = _read(whole, "data_config")
    reader: dict[str, Any] = {"type": "sleap", "labels": "user" if values["user_instances_only"] else "all"}
    if config.classes:
        reader["identified"] = True
    content: dict[str, Any] = {
        "data": {"source": _find_source(values, data), "reader": reader},
        **spec,
        "augmentation": _make_augmentation(whole, values["use_augmentations_train"]),
        "train": _make_train(whole, notes),
    }
    if content["data"]["source"] is None:
        del content["data"]["source"]
    fraction = values["validation_fraction"]
    if 0 < fraction < 0.8:
        content["data"]["split"] = {"validation": fraction}
    notes += _list_left(whole)
    if "pafs" in config.heads:
        notes.append(f"limbs, in their order: {', '.join('/'.join(edge) for edge in find_edges(config))}")
    return content, notes


def _read(whole: Section, section: str) -> dict[str, Any]:
    found = whole
    for key in section.split("."):
        found = found.section(key)
    return found.values(SECTIONS[section])


def _find_source(values: Mapping[str, Any], data: Path | None) -> str | None:
    if data is not None:
        return str(data)
    paths = values["train_labels_path"]
    if isinstance(paths, list) and len(paths) == 1:
        paths = paths[0]
    return paths if isinstance(paths, str) and paths else None


def _make_augmentation(whole: Section, used: bool) -> dict[str, Any]:
    """Random changes; what is off there is off here."""
    transforms: dict[str, Any] = {name: {"p": 0.0} for name in _OFF}
    made: dict[str, Any] = {"rotation": 0.0, "scale": [1.0, 1.0], "translation": 0.0, "flip": 0.0}
    made |= {"crop": {"size": None}, "transforms": transforms}
    section = whole.section("data_config").section("augmentation_config")
    if not used:
        return made
    if section.content.get("geometric") is not None:
        given = _read(whole, f"{_AUGMENTATION}.geometric")
        made |= _make_geometric(given)
        if given["erase_p"] > 0 and given["erase_scale_max"] > 0:
            size = min(1.0, round(math.sqrt(given["erase_scale_max"]), 6))
            transforms["erase"] = {"p": min(1.0, given["erase_p"]), "size": size}
    if section.content.get("intensity") is not None:
        given = _read(whole, f"{_AUGMENTATION}.intensity")
        # Contrast and brightness each by itself, as each has a chance of its own there; one of a pair is 0 here.
        for name, other in (("contrast", "brightness"), ("brightness", "contrast")):
            if given[f"{name}_p"] > 0:
                farthest = max(abs(given[f"{name}_{end}"] - 1) for end in ("min", "max"))
                transforms[name] = {
                    "type": "brightness_contrast",
                    "p": min(1.0, given[f"{name}_p"]),
                    name: min(1.0, round(farthest, 6)),
                    other: 0.0,
                }
        if given["gaussian_noise_p"] > 0:
            strength = min(1.0, abs(given["gaussian_noise_std"]))
            transforms["noise"] = {"p": min(1.0, given["gaussian_noise_p"]), "strength": strength}
    return made


def _make_geometric(given: Mapping[str, Any]) -> dict[str, Any]:
    # Where none of the three has a chance of its own, one for all of them counts.
    own = any(given[f"{name}_p"] is not None for name in ("rotation", "scale", "translate"))

    def happens(name: str) -> bool:
        chance = given[f"{name}_p"] if own else given["affine_p"]
        return bool(chance)

    made: dict[str, Any] = {"flip": min(1.0, max(0.0, given["flip_p"]))}
    if not own and given["affine_p"]:
        made["p"] = min(1.0, max(0.0, given["affine_p"]))
    if happens("rotation"):
        made["rotation"] = min(180.0, max(abs(given["rotation_min"]), abs(given["rotation_max"])))
    if happens("scale") and 0 < given["scale_min"] <= given["scale_max"]:
        made["scale"] = [given["scale_min"], given["scale_max"]]
    if happens("translate"):
        made["translation"] = min(1.0, max(abs(given["translate_width"]), abs(given["translate_height"])))
    return made


def _make_train(whole: Section, notes: list[str]) -> dict[str, Any]:
    given = _read(whole, "trainer_config")
    optimizer = _read(whole, "trainer_config.optimizer")
    loader = _read(whole, "trainer_config.train_data_loader")
    stopping = _read(whole, "trainer_config.early_stopping")
    made: dict[str, Any] = {
        "epochs": max(1, given["max_epochs"]),
        "batch_size": max(1, loader["batch_size"]),
        "optimizer": {"name": str(given["optimizer_name"]).lower()},
    }
    if optimizer["lr"] > 0:
        made["optimizer"]["lr"] = optimizer["lr"]
    # Null there: drawn anew each time.
    if given["seed"] is not None:
        made["seed"] = given["seed"]
    if stopping["stop_training_on_plateau"] and stopping["patience"] > 0:
        made["early_stopping"] = stopping["patience"]
    schedule = whole.section("trainer_config").section("lr_scheduler")
    used = [str(name) for name, value in schedule.content.items() if value is not None]
    # Of several SLEAP-NN takes the first of these.
    if "cosine_annealing_warmup" in used or "linear_warmup_linear_decay" in used:
        made["schedule"] = {"type": "cosine" if "cosine_annealing_warmup" in used else "linear"}
    else:
        made["schedule"] = {"type": "constant"}
        if used:
            notes.append(
                f"{schedule.at}.{used[0]}: the learning rate is constant here; train.schedule.type step or plateau "
                "lets it fall"
            )
    return made


def _list_left(whole: Section) -> list[str]:
    """A line for each section with values that are set and become nothing here."""
    notes = []
    for name, keys in SECTIONS.items():
        if "TYPE" in name or "backbone_config" in name:
            continue
        section = whole
        for part in name.split("."):
            section = section.section(part)
        left = [key.name for key in keys if not key.ours and _is_set(section, key)]
        inner = {other.rpartition(".")[2] for other in SECTIONS if other.startswith(f"{name}.")}
        unknown = [
            str(key)
            for key, value in section.content.items()
            if key not in {each.name for each in keys} | inner and value not in (None, False, "", [], {})
        ]
        if left:
            notes.append(f"{name}: not taken over: {', '.join(left)}")
        if unknown:
            notes.append(f"{name}: says nothing of a training here: {', '.join(sorted(unknown))}")
    return notes


def _is_set(section: Section, key: Key) -> bool:
    value = section.content.get(key.name, key.default)
    return value is not None and value != key.default

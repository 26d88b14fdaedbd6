"""What may be changed of a trained run, and what training has fixed.

The configuration of a run says how its weights were made and how they are used. What only says how they are used (how
outputs are decoded, thresholds, the scale of frames, metrics) may be changed by hand in ``config.yaml``, or for one
prediction by a setting. Everything else is part of what the weights mean: a network that gets other images or names
than it was trained with would be wrong without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pose_core.catalog.merge import merge
from pose_core.errors import ConfigError, RunError
from pose_core.specs.resolve import Layer
from pose_core.specs.run import RunBase
from pose_core.specs.validation_errors import Loc, OptionName
from pose_core.specs.yaml_file import validate_as

CHANGEABLE: Mapping[str, str] = {
    "inference": "prediction",
    "evaluation": "metrics",
    "model.heads.NAME.predictor": "how outputs become keypoints",
    "model.preprocess.scale": "frames are shown larger or smaller than in training",
    "model.preprocess.margin": "room around boxes",
    "model.preprocess.margin_pixels": "the same, in pixels",
    "model.preprocess.min_box": "the least size of crops",
    "network.threshold": "of a detector: the least score of a box",
    "network.excess": "of a detector: what is taken off its boxes",
    "network.size": "of a detector: how large frames are shown",
    "data.source": "where the labelled project is now",
    "data.reader": "what reads it",
    "data.bit_depth": "bits that images use which do not say it",
    "data.crop": "the part of frames that prediction looks at",
    "data.video_crops": "the same for single videos",
    "metadata": "what writers of other tools' files ask for",
    "train": "for going on with the training, which has rules of its own",
    "augmentation": "the same",
}
"""Keys that may be changed after training, with all that is below them, and what for."""

_PATTERN = re.compile(
    "|".join(re.escape(key).replace("NAME", r"[^.]+") + r"(\..*)?" for key in CHANGEABLE), re.DOTALL
)


def is_changeable(loc: Loc) -> bool:
    """Whether the key at a path may be changed after training."""
    return _PATTERN.fullmatch(".".join(map(str, loc))) is not None


def list_fixed(spec: RunBase) -> dict[str, Any]:
    """List what training has fixed of a run: values by keys with dots."""
    return {
        ".".join(loc): value
        for loc, value in _list_leaves(spec.model_dump(mode="json"))
        if not is_changeable(loc)
    }


def check_fixed(folder: Path, spec: RunBase, fixed: Mapping[str, Any]) -> None:
    """Refuse a configuration that says of the trained network what is not so.

    Args:
        folder: of the run.
        spec: its configuration as it is now.
        fixed: :func:`list_fixed` of what was trained.

    Raises:
        RunError: keys differ; the message names them and what they were.
    """
    now = list_fixed(spec)
    # Keys that the record lacks are of a newer version, with defaults that change nothing.
    differing = [key for key, value in fixed.items() if key not in now or now[key] != value]
    if not differing:
        return
    key = differing[0]
    more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
    inside = f"; change {folder / 'stages'} instead" if key.startswith("stages.") else ""
    raise RunError(
        f"{folder / 'config.yaml'}: {key}{more} was changed after training, from {fixed[key]!r} to {now.get(key)!r}; "
        f"restore it, for the weights were trained with it{inside}"
    )


S = TypeVar("S", bound=RunBase)


def change_spec(spec: S, layers: Sequence[Layer]) -> S:
    """Change what may be changed of a run.

    Args:
        spec: of the run.
        layers: the changes; the last wins.

    Raises:
        ConfigError: a key is unknown, a value is wrong, or training has fixed the key.
    """
    content: dict[str, Any] = spec.model_dump(mode="json")
    origin: dict[Loc, str] = {}
    for layer in layers:
        content = merge(content, layer.content)
        origin.update(layer.origin)
    changed = validate_as(content, origin, "", type(spec))
    for layer in layers:
        for loc, _ in _list_leaves(layer.content):
            if not is_changeable(loc):
                by = next(
                    (layer.origin[loc[:n]] for n in range(len(loc), 0, -1) if loc[:n] in layer.origin), ""
                )
                name = by if isinstance(by, OptionName) else ".".join(loc)
                raise ConfigError(
                    f"{name}: is fixed by training; afterwards {', '.join(list(CHANGEABLE)[:3])} and a few others may "
                    "be changed (the guide lists them under 'What may be changed')"
                )
    return changed


def list_assignments(layer: Layer) -> list[str]:
    """List what a layer sets, each as ``key=value``."""
    return [f"{'.'.join(loc)}={value}" for loc, value in _list_leaves(layer.content)]


def list_below(layers: Sequence[Layer]) -> list[str]:
    """List the networks under ``stages`` that layers speak of."""
    sections = [layer.content.get("stages") or {} for layer in layers]
    if wrong := [section for section in sections if not isinstance(section, Mapping)]:
        raise ConfigError(f"stages: must hold keys and values, not {wrong[0]!r}")
    return list(dict.fromkeys(str(name) for section in sections for name in section))


def read_below(layers: Sequence[Layer], name: str) -> tuple[Layer, ...]:
    """Take what layers say of a network under ``stages``."""
    return tuple(layer.below("stages", name) for layer in layers)


def _list_leaves(
    content: Mapping[str, Any], at: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _list_leaves(value, (*at, str(key)))
        else:
            yield (*at, str(key)), value

"""Choose a model for somebody who names none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pose_core.catalog import Model, Weights, get_catalog
from pose_core.errors import ConfigError, argument, command
from pose_core.hooks import MethodSpec
from pose_core.io.downloads import can_obtain
from pose_core.model.pretrained import remote_file
from pose_core.structures import LabelledDataset

ENOUGH_WITHOUT_WEIGHTS = 1000
"""Labelled images from which a large network learns without pretrained weights."""


@dataclass(frozen=True)
class DefaultModel:
    """A model and the reason for it.

    Attributes:
        model: the model.
        weights: name of the pretrained weights that it starts from; None: none by name.
        reason: one line for the user.
    """

    model: Model
    weights: str | None
    reason: str


def choose_default_model(
    dataset: LabelledDataset,
    device: str,
    method: str | None = None,
    *,
    obtainable: Callable[[Weights], bool] = lambda weights: can_obtain(remote_file(weights.definition)),
) -> DefaultModel:
    """Choose a model by the labels and the machine.

    One animal a frame: a network that finds one; several: one that finds them all at once, which needs no
    second network. On a GPU the backbone that plugins recommend there, if its pretrained weights can be had or
    there are many images; else the one that they recommend for a CPU. Ties go to first-party plugins, then by
    name.

    Args:
        dataset: the labelled project.
        device: kind of device that the training computes on: ``cpu``, ``cuda`` or ``mps``.
        method: only models of this method.
        obtainable: whether weights can be had.

    Raises:
        ConfigError: no installed plugin recommends a model for such data.
    """
    catalog = get_catalog()
    methods = [catalog.method(method)] if method is not None else _rank_methods(dataset)
    names = [m.name for m in methods]
    offered = sorted(
        (model for model in catalog.models() if model.recommended and model.method in names),
        key=lambda m: (names.index(m.method), not m.plugin.first_party, m.full_name),
    )
    if not offered:
        raise ConfigError(
            "no model is named, and no installed plugin recommends one for these labels: use "
            f"{argument('model', 'NAME')} ({command('models')} lists them)"
        )
    # Without this a recommendation for a method of a later rank could win by its device.
    offered = [model for model in offered if model.method == offered[0].method]
    small = next((model for model in offered if "cpu" in model.recommended), None)
    large = next((model for model in offered if "gpu" in model.recommended), None)
    labels = _describe_labels(dataset)
    if device != "cpu" and large is not None:
        found = [w for w in catalog.weights() if w.definition.model == large.backbone and obtainable(w)]
        if found:
            reason = f"{labels}; there is a GPU, and its pretrained weights {found[0].full_name} can be had"
            return DefaultModel(large, found[0].full_name, reason)
        if len(dataset.images) >= ENOUGH_WITHOUT_WEIGHTS or small is None:
            return DefaultModel(
                large, None, f"{labels}; there is a GPU, and no pretrained weights are needed"
            )
    if small is None:
        return DefaultModel(offered[0], None, f"{labels}; no installed plugin recommends one for the CPU")
    machine = "there is no GPU" if device == "cpu" else "no pretrained weights of a larger one can be had"
    return DefaultModel(small, None, f"{labels}; {machine}, and it learns quickly from random weights")


def _rank_methods(dataset: LabelledDataset) -> list[MethodSpec]:
    """The methods that find poses in whole frames and need nothing from elsewhere, the best for such labels
    first."""
    poses = [m for m in get_catalog().methods() if m.learns == "keypoints"]
    alone = [m for m in poses if m.view == "frame" and not m.inputs]
    if dataset.multi_animal:
        return [m for m in alone if m.animals == "several"]
    return sorted(alone, key=lambda m: m.animals != "one")


def _describe_labels(dataset: LabelledDataset) -> str:
    skeleton, images = dataset.skeleton, len(dataset.images)
    counted = f"{images} labelled image{'' if images == 1 else 's'}"
    if not dataset.multi_animal:
        return f"one animal a frame, {counted}"
    identities = ", each the same in every frame" if skeleton.identified else ""
    return f"up to {skeleton.num_individuals} animals a frame{identities}, {counted}"

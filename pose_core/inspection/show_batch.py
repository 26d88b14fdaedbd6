"""Draw what a training shows its network: ``pose show-batch``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pose_core.data.batches import collate
from pose_core.data.bit_depth import with_bit_depth
from pose_core.data.keypoint_subset import select_keypoints
from pose_core.data.landmarks import with_skeleton
from pose_core.data.more_keypoints import add_replayed
from pose_core.data.projects import read_with
from pose_core.data.split import Split
from pose_core.errors import ConfigError, DataError, RunError, argument
from pose_core.io.names import find_escaped
from pose_core.model.build import build_model
from pose_core.pictures.batch import draw_training_batch
from pose_core.pictures.sheet import check_picture_path, write_picture
from pose_core.runs.run_folder import CONFIG, PROVENANCE, Run
from pose_core.specs import AnyRunSpec, RunSpec
from pose_core.specs.resolve import write_value
from pose_core.structures import ByteArray
from pose_core.training.prepare import prepare
from pose_core.training.prepared import Prepared
from pose_core.training.replay import read_taught
from pose_core.training.task import TASKS, Task

_MOST = 50
"""Rows of a picture; more than this and it is too long for what shows pictures."""


def draw_batch(
    source: Path | str,
    out: Path | str,
    model: str | None = None,
    *,
    images: int = 4,
    seed: int = 0,
    config: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    **networks: Path | str | None,
) -> Path:
    """Draw augmented training inputs with their labels and targets; ``pose show-batch`` in Python.

    A row an image. The first column is what the network gets, before it is normalised, with keypoints (rings:
    labelled as occluded), limbs and unique keypoints; then come the extra inputs, and for each output of the
    heads its target, where what is ignored (weight 0) is grey. Of a detector, the boxes are drawn.

    Args:
        source: a labelled project, or the folder of a run: its images and settings are taken then.
        out: PNG to write; replaced if it is there.
        model: as of :func:`pose_core.train`; for projects.
        images: rows, at most.
        seed: which images, and how they are changed.
        config, settings, networks: as of :func:`pose_core.train`; for projects.

    Returns:
        the picture.

    Raises:
        PoseError: the project, run, a name or setting cannot be used, or ``out`` cannot be written.
    """
    given = {name: str(value) for name, value in networks.items() if value is not None}
    assignments = [f"{key}={write_value(value)}" for key, value in (settings or {}).items()]
    file = None if config is None else Path(config)
    return draw_batch_of(Path(source), Path(out), model, images, seed, file, assignments, given)


def draw_batch_of(
    source: Path,
    out: Path,
    model: str | None,
    images: int,
    seed: int,
    config: Path | None,
    assignments: Sequence[str],
    networks: Mapping[str, str],
) -> Path:
    """See :func:`draw_batch`; settings as ``KEY=VALUE``."""
    check_picture_path(out)
    if not 1 <= images <= _MOST:
        raise ConfigError(f"{argument('images', str(images))}: must be from 1 to {_MOST}")
    if (source / CONFIG).is_file() and (source / PROVENANCE).is_file():
        for name, value in {"model": model, "config": config, "settings": assignments, **networks}.items():
            if value:
                raise ConfigError(
                    f"{argument(name)}: a run has its own; leave it out, or name the labelled project in the "
                    f"place of {source}"
                )
        prepared = _prepare_run(Run.open(source))
    else:
        prepared = prepare(source, model, networks=networks, config=config, assignments=assignments)
    write_picture(out, _draw(prepared, images, seed))
    return out


def _draw(prepared: Prepared[AnyRunSpec], images: int, seed: int) -> ByteArray:
    spec = prepared.spec
    task: Task[Any] = TASKS[spec.trains](prepared)
    # An image without an animal gives no crop.
    order = _shuffle(prepared.split.train, seed)
    rows = tuple(islice((row for row in order if len(task.samples((row,), augment=True))), images))
    samples = task.samples(rows, augment=True)
    # Of crops there may be several an image; the seed takes the place of the epoch.
    chosen = _shuffle(range(len(samples)), seed)[:images]
    drawn = [samples[(seed, number)] for number in chosen]
    torch.manual_seed(seed)
    network = build_model(spec)
    names = [prepared.dataset.images[sample.index].name for sample in drawn]
    skeleton = spec.finds if isinstance(spec, RunSpec) else spec.skeleton
    return draw_training_batch(network, collate(drawn), names, skeleton)


def _shuffle(rows: Sequence[int], seed: int) -> list[int]:
    order = np.random.default_rng([seed, 1]).permutation(len(rows))
    return [rows[place] for place in order.tolist()]


def _prepare_run(run: Run[AnyRunSpec]) -> Prepared[AnyRunSpec]:
    """The data and configuration of a run, as its training had them."""
    names = run.provenance.get("split", {}).get("train")
    if not isinstance(names, list):
        raise RunError(
            f"{run.path / PROVENANCE}: does not name the images of the training; the file is damaged"
        )
    source = find_escaped(run.spec.data.source)
    if not source.exists():
        raise DataError(
            f"{source}: the labelled project of this run is no longer there; name the project in the place of "
            f"{run.path}, with {argument('config', str(run.path / CONFIG))}"
        )
    dataset, reader = read_with(source, run.spec.data.reader)
    dataset = select_keypoints(dataset, run.spec.data.keypoints, f"{source}: data.keypoints")
    dataset = add_replayed(dataset, run.spec.replayed_keypoints, run.spec.skeleton)
    dataset = with_skeleton(with_bit_depth(dataset, run.spec.data.decided_bit_depth()), run.spec.skeleton)
    at = {image.name: row for row, image in enumerate(dataset.images)}
    rows = tuple(at[name] for name in names if name in at)
    if not rows:
        raise DataError(f"{source}: has none of the images that the run was trained on")
    taught = read_taught(run, dataset, rows)
    return Prepared(run.spec, dataset, Split(rows, (), ()), (), reader, taught=taught)

"""Prepare a training: data, model, split, and the values of ``auto``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pose_core.data.augment import make_augmenter
from pose_core.data.bit_depth import decide_bit_depth, with_bit_depth
from pose_core.data.held_out import HeldOutProject, leave_out_held, read_held_out
from pose_core.data.keypoint_subset import select_keypoints
from pose_core.data.mirroring import describe_pairs
from pose_core.data.project_splits import (
    AUTO,
    ChosenSplit,
    choose_project_split,
)
from pose_core.data.projects import read_with
from pose_core.data.split import Split, make_split
from pose_core.errors import ConfigError, argument, listed
from pose_core.escapes import escape_name
from pose_core.io.names import find_escaped
from pose_core.runs.crop_notes import describe_crops
from pose_core.specs import AnyRunSpec, RunSpec
from pose_core.specs.extra_heads import find_needs
from pose_core.structures import LabelledDataset
from pose_core.training.configure import configure
from pose_core.training.decide import decide
from pose_core.training.loggers import check_loggers
from pose_core.training.optimizers import check_optimizers
from pose_core.training.options import TrainOptions
from pose_core.training.prepared import Prepared
from pose_core.training.teacher import find_teacher, with_replayed
from pose_core.training.time_limit import share_time
from pose_core.training.written import Written


def prepare(
    source: Path,
    model: str | None = None,
    *,
    networks: Mapping[str, str] | None = None,
    config: Path | None = None,
    assignments: Sequence[str] = (),
    options: TrainOptions | None = None,
    known: Sequence[str] = (),
) -> Prepared[AnyRunSpec]:
    """Read the data and make the configuration of a run.

    Args:
        source: the labelled project.
        model: name of a model; may be left out when the file names one (``model.name``) or describes one, and
            when ``train.weights`` is a run folder, whose model is taken then. Where nothing says anything of
            a model, but ``networks`` or the file of a detector, that is trained by itself. Where nothing is said
            at all, see :mod:`pose_core.training.default_model`.
        networks: that the model builds on, by the name of what they supply (``detector``): the name of one to
            train, or the folder of a trained one.
        config: the user's YAML file.
        assignments: settings, ``train.epochs=3``.
        options: options with a name of their own; they win over assignments.
        known: keypoints that the weights know, and that are predicted although no training image has a label of
            them.

    Raises:
        ConfigError: a name, key or value is wrong.
        DataError: the project cannot be used.
        RunError: the folder of a trained network cannot be used.
    """
    options = options or TrainOptions()
    written = Written.read(config, assignments, options)
    # The data come first: names of keypoints and their number decide what a model can be.
    dataset, reader = read_with(source, written.reader())
    dataset = select_keypoints(dataset, *written.keypoints())
    teacher = find_teacher(written, dataset)
    if teacher is not None:
        dataset = teacher.extend(dataset)
    written, overruled = written.for_project(dataset, source)
    configured = configure(written, dataset, source, model, networks or {})
    configured = replace(configured, spec=with_replayed(configured.spec, teacher, configured.trained))
    check_optimizers(configured.spec)
    check_loggers(configured.spec)
    spec, depth_notes = _decide_bit_depth(configured.spec, dataset)
    dataset = with_bit_depth(dataset, spec.data.decided_bit_depth())
    spec, held_out = _read_held_out(spec, dataset, options)
    spec, chosen = _choose_split(spec, written, source)
    split = _split(dataset, spec, chosen, held_out)
    decided = decide(spec, dataset, split, known if teacher is None else (*known, *teacher.replayed))
    spec = share_time(decided.spec, options.seconds(), configured.trained)
    from_held_out = list(held_out.notes) if held_out is not None else []
    if held_out is not None and configured.spec.data.split.test and written.place("data", "split", "test"):
        from_held_out.append(
            f"data.split.test is not used: the test images are all those of {held_out.source}"
        )
    notes = [*overruled, *dataset.notes, *from_held_out, *split.notes, *depth_notes, *decided.describe()]
    notes += _notes(spec, configured.notes)
    why = {"data.split.name": chosen.why} if chosen.why else {}
    if teacher is not None:
        notes.append(
            f"memory replay: learned from predictions of {teacher.run.path}: {listed(teacher.replayed, ', ')}"
        )
    return Prepared(
        spec,
        decided.dataset,
        split,
        tuple(notes),
        reader,
        configured.trained,
        {**decided.why, **why},
        written.find_origins(spec.builds_on()),
        held_out,
        teacher,
    )


def _decide_bit_depth(spec: AnyRunSpec, dataset: LabelledDataset) -> tuple[AnyRunSpec, tuple[str, ...]]:
    if spec.data.bit_depth != "auto":
        return spec, ()
    depth, notes = decide_bit_depth([image.image for image in dataset.images])
    data = spec.data.model_copy(update={"bit_depth": depth})
    return spec.model_copy(update={"data": data}), notes


def _read_held_out(
    spec: AnyRunSpec, dataset: LabelledDataset, options: TrainOptions
) -> tuple[AnyRunSpec, HeldOutProject | None]:
    """Read the project of the test images, if it is another; its place is written in full into the spec."""
    if spec.data.test_source is None:
        return spec, None
    source = find_escaped(spec.data.test_source)
    if not source.exists():
        option = argument("test_data") if options.test_data else "data.test_source"
        raise ConfigError(f"{option}: {source}: no such file or folder; name a labelled project")
    # A fraction of the source for the test has no meaning any more.
    split = spec.data.split.model_copy(update={"test": 0.0})
    data = spec.data.model_copy(update={"test_source": escape_name(source.resolve()), "split": split})
    return spec.model_copy(update={"data": data}), read_held_out(
        source, dataset, spec.replayed_keypoints, spec.data.keypoints
    )


def _choose_split(spec: AnyRunSpec, written: Written, source: Path) -> tuple[AnyRunSpec, ChosenSplit]:
    """Take the project's own split where the user says nothing else, and write its name into the spec."""
    asked = spec.data.split
    if asked.name == AUTO and written.says_split():
        asked = asked.model_copy(update={"name": None})
    chosen = choose_project_split(source, spec.data.reader, asked)
    data = spec.data.model_copy(update={"split": asked.model_copy(update={"name": chosen.name})})
    return spec.model_copy(update={"data": data}), chosen


def _split(
    dataset: LabelledDataset, spec: AnyRunSpec, chosen: ChosenSplit, held_out: HeldOutProject | None
) -> Split:
    boxes = not isinstance(spec, RunSpec) or spec.model.learns_centres()
    split = make_split(dataset, spec.data.split, spec.train.seed, boxes=boxes, brought=chosen.split)
    if chosen.split is not None:
        about = f": {chosen.why}" if chosen.why else ""
        split = replace(split, notes=(f"split {chosen.name} of the project{about}", *split.notes))
    return split if held_out is None else leave_out_held(split, dataset, held_out)


def _notes(spec: AnyRunSpec, added: Sequence[str]) -> list[str]:
    """Note what a pose network does not do with the project."""
    if not isinstance(spec, RunSpec):
        return []
    name, needs, augmenter = (
        spec.model.name,
        find_needs(spec.finds),
        make_augmenter(spec),
    )
    notes = [*describe_crops(spec.data), *augmenter.notes, *added]
    if (untrained := spec.untrained_keypoints) and not spec.model.learns_centres():
        notes.append(f"never predicted, as no training image has a label of it: {', '.join(untrained)}")
    if pairs := describe_pairs(spec.finds, augmenter.flip):
        notes.append(pairs)
    if spec.finds.landmarks and spec.model.view == "animal":
        listed = ", ".join(spec.finds.landmarks)
        notes.append(
            f"{name} looks at crops around the animals: landmarks ({listed}) are learned and found only where "
            "they lie in a crop"
        )
    if "unique_keypoints" in needs and not spec.model.predicts_unique():
        unique = spec.finds.unique_keypoints
        listed = f"{', '.join(unique)} {'is' if len(unique) == 1 else 'are'}"
        notes.append(
            f"{name} has no head for keypoints that exist once a frame: {listed} neither learned nor "
            "predicted"
        )
    if "identity" in needs and not spec.model.predicts_identity():
        listed = ", ".join(spec.finds.individuals)
        notes.append(
            f"{name} has no head for identities: it finds animals, but not which of {listed} they are"
        )
    return notes

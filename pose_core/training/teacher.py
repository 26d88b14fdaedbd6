"""Find the run whose keypoints memory replay keeps alive, and what the network is to learn of it.

After Ye et al., SuperAnimal pretrained pose estimation models for behavioral analysis, 2024.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pose_core.data.more_keypoints import extend_skeleton, with_more_keypoints
from pose_core.errors import ConfigError, argument
from pose_core.model.aliases import match_keypoints, merge_aliases
from pose_core.runs.run_folder import Run
from pose_core.runs.start import run_of
from pose_core.specs import AnyRunSpec, RunSpec
from pose_core.specs.resolve import read_section
from pose_core.specs.run import PoseNetworkSpec
from pose_core.structures import LabelledDataset, Skeleton
from pose_core.training.written import Written


@dataclass(frozen=True)
class Teacher:
    """The run that a training with memory replay starts from.

    Attributes:
        run: whose predictions are learned.
        names: keypoints that the network and the run share: name in the network, name in the run.
        replayed: keypoints that the network has of the run, and the project lacks.
        skeleton: of the network: the project's keypoints, and behind them these.
    """

    run: Run
    names: Mapping[str, str]
    replayed: tuple[str, ...]
    skeleton: Skeleton

    def extend(self, dataset: LabelledDataset) -> LabelledDataset:
        """The project with the keypoints that are replayed; none of them is labelled."""
        return with_more_keypoints(dataset, self.skeleton)


def find_teacher(written: Written, dataset: LabelledDataset) -> Teacher | None:
    """Open the run whose keypoints are kept, if the user asks for memory replay.

    Args:
        written: by the user.
        dataset: the labelled project.

    Raises:
        ConfigError: the weights are no run of a pose network, know no keypoint that the project lacks, or a name in
            ``train.replay.keypoints`` or ``train.aliases`` is no keypoint.
        RunError: the run is incomplete or of a detector.
    """
    train = read_section(written.content.get("train"), "train")
    # What is no section is refused later, by key.
    if not isinstance(asked := train.get("replay"), dict):
        return None
    key, weights = written.name_of("train", "replay"), train.get("weights")
    folder = run_of(weights) if isinstance(weights, str) else None
    if folder is None:
        given = f", not {weights}" if isinstance(weights, str) else ""
        raise ConfigError(
            f"{key}: learns the predictions of the run that the training starts from: name its folder with "
            f"{argument('weights', 'RUN')}{given}"
        )
    run = Run.open(folder, RunSpec)
    if run.spec.model.learns_centres():
        raise ConfigError(f"{key}: the run {folder} finds centres, and no keypoints that could be kept")
    return match_teacher(
        run, dataset, read_section(train.get("aliases"), "train.aliases"), asked.get("keypoints"), key
    )


def match_teacher(
    run: Run, dataset: LabelledDataset, aliases: Mapping[str, str], asked: object, key: str
) -> Teacher:
    """Match the keypoints of a project with those of a run, and choose which of the others are kept.

    Args:
        run: of a pose network.
        dataset: the project.
        aliases: ``train.aliases``.
        asked: ``train.replay.keypoints``; None: all.
        key: what messages call the request.

    Raises:
        ConfigError: as :func:`find_teacher`.
    """
    own, theirs = dataset.skeleton, run.spec.skeleton
    origin = f"the run {run.path}"
    table = merge_aliases(dataset.metadata, aliases, own, theirs)
    matched = match_keypoints(own.keypoints, theirs.keypoints, table, origin)
    matched |= match_keypoints(own.unique_keypoints, theirs.unique_keypoints, table, origin)
    shared = {name: source.keypoint for name, source in matched.items() if source.keypoint is not None}
    # What it never predicts it cannot teach.
    used = {*shared.values(), *run.spec.untrained_keypoints}
    others = [name for name in (*theirs.keypoints, *theirs.unique_keypoints) if name not in used]
    if not others:
        raise ConfigError(f"{key}: {origin} knows no keypoint that the project lacks; leave it out")
    chosen = others
    if isinstance(asked, (list, tuple)):
        if unknown := [name for name in asked if name not in others]:
            raise ConfigError(
                f"train.replay.keypoints: {origin} has no keypoint {unknown[0]!r} that the project lacks; there are "
                f"{', '.join(others)}"
            )
        chosen = [name for name in others if name in asked]
    back: dict[str, str] = {}
    for name, there in shared.items():
        back.setdefault(there, name)
    skeleton = extend_skeleton(own, theirs, back, chosen)
    return Teacher(run, {**shared, **{name: name for name in chosen}}, tuple(chosen), skeleton)


def with_replayed(spec: AnyRunSpec, teacher: Teacher | None, trained: Collection[str] = ()) -> AnyRunSpec:
    """Write the keypoints that are kept into the configuration.

    Args:
        spec: the configuration.
        teacher: whose keypoints are kept; None: without.
        trained: the networks that the model builds on and that are trained already.

    Raises:
        ConfigError: what is trained has no keypoints that could be kept.
    """
    for name, network in spec.builds_on().items():
        if network.train.replay is not None:
            raise ConfigError(
                f"stages.{name}.train.replay: only the model itself keeps keypoints; leave it out"
            )
    if teacher is None:
        if spec.replayed_keypoints:
            raise ConfigError("replayed_keypoints: says what train.replay does; leave it out, or set that")
        return spec
    if not isinstance(spec, RunSpec) or spec.model.learns_centres():
        raise ConfigError(f"train.replay: {spec.name} learns no keypoints that could be kept; leave it out")
    for name, network in spec.stages.items():
        if (
            name not in trained
            and isinstance(network, PoseNetworkSpec)
            and not network.model.learns_centres()
        ):
            raise ConfigError(
                f"stages.{name}: {network.name} would learn none of the keypoints that replay keeps; train it by "
                f"itself with {argument('replay', True)} first, and name its folder with {argument(name, 'RUN')}"
            )
    return spec.model_copy(update={"replayed_keypoints": teacher.replayed})

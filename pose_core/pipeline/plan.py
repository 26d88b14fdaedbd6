"""Which stages a run needs: decided here and nowhere else."""

from __future__ import annotations

from pose_core.errors import ConfigError
from pose_core.model.assemble import PoseModel
from pose_core.model.detector import DetectorModel
from pose_core.pipeline.box_file import BoxTable
from pose_core.pipeline.conditional import PoseFileStage, PoseTable, RefineStage
from pose_core.pipeline.follow import FollowStage
from pose_core.pipeline.stages import Stage, WholeFrameStage
from pose_core.pipeline.top_down import BoxFileStage, CropStage, DetectorStage
from pose_core.pipeline.track import TrackStage
from pose_core.specs import RunSpec


def choose_stages(
    model: PoseModel,
    spec: RunSpec,
    detector: DetectorModel | None = None,
    boxes: BoxTable | None = None,
    conditions: tuple[PoseModel, RunSpec] | PoseTable | None = None,
) -> list[Stage]:
    """The stages for a run.

    Args:
        model: the pose network, on its device.
        spec: of the run; ``spec.inference`` as it is to be used.
        detector: where there is one.
        boxes: instead of a detector.
        conditions: for a model that refines poses: the network that finds them, or the poses.

    Raises:
        ConfigError: what is given does not suit the model, or boxes are missing.
        RunError: the run is not finished.
    """
    preprocess, follow = spec.model.decided_preprocess(), spec.inference.follow
    if model.inputs:
        return _conditional(model, spec, conditions, given_boxes=detector is not None or boxes is not None)
    if conditions is not None:
        raise ConfigError(f"--conditions: {spec.model.name} refines no poses of another model; leave it out")
    if preprocess.view == "frame" and (detector is not None or boxes is not None):
        given = "a detector" if detector is not None else "boxes"
        raise ConfigError(f"{spec.model.name} looks at whole frames and uses no {given.split()[-1]}; leave {given} out")
    if follow and spec.skeleton.num_individuals > 1:
        raise ConfigError(
            f"--follow: is for one animal, and the project of this run has {spec.skeleton.num_individuals}; "
            "leave it out"
        )
    if follow and preprocess.view == "frame" and preprocess.size is not None:
        raise ConfigError("--follow: the network takes whole frames of one size only; leave it out")
    if follow and boxes is not None:
        raise ConfigError("--follow and --boxes: both say where to look; give one of them")
    if preprocess.view == "frame":
        return [FollowStage(model, spec)] if follow else [WholeFrameStage(model, spec)]
    most = most_animals(spec)
    first = DetectorStage(detector, 1 if follow else most) if detector is not None else None
    if follow:
        return [FollowStage(model, spec, first)]
    if boxes is not None:
        return [BoxFileStage(boxes, most), CropStage(model, spec)]
    if first is None:
        alone = " --follow (one animal that stays in view)," if spec.skeleton.num_individuals == 1 else ""
        raise ConfigError(
            f"{spec.model.name} looks at crops and needs to know where the animals are: add{alone} --detector RUN "
            "(pose train DATA --detector NAME --out RUN makes one) or --boxes FILE"
        )
    return [first, CropStage(model, spec)]


def _conditional(
    model: PoseModel, spec: RunSpec, conditions: tuple[PoseModel, RunSpec] | PoseTable | None, given_boxes: bool
) -> list[Stage]:
    """Rough poses, then the network that refines them."""
    name = spec.model.name
    if given_boxes:
        raise ConfigError(f"{name} refines poses, not boxes: leave --detector and --boxes out")
    if spec.model.view != "animal":
        raise ConfigError(f"{name}: model.preprocess.view must be animal for a model that refines poses")
    if conditions is None:
        raise ConfigError(
            f"{name} refines rough poses and needs to know where they come from: add --conditions RUN (a trained "
            "bottom-up model) or --conditions FILE (its predictions of this video)"
        )
    rough: Stage
    if isinstance(conditions, PoseTable):
        rough = PoseFileStage(conditions, spec.skeleton)
    else:
        finder, its_spec = conditions
        if its_spec.skeleton.keypoints != spec.skeleton.keypoints:
            raise ConfigError(
                f"--conditions: {its_spec.model.name} finds {', '.join(its_spec.skeleton.keypoints)}; {name} refines "
                f"{', '.join(spec.skeleton.keypoints)}"
            )
        if its_spec.model.view != "frame" or finder.inputs:
            raise ConfigError(
                f"--conditions: {its_spec.model.name} does not look at whole frames; predict the video with it, and "
                "give --conditions FILE"
            )
        rough = WholeFrameStage(finder, its_spec)
    if not spec.inference.follow:
        return [rough, RefineStage(model, spec)]
    most = most_animals(spec)
    if most is None:
        raise ConfigError("inference.max_animals: --follow must know how many animals there are; set a number")
    return [TrackStage(model, spec, rough, most)]


def most_animals(spec: RunSpec) -> int | None:
    """The most animals of a frame; None for any number."""
    most = spec.inference.max_animals
    return spec.skeleton.num_individuals if most == "project" else most

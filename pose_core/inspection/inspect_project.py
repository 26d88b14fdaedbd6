"""Inspect a labelled project before any training: what was read, what is in doubt, what will be decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_core.data.landmarks import tell_landmarks
from pose_core.data.projects import read_with
from pose_core.data.split import LEARNED
from pose_core.errors import ConfigError, PoseError, argument, command, readable
from pose_core.inspection.label_counts import LabelSummary, summarize_labels
from pose_core.inspection.suspicions import KINDS, Suspicion, find_suspicions
from pose_core.io.files import disk_errors, make_folder
from pose_core.structures import LabelledDataset

if TYPE_CHECKING:
    from pose_core.inspection.estimate import TrainingEstimate
    from pose_core.specs import AnyRunSpec
    from pose_core.training.prepared import Prepared

_SHOWN = 5
"""Suspicious labels that a report lists; the picture shows more."""


@dataclass(frozen=True)
class Decisions:
    """What a training with the same arguments would decide.

    Attributes:
        prepared: the training.
        estimates: what its networks take on this machine, those that others build on first.
    """

    prepared: Prepared[AnyRunSpec]
    estimates: Mapping[str, TrainingEstimate]


@dataclass(frozen=True)
class ProjectReport:
    """What a project holds, and what would be decided.

    Attributes:
        dataset: the labelled project; its ``notes`` tell what was repaired.
        reader: full name of its reader.
        summary: counts of its labels.
        suspicions: labels in doubt, the most suspicious first.
        decisions: of a training; None where there can be none.
        problem: why there can be no training; empty where there can.
        sheet: picture of the labels in doubt, where one was asked for and any are.
    """

    dataset: LabelledDataset
    reader: str
    summary: LabelSummary
    suspicions: tuple[Suspicion, ...]
    decisions: Decisions | None = None
    problem: str = ""
    sheet: Path | None = None

    def lines(self) -> list[str]:
        """Describe everything in lines of text."""
        lines = [*_describe_labels(self), *_describe_suspicions(self)]
        if self.decisions is not None:
            lines += ["", f"{command('train', 'DATA', argument('out', 'RUN'))} would decide:"]
            lines += [f"  {key:<13}{value}" for key, value in _describe_decisions(self.decisions)]
        elif self.problem:
            lines += ["", f"a training is not possible: {readable(self.problem)}"]
        return lines

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values for programs."""
        summary, images = self.summary, self.dataset.images
        content: dict[str, Any] = {
            "name": self.dataset.name,
            "reader": self.reader,
            "images": summary.images,
            "unlabelled_images": summary.unlabelled,
            "sizes": [{"width": w, "height": h, "images": n} for (w, h), n in summary.sizes.items()],
            "animals": summary.animals,
            "most_animals": summary.most_animals,
            "individuals": list(self.dataset.skeleton.individuals),
            "labelled": summary.labelled,
            "occluded": summary.occluded,
            "symmetry": [list(pair) for pair in self.dataset.skeleton.symmetry],
            "landmarks": list(self.dataset.skeleton.landmarks or ()),
            "lengths": None if summary.lengths is None else list(summary.lengths),
            "notes": list(self.dataset.notes),
            "suspicious": [
                {
                    "image": images[s.image].name,
                    "animal": s.animal,
                    "kind": s.kind,
                    "keypoints": [self.dataset.skeleton.keypoints[k] for k in s.keypoints],
                    "reason": s.reason,
                    "score": round(s.score, 2),
                }
                for s in self.suspicions
            ],
            "problem": self.problem or None,
        }
        if self.decisions is not None:
            prepared = self.decisions.prepared
            split = prepared.split
            learned = {part: len(getattr(split, part)) for part in LEARNED}
            content["decisions"] = {
                "config": prepared.spec.model_dump(mode="json"),
                "notes": list(prepared.notes),
                "why": dict(prepared.decisions),
                "split": {**learned, "test": len(prepared.test_names)},
                "estimates": {
                    name: {
                        "device": e.device,
                        "step_seconds": e.step_seconds,
                        "steps": e.steps,
                        "memory": e.memory,
                        "usable_seconds": e.usable_seconds,
                        "seconds": e.seconds,
                    }
                    for name, e in self.decisions.estimates.items()
                },
            }
        return content


def inspect_project(
    project: Path | str,
    model: str | None = None,
    *,
    config: Path | str | None = None,
    settings: Sequence[str] = (),
    sheet: Path | str | None = None,
    estimate: bool = True,
) -> ProjectReport:
    """Inspect a labelled project and what a training on it would decide; ``pose inspect`` in Python.

    Args:
        project: the labelled project: its folder or its file.
        model: name of a model; one is chosen where it is left out.
        config: YAML file with settings.
        settings: assignments, ``train.epochs=3``.
        sheet: PNG to draw the labels in doubt to.
        estimate: measure a training step, to tell memory and time.

    Raises:
        PoseError: the project cannot be read, a name or setting is wrong, or the picture cannot be written.
    """
    if sheet is not None and Path(sheet).suffix.lower() != ".png":
        raise ConfigError(f"{argument('sheet', str(sheet))}: must end in .png")
    dataset, reader = read_with(Path(project))
    dataset = tell_landmarks(dataset, range(len(dataset.images)))
    suspicions = find_suspicions(dataset)
    report = ProjectReport(dataset, reader, summarize_labels(dataset), tuple(suspicions))
    drawn: Path | None = None
    if sheet is not None:
        # Imported late, as is the training below: reading and counting labels needs neither.
        from pose_core.inspection.sheet import draw_suspicions

        make_folder(Path(sheet).parent)
        with disk_errors(Path(sheet)):
            drawn = Path(sheet) if draw_suspicions(dataset, suspicions, Path(sheet)) else None
    from pose_core.training.prepare import prepare

    decisions, problem = None, ""
    try:
        prepared = prepare(
            Path(project), model, config=None if config is None else Path(config), assignments=settings
        )
    except PoseError as error:
        # What the user asked for in so many words must be refused; labels that no training can use are what
        # an inspection is for.
        if model is not None or config is not None or settings:
            raise
        problem = str(error)
    else:
        decisions = Decisions(prepared, _estimate(prepared) if estimate else {})
    return ProjectReport(dataset, reader, report.summary, tuple(suspicions), decisions, problem, drawn)


def _estimate(prepared: Prepared[AnyRunSpec]) -> dict[str, TrainingEstimate]:
    from pose_core.inspection.estimate import estimate_training

    found = {name: estimate_training(stage) for name, stage in prepared.stages().items()}
    if prepared.spec.trainable():
        found[prepared.spec.name] = estimate_training(prepared)
    return found


def _describe_labels(report: ProjectReport) -> list[str]:
    summary, dataset = report.summary, report.dataset
    skeleton = dataset.skeleton
    animals = "one animal a frame"
    if dataset.multi_animal:
        animals = f"up to {summary.most_animals} of {skeleton.num_individuals} animals a frame"
        animals += ", each the same one in every frame" if skeleton.identified else ""
    counted = _count(summary.images, "labelled image")
    lines = [f"{dataset.name} ({report.reader}): {counted} of {_describe_sizes(summary)}, {animals}"]
    if summary.unlabelled:
        lines.append(f"  {_count(summary.unlabelled, 'image')} without any label")
    if summary.lengths is not None:
        low, median, high = summary.lengths
        lines.append(f"  animals are {median:.0f} pixels long (median; 10 to 90 %: {low:.0f} to {high:.0f})")
    lines.append(f"  {'KEYPOINT':<20} LABELLED")
    width = max(len(name) for name in summary.labelled)
    unique = set(skeleton.unique_keypoints)
    for name, count in summary.labelled.items():
        of = summary.images if name in unique else summary.animals
        share = f"{100 * count / of:.0f} %" if of else "–"
        once = "  (once a frame)" if name in unique else ""
        lines.append(f"  {name:<{max(width, 20)}} {count:>5}  {share:>5}{once}")
    if summary.occluded:
        lines.append(f"  {_count(summary.occluded, 'label')} of hidden keypoints")
    pairs = ", ".join("/".join(pair) for pair in skeleton.symmetry)
    lines.append(f"  left/right pairs: {pairs or 'none'}")
    if skeleton.landmarks:
        lines.append(f"  landmarks of the frame: {', '.join(skeleton.landmarks)}")
    lines += [f"  note: {readable(note)}" for note in dataset.notes]
    return lines


def _describe_sizes(summary: LabelSummary) -> str:
    (width, height), _ = next(iter(summary.sizes.items()))
    if len(summary.sizes) == 1:
        return f"{width} x {height} pixels"
    widths, heights = [w for w, _ in summary.sizes], [h for _, h in summary.sizes]
    return f"{len(summary.sizes)} sizes, {min(widths)} to {max(widths)} x {min(heights)} to {max(heights)} pixels"


def _describe_suspicions(report: ProjectReport) -> list[str]:
    if not report.suspicions:
        return ["labels in doubt: none"]
    counts = Counter(s.kind for s in report.suspicions)
    lines = ["labels in doubt:"]
    for kind, says in KINDS.items():
        if counts[kind]:
            lines.append(f"  {counts[kind]} {says}")
    for s in report.suspicions[:_SHOWN]:
        animal = f", animal {s.animal + 1}" if report.dataset.multi_animal and s.animal is not None else ""
        lines.append(f"    {readable(report.dataset.images[s.image].name)}{animal}: {s.reason}")
    if more := len(report.suspicions) - _SHOWN:
        lines += [f"    and {more} more"] if more > 0 else []
    drawn = f"{report.sheet} shows them" if report.sheet else f"{argument('sheet', 'FILE.png')} draws them"
    return [*lines, f"  {drawn}"]


def _describe_decisions(decisions: Decisions) -> list[tuple[str, str]]:
    prepared = decisions.prepared
    spec, split = prepared.spec, prepared.split
    own = [note for note in prepared.notes if note not in prepared.dataset.notes]
    chosen = [note for note in own if note.startswith("model: ")]
    content = spec.model_dump(mode="json")
    train, augmentation = content["train"], content["augmentation"]
    preprocess = content.get("model", {}).get("preprocess", {})
    low, high = augmentation["scale"]
    mirrored = f"{100 * augmentation['flip']:.0f} % mirrored" if augmentation["flip"] else "not mirrored"
    height, width = preprocess.get("size") or augmentation["crop"]["size"]
    scaled = "" if preprocess.get("size") else f"frames scaled by {preprocess.get('scale', 1):g}, windows of "
    parts = {part: len(getattr(split, part)) for part in LEARNED} | {"test": len(prepared.test_names)}
    lines = {
        "model": chosen[0].removeprefix("model: ") if chosen else spec.name,
        "split": f"{parts['train']} training, {parts['validation']} validation and {parts['test']} test images",
        "input": f"{scaled}{width} x {height} pixels",
        "augmentation": f"turned by up to {augmentation['rotation']:g} degrees, {mirrored}, scaled by {low:g} "
        f"to {high:g}",
        "training": f"{train['epochs']} epochs, {train['batch_size'] * train['accumulate']} images a step, "
        f"learning rate {train['optimizer']['lr']:g}",
    }
    estimates = [
        ("estimate", (f"{name}: " if len(decisions.estimates) > 1 else "") + _describe_estimate(estimate))
        for name, estimate in decisions.estimates.items()
    ]
    return [*lines.items(), *estimates, *(("note", readable(note)) for note in own if note not in chosen)]


def _describe_estimate(estimate: TrainingEstimate) -> str:
    memory = f", {estimate.memory / 2**30:.1f} GiB of memory" if estimate.memory is not None else ""
    return (
        f"{estimate.step_seconds:.2g} s a step on {estimate.device}{memory}: a first usable model in about "
        f"{_describe_time(estimate.usable_seconds)}, all {estimate.steps} steps in "
        f"{_describe_time(estimate.seconds)}"
    )


def _describe_time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

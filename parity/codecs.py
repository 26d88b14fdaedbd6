"""How long the same targets and the same decoding take DeepLabCut and pose_core, in turns.

    python parity/codecs.py [--repetitions 30] [--threads 2] [--json]

Targets: batches of 8 images, 12 keypoints, maps of 112 x 112 cells of 4 pixels, a tenth of the keypoints unlabelled;
one animal (Gaussian) or three. Decoding: one frame of 10 animals, from outputs that both sides are given, those of a
perfect network: part affinity fields of a skeleton (11 limbs) and of every pair (66). Prints medians in milliseconds
beside the budgets of the project. What both sides find is compared by ``parity/run.py``, not here.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from run import HERE, Oracle
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Head, Labels, Predictions
from pose_core.specs import AnyHead, AnyTargetGenerator, Feature
from pose_core.structures import Skeleton
from pose_core.training.memory import keep_freed_memory

ORACLE = (str(HERE.parent / ".venv-parity" / "bin" / "python"), str(HERE / "codecs_oracle.py"))
CELLS, STRIDE, KEYPOINTS = 112, 4, 12
NAMES = tuple(f"keypoint{i}" for i in range(KEYPOINTS))
SPREAD = 90
"""Pixels that an animal is long."""
WARM_UP = 10
"""Calls of ours that are not counted: the first ones wait for memory."""

Outputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Row:
    """Medians of one case, milliseconds; the original's is None where there is no original.

    Attributes:
        name: of the case.
        ours, theirs: a call.
        budget_ms: what a call of ours may take.
    """

    name: str
    ours: float
    theirs: float | None
    budget_ms: float

    def format(self) -> str:
        """Make the row of the table."""
        theirs = ("", "") if self.theirs is None else (f"{self.theirs:.1f}", f"{self.theirs / self.ours:.1f}")
        verdict = "" if self.ours <= self.budget_ms else ": over"
        return (
            f"| {self.name} | {theirs[0]} | {self.ours:.2f} | {theirs[1]} | {self.budget_ms:g} ms{verdict} |"
        )


@dataclass(frozen=True)
class Case:
    """Work for both sides.

    Attributes:
        name: of the row.
        work: makes one call of ours.
        asked: what the original's side is told beside the file.
        arrays: of that file.
        budget_ms: of ours.
    """

    name: str
    work: Callable[[], object]
    asked: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    budget_ms: float


def draw_labels(batch: int, animals: int, missing: float) -> Labels:
    """Random animals."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch, animals, KEYPOINTS)
    origins = torch.rand(batch, animals, 1, 2, generator=generator) * (CELLS * STRIDE - SPREAD)
    keypoints = origins + torch.rand(*shape, 2, generator=generator) * SPREAD
    keypoints[torch.rand(shape, generator=generator) < missing] = torch.nan
    return Labels.from_keypoints(keypoints)


def make_head(animals: int, **config: Any) -> Head:
    """A head of stride 4."""
    skeleton = Skeleton(
        NAMES,
        edges=tuple(itertools.pairwise(NAMES)),
        individuals=tuple(f"animal{i}" for i in range(animals)),
    )
    spec = TypeAdapter(AnyHead).validate_python(config)
    head: Head = BuildContext(skeleton=skeleton, features=(Feature(270, STRIDE),)).build("head", spec)
    return head


def zeros(batch: int, **channels: int) -> dict[str, Tensor]:
    """Outputs of which the shapes count."""
    return {name: torch.zeros(batch, number, CELLS, CELLS) for name, number in channels.items()}


def make_targets() -> list[Case]:
    """Target generators, by kind."""
    found = []
    for animals in (1, 3):
        config = TypeAdapter(AnyTargetGenerator).validate_python({"type": "heatmap/gaussian"})
        skeleton = Skeleton(NAMES)
        generator = BuildContext(skeleton=skeleton).build("target_generator", config, Grid.cells(STRIDE))
        labels = draw_labels(8, animals, 0.1)
        work = partial(generator, labels, zeros(8, heatmap=KEYPOINTS, locref=2 * KEYPOINTS))
        name = f"targets: Gaussian, {animals} animal{'s' * (animals > 1)}"
        found.append(Case(name, work, {"targets": "gaussian"}, _labels_of(labels), 10.0))
    labels = draw_labels(8, 3, 0.1)
    dekr = make_head(3, type="dekr/dekr").target_generator
    work = partial(dekr, labels, zeros(8, heatmap=KEYPOINTS + 1, offset=2 * KEYPOINTS))
    found.append(Case("targets: DEKR", work, {"targets": "dekr"}, _labels_of(labels), 10.0))
    paf = make_head(3, type="paf/paf", graph="full")
    work = partial(paf.target_generator, labels, _paf_outputs(paf, 8))
    asked = {"targets": "paf", "graph": _graph_of(paf)}
    found.append(Case("targets: part affinity fields, 66 limbs", work, asked, _labels_of(labels), 30.0))
    return found


def make_decoding() -> list[Case]:
    """Predictors, given what a perfect network puts out."""
    labels, nothing = draw_labels(1, 10, 0.0), Predictions.none(1, Skeleton(NAMES))
    found = []
    for refine in (None, 12.0):
        head = make_head(10, type="dekr/dekr", predictor={"refine": refine})
        empty = zeros(1, heatmap=KEYPOINTS + 1, offset=2 * KEYPOINTS)
        outputs = _as_outputs(head.target_generator(labels, empty))
        work = torch.inference_mode()(partial(head.decode, outputs, nothing))
        # The original refines with neither of its poses: its heatmaps give scores alone.
        asked = {} if refine else {"decoding": "dekr"}
        found.append(Case(f"decoding: DEKR{', refined' * bool(refine)}", work, asked, _numpy(outputs), 3.0))
    for graph, limbs in (("skeleton", 11), ("full", 66)):
        head = make_head(10, type="paf/paf", graph=graph)
        outputs = _as_outputs(head.target_generator(labels, _paf_outputs(head, 1)))
        work = torch.inference_mode()(partial(head.decode, outputs, nothing))
        asked = {"decoding": "paf", "graph": _graph_of(head)}
        name = f"decoding: part affinity fields, {limbs} limbs"
        found.append(Case(name, work, asked, _numpy(outputs), 5.0))
    return found


def _graph_of(head: Head) -> list[list[int]]:
    # Heads with fields have limbs; what the interface promises of all heads does not.
    return [list(limb) for limb in head.limbs]  # type: ignore[attr-defined]


def _paf_outputs(head: Head, batch: int) -> dict[str, Tensor]:
    return zeros(batch, heatmap=KEYPOINTS, locref=2 * KEYPOINTS, paf=2 * len(_graph_of(head)))


def _labels_of(labels: Labels) -> dict[str, np.ndarray]:
    return {"keypoints": labels.keypoints.numpy()}


def _as_outputs(targets: Mapping[str, Any]) -> dict[str, Tensor]:
    """Targets as a network puts them out: heatmaps before the sigmoid."""
    values = {name: target.value.clone() for name, target in targets.items()}
    values["heatmap"] = torch.logit(values["heatmap"].clamp(0.001, 0.999))
    return values


def _numpy(outputs: Outputs) -> dict[str, np.ndarray]:
    return {name: output.numpy() for name, output in outputs.items()}


def measure(case: Case, oracle: Oracle | None, folder: Path, repetitions: int) -> Row:
    """Time both sides in turns, five calls of ours to one block of theirs."""
    file = folder / "case.npz"
    # Its own arguments stand among the arrays' names, so mypy takes the arrays for them.
    np.savez(file, **case.arrays)  # type: ignore[arg-type]
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(WARM_UP):
        case.work()
    blocks = max(1, repetitions // 5)
    for _ in range(blocks):
        for _ in range(5):
            began = time.perf_counter()
            case.work()
            ours.append(1e3 * (time.perf_counter() - began))
        if oracle is not None and case.asked:
            answer = oracle.ask(json.dumps({**case.asked, "file": str(file), "calls": 2, "stride": STRIDE}))
            if "error" in answer:
                raise SystemExit(f"{case.name}: the original: {answer['error']}")
            theirs += answer["milliseconds"]
    other = statistics.median(theirs) if theirs else None
    return Row(case.name, statistics.median(ours), other, case.budget_ms)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=30, help="measured calls of ours")
    parser.add_argument("--threads", type=int, default=2, help="of both sides")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--oracle",
        default=shlex.join(ORACLE),
        help="the command that runs the original's side; '' leaves it out",
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as every training does
    with tempfile.TemporaryDirectory(prefix="pose-codecs-") as temporary:
        folder = Path(temporary)
        command = shlex.split(options.oracle)
        oracle = Oracle(folder / "original.log", [*command, str(options.threads)]) if command else None
        with torch.no_grad():
            rows = [
                measure(case, oracle, folder, options.repetitions)
                for case in (*make_targets(), *make_decoding())
            ]
        if oracle is not None:
            oracle.close()
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print("| milliseconds | DeepLabCut | pose_core | times | budget |\n|---|--:|--:|--:|---|")
    for row in rows:
        print(row.format())


if __name__ == "__main__":
    main()

"""Level 1: backbones with insert points."""

from __future__ import annotations

import torch
from torch import Tensor

from pose_core.interfaces import Insert
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.harness import BackboneHarness, harness_of
from pose_core.testing.checks.targets import ComponentSubject, skip


@check(1, "backbone")
def check_insert_points_are_passed(subject: ComponentSubject) -> None:
    """Each of insert_points() is passed once, with the maps that are declared, and what the insert returns
    goes on."""
    harness = harness_of(subject)
    assert isinstance(harness, BackboneHarness)
    points = harness.config.insert_points()
    if not points:
        raise skip("it has no insert points")
    inputs, module = harness.inputs(1), harness.build().eval()
    images, extra = inputs["images"], {name: tensor for name, tensor in inputs.items() if name != "images"}
    passed: list[tuple[str, list[Tensor]]] = []

    def keep(point: str) -> Insert:
        def insert(maps: list[Tensor]) -> list[Tensor]:
            # A copy of the list: the backbone may go on to fill the one that it passed.
            passed.append((point, list(maps)))
            return maps

        return insert

    with torch.no_grad():
        plain = module(images, **extra)
        kept = module(images, inserts={point: keep(point) for point in points}, **extra)
        demand(
            [point for point, _ in passed] == list(points),
            f"it passes {[p for p, _ in passed]}, not {list(points)}",
        )
        demand(all(map(torch.equal, plain, kept)), "with inserts that change nothing its features are others")
        for point, maps in passed:
            demand(point.isidentifier(), f"insert point {point!r} must be an identifier")
            wanted = [(f.channels, *(length // f.stride for length in harness.size)) for f in points[point]]
            real = [tuple(x.shape[1:]) for x in maps]
            demand(real == wanted, f"at {point} maps of shapes {real} pass, but {wanted} is declared")
            # Not only doubled: a map that is all 0 after a ReLU would stay what it is.
            doubled = module(images, inserts={point: lambda maps: [2 * x + 1 for x in maps]}, **extra)
            demand(
                not all(map(torch.equal, plain, doubled)), f"what an insert returns at {point} is not used"
            )


CHECKS = (check_insert_points_are_passed,)

"""Level 1: backbones that give an order of their stages."""

from __future__ import annotations

from pose_core.interfaces import Backbone
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.harness import BackboneHarness, harness_of
from pose_core.testing.checks.targets import ComponentSubject, skip


@check(1, "backbone")
def check_stages_hold_all_parameters(subject: ComponentSubject) -> None:
    """Each parameter belongs to one stage of stage_parts(), and what is named there exists."""
    harness = harness_of(subject)
    assert isinstance(harness, BackboneHarness)
    backbone = harness.build()
    assert isinstance(backbone, Backbone)
    stages = backbone.stage_parts()
    if not stages:
        raise skip("it gives no order of its stages")
    names = [name for name, _ in backbone.named_parameters()]
    held: list[str] = []
    for part in [part for parts in stages for part in parts]:
        within = [name for name in names if name == part or name.startswith(f"{part}.")]
        demand(within, f"stage_parts() names {part}, where there is no parameter")
        held += within
    left = [name for name in names if name not in held]
    demand(not left, f"stage_parts() leaves out {', '.join(left[:3])}")
    demand(len(set(held)) == len(held), "stage_parts() names a parameter in two stages")


CHECKS = (check_stages_hold_all_parameters,)

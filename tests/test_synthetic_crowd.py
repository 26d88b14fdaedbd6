"""Crowds: poses over time with the truth, and what would be found of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pose_core.synthetic.crowd import Crowd, CrowdSpec

SPEC = CrowdSpec(frames=300, animals=4, seed=3)
PERFECT = replace(SPEC, lost=0, hidden=0, double=0, noise=0)


def test_the_same_spec_gives_the_same_crowd() -> None:
    for one, other in zip(Crowd(SPEC).found(), Crowd(SPEC).found(), strict=True):
        assert np.array_equal(one.instances.keypoints, other.instances.keypoints, equal_nan=True)


def test_without_errors_everything_is_found_in_changing_order() -> None:
    crowd = Crowd(PERFECT)
    shuffled = 0
    for truth, found in zip(crowd.truth(), crowd.found(), strict=True):
        right, seen = truth.instances.keypoints, found.instances.keypoints
        assert sorted(right.tolist()) == sorted(seen.tolist())
        shuffled += not np.array_equal(right, seen)
    assert shuffled > 200
    assert (found.instances.track == -1).all()


def test_errors_come_at_their_rates() -> None:
    spec = replace(SPEC, frames=3000, lost=0.2, hidden=0.1, double=0.1, noise=0.05, size=(3000, 3000))
    crowd = Crowd(spec)
    frames = list(crowd.found())
    count = sum(len(frame.instances) for frame in frames) / (3000 * 4)
    # Lost ones: half by themselves, half in stretches of about 5 frames; then a tenth is found twice.
    assert count == pytest.approx(0.9 * (1 - 0.02 * 5 / 1.1) * 1.1, abs=0.05)
    hidden = np.concatenate([np.isnan(f.instances.keypoints[..., 0]).ravel() for f in frames]).mean()
    assert hidden == pytest.approx(0.1, abs=0.03)


def test_animals_leave_by_the_door_and_come_back() -> None:
    there = [set(f.instances.track.tolist()) for f in Crowd(replace(SPEC, frames=2000, door=True)).truth()]
    assert min(map(len, there)) < 4
    assert set.union(*there[-1000:]) == set(range(4))


def test_pull_brings_them_together() -> None:
    def nearness(pull: float) -> float:
        found = []
        for frame in Crowd(replace(SPEC, frames=2000, pull=pull)).truth():
            centres = frame.instances.keypoints.mean(axis=1)
            apart = np.linalg.norm(centres[:, None] - centres, axis=-1)
            found.append(np.median(apart[np.triu_indices(4, 1)]))
        return float(np.mean(found))

    assert nearness(1.0) < 0.8 * nearness(0.0)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [({"animals": 0}, "animals must"), ({"lost": 2}, "lost is a share"), ({"length": 900}, "a third")],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        replace(SPEC, **wrong)

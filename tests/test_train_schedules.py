"""Schedules of the learning rate: as torch's, fitted into the time, the same after a resume."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError, RunError
from pose_core.interfaces import Schedule
from pose_core.runs.run_folder import Run
from pose_core.specs.train import DecidedTrainSpec
from pose_core.training.fit import train_network
from pose_core.training.options import TrainOptions
from pose_core.training.prepare import prepare
from pose_core.training.schedule_callback import compute_learning_rate, make_schedule

LR = 0.01
EPOCHS = 12
STEPS = 5
"""Steps an epoch."""


def schedule(content: object, epochs: int = EPOCHS) -> Schedule:
    train = {"epochs": epochs, "batch_size": 4, "validate_every": 1, "optimizer": {"lr": LR}}
    return make_schedule(DecidedTrainSpec.model_validate({**train, "schedule": content}))


def rates(made: Schedule) -> list[float]:
    """At the first step of each epoch."""
    return [compute_learning_rate(made, epoch / EPOCHS) for epoch in range(EPOCHS)]


def torch_rates(make: Any, steps: int = EPOCHS) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler, found = make(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


TORCH = torch.optim.lr_scheduler


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"type": "milestones", "epochs": [3, 7]}, lambda o: TORCH.MultiStepLR(o, [3, 7])),
        ({"type": "step", "every": 5, "factor": 0.5}, lambda o: TORCH.StepLR(o, 5, 0.5)),
        ({"type": "exponential", "factor": 0.9}, lambda o: TORCH.ExponentialLR(o, 0.9)),
        ({"type": "constant"}, lambda o: TORCH.ConstantLR(o, 1.0)),
        ({"type": "cosine", "final": 0.1}, lambda o: TORCH.CosineAnnealingLR(o, EPOCHS, 0.1 * LR)),
        ({"type": "linear", "final": 0.1}, lambda o: TORCH.LinearLR(o, 1.0, 0.1, EPOCHS)),
        (
            {"type": "rates", "epochs": [3, 7], "rates": [1e-3, 1e-4]},
            lambda o: TORCH.LambdaLR(o, lambda e: 1 if e < 3 else 0.1 if e < 7 else 0.01),
        ),
    ],
)
def test_rates_are_those_of_torch(ours: dict[str, Any], theirs: Any) -> None:
    assert rates(schedule({**ours, "warmup": 0})) == pytest.approx(torch_rates(theirs))


def test_one_cycle_is_that_of_torch() -> None:
    made, count = schedule("one_cycle"), 101
    theirs = torch_rates(lambda o: TORCH.OneCycleLR(o, LR, total_steps=count), count - 1)
    # torch counts to the last step, where progress is 1.
    ours = [compute_learning_rate(made, step / (count - 1)) for step in range(count - 1)]
    # Its peak is one step before 30 %, since it begins to count at 0.
    assert ours == pytest.approx(theirs, rel=0.05)
    assert max(ours) == pytest.approx(LR)


@given(
    st.lists(st.floats(0.1, 10), min_size=1, max_size=60),
    st.integers(0, 4),
    st.integers(0, 3),
    st.sampled_from([0.0, 1e-4, 0.1]),
)
def test_plateau_is_that_of_torch(
    values: list[float], patience: int, cooldown: int, threshold: float
) -> None:
    settings = {
        "factor": 0.5,
        "patience": patience,
        "cooldown": cooldown,
        "threshold": threshold,
        "min_lr": 1e-3,
    }
    made = schedule({"type": "plateau", "warmup": 0, **settings})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    # eps: torch leaves a change out that is smaller.
    theirs = TORCH.ReduceLROnPlateau(optimizer, eps=0.0, **settings)
    for value in values:
        made.observe(value)
        theirs.step(value)
        assert made.learning_rate(0.5) == pytest.approx(optimizer.param_groups[0]["lr"])


def test_plateau_of_a_metric_that_rises() -> None:
    made = schedule({"type": "plateau", "patience": 1, "threshold": 0.01})
    for value in (-0.5, -0.6, -0.7, -0.8):
        made.observe(value)
    assert made.learning_rate(0.5) == LR
    for value in (-0.801, -0.802):
        made.observe(value)
    assert made.learning_rate(0.5) == pytest.approx(LR / 10)


EVERY = [component.name for component in get_catalog().components("schedule")]
SETTINGS: dict[str, dict[str, Any]] = {
    "milestones": {"epochs": [3, 7]},
    "rates": {"epochs": [0, 7], "rates": [1e-3, 1e-4]},
}


@given(st.sampled_from(EVERY), st.floats(0.01, 0.9))
def test_the_warm_up_rises_to_what_the_schedule_says(name: str, warmup: float) -> None:
    made = schedule({"type": name, "warmup": warmup, **SETTINGS.get(name, {})})
    end = compute_learning_rate(made, warmup)
    rising = [compute_learning_rate(made, warmup * part / 10) for part in range(11)]
    assert rising == pytest.approx([end * (0.01 + 0.99 * part / 10) for part in range(11)])


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_milestone_is_reached_at_the_first_step_of_its_epoch(name: str) -> None:
    for epochs in (3, 7, 49, 90, 546):
        made = schedule({"type": name, "warmup": 0, **SETTINGS[name], "epochs": [1, epochs - 1]}, epochs)
        total = STEPS * epochs
        found = [compute_learning_rate(made, step / total) for step in range(total)]
        changes = [step for step in range(1, total) if found[step] != found[step - 1]]
        assert changes == [STEPS, STEPS * (epochs - 1)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("cosinus", r"train.schedule: no schedule 'cosinus' is installed; did you mean cosine\?"),
        ({"type": "milestones", "epochs": [5, 3]}, "increasing order"),
        ({"type": "rates", "epochs": [5, 9], "rates": [1e-4]}, "there are 1 rates and 2 epochs"),
        ({"type": "milestones"}, "train.schedule.epochs: .*(required|missing)"),
        ({"type": "step", "gamma": 0.1}, "train.schedule.gamma"),
    ],
)
def test_a_wrong_schedule_is_refused_by_its_key(blob_project: Path, content: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        prepare(blob_project, "unet", assignments=[f"train.schedule={json.dumps(content)}"])


def test_a_part_of_the_default_needs_no_type(blob_project: Path, tiny_settings: tuple[str, ...]) -> None:
    prepared = prepare(blob_project, "unet", assignments=[*tiny_settings, "train.schedule.final=0.5"])
    assert prepared.spec.train.schedule.model_dump() == {"type": "core/cosine", "warmup": 0.03, "final": 0.5}


PLATEAU = (
    "train.schedule={type: plateau, patience: 0, factor: 0.5, threshold: 0.9, warmup: 0}",
    "train.validate_every=1",
)


def fit(project: Path, out: Path, settings: tuple[str, ...], epochs: int, resume: bool = False) -> Run[Any]:
    options = TrainOptions(epochs=epochs, device="cpu")
    return train_network(prepare(project, "unet", assignments=settings, options=options), out, resume=resume)


def learning_rates(run: Run[Any]) -> list[float]:
    with (run.path / "history.csv").open(newline="") as file:
        return [float(row["learning_rate"]) for row in csv.DictReader(file)]


@pytest.mark.long
def test_plateaus_go_on_after_a_resume(
    blob_project: Path, tiny_settings: tuple[str, ...], tmp_path: Path
) -> None:
    settings = (*tiny_settings, *PLATEAU)
    whole = fit(blob_project, tmp_path / "whole", settings, 4)
    fit(blob_project, tmp_path / "parts", settings, 2)
    resumed = fit(blob_project, tmp_path / "parts", settings, 4, resume=True)
    first, *_, last = learning_rates(whole)
    assert last == pytest.approx(first / 4), "an improvement of nine tenths is out of reach"
    assert learning_rates(resumed) == learning_rates(whole)
    one, other = (load_file(run.path / "weights.safetensors") for run in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(RunError, match=r"other values of train\.schedule\.factor"):
        fit(blob_project, tmp_path / "parts", (*settings, "train.schedule.factor=0.1"), 4, resume=True)


def test_a_milestone_beyond_the_end_is_noted(
    blob_project: Path, tiny_settings: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    schedule = "train.schedule={type: milestones, epochs: [1, 90]}"
    with caplog.at_level("INFO", "pose_core"):
        fit(blob_project, tmp_path / "run", (*tiny_settings, schedule), 2)
    assert "train.schedule.epochs: 90 is never reached in a training of 2 epochs" in caplog.messages

"""Batch size, learning rate and length of a training follow the number of training samples."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_core.errors import ConfigError
from pose_core.specs import TrainSpec
from pose_core.training.steps import PASSES, STEPS, decide_steps


def decided(samples: int, **given: object) -> TrainSpec:
    spec = TrainSpec.model_validate(given)
    content, _ = decide_steps(spec, samples, "")
    return TrainSpec.model_validate(
        {
            **spec.model_dump(),
            **content,
            "optimizer": {**spec.optimizer.model_dump(), **content.get("optimizer", {})},
        }
    )


@pytest.mark.parametrize(
    ("samples", "batch", "rate"), [(30, 8, 1e-3), (3_000, 8, 1e-3), (5_000, 16, 1.4e-3), (30_000, 32, 2e-3)]
)
def test_larger_sets_get_larger_batches_and_rates(samples: int, batch: int, rate: float) -> None:
    train = decided(samples).decided()
    assert (train.batch_size, train.optimizer.lr) == (batch, rate)


@given(st.integers(1, 100_000), st.integers(1, 4), st.none() | st.integers(1, 64))
def test_a_training_has_its_steps_and_its_passes(samples: int, devices: int, batch: int | None) -> None:
    train = decided(samples, devices=devices, **({} if batch is None else {"batch_size": batch})).decided()
    # Devices share the images of a step.
    steps_an_epoch = math.ceil(samples / train.batch_size)
    steps = steps_an_epoch * train.epochs
    assert train.epochs >= PASSES
    assert STEPS <= steps < STEPS + steps_an_epoch or train.epochs == PASSES
    # An epoch longer than the interval is validated each time; otherwise as near to the interval as epochs allow.
    assert train.validate_every == 1 or abs(train.validate_every * steps_an_epoch - 100) <= steps_an_epoch / 2


def test_what_is_given_stays() -> None:
    train = decided(30_000, batch_size=4, epochs=3, validate_every=2, optimizer={"lr": 0.5}).decided()
    assert (train.batch_size, train.epochs, train.validate_every, train.optimizer.lr) == (4, 3, 2, 0.5)


def test_the_rate_follows_a_given_batch() -> None:
    assert decided(30, batch_size=2, optimizer={"base_lr": 4e-3}).optimizer.lr == 2e-3
    # SGD in proportion.
    assert decided(30, batch_size=2, optimizer={"base_lr": 4e-3, "name": "sgd"}).optimizer.lr == 1e-3


@pytest.mark.parametrize("key", ["batch_size", "epochs", "validate_every", "optimizer.lr"])
def test_what_is_not_decided_is_named(key: str) -> None:
    content = decided(30).model_dump()
    section, _, name = key.rpartition(".")
    (content[section] if section else content)[name] = "auto"
    with pytest.raises(ConfigError, match=rf"train\.{key}: is still 'auto'"):
        TrainSpec.model_validate(content).decided()

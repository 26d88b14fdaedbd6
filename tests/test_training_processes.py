"""A training by several processes and machines is the training of one: the same images a step, the same losses."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_core.errors import ConfigError
from pose_core.processes import is_first, rank
from pose_core.specs import TrainSpec
from pose_core.training.cluster import check_processes
from pose_core.training.sampler import EpochBatches
from tests.conftest import PoseCommand

# Batch norms of a process see its own images only.
ALIKE = ("--batch-size", "5", "--set", "train.freeze_norms=true", "--set", "train.validate_every=1")


@given(
    count=st.integers(1, 60),
    size=st.integers(1, 12),
    world=st.integers(1, 6),
    epoch=st.integers(0, 3),
    values=st.integers(0, 99),
)
def test_processes_share_the_rows_of_each_step(
    count: int, size: int, world: int, epoch: int, values: int
) -> None:
    size = max(size, world)
    alone = EpochBatches(count, size, seed=values)
    parts = [EpochBatches(count, size, values, number, world) for number in range(world)]
    for sampler in (alone, *parts):
        sampler.set_epoch(epoch)
    losses = np.random.default_rng(values).random(count)
    seen: Counter[int] = Counter()
    for step, (whole, *shares) in enumerate(zip(alone, *parts, strict=True)):
        weights = [part.weigh(step) for part in parts]
        counted = [share for share, weight in zip(shares, weights, strict=True) if weight]
        assert sorted(row for share in counted for row in share) == sorted(whole)
        seen.update(row for share in counted for _, row in share)
        assert all(number == epoch for share in shares for number, _ in share)
        # What the processes give each other is their mean; it is that of the rows.
        means = [np.mean([losses[row] for _, row in share]) for share in shares]
        assert np.mean(np.multiply(weights, means)) == pytest.approx(
            np.mean([losses[row] for _, row in whole])
        )
    assert seen == Counter(range(count))
    assert all(len(sampler) == step + 1 for sampler in (alone, *parts))
    assert alone.weigh(0) == 1


def read_history(run: Path) -> dict[str, list[float]]:
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {
        key: [float(row[key]) for row in rows] for key in ("epoch", "step", "loss", "validation_error_px")
    }


def assert_same_training(run: Path, other: Path) -> None:
    one, two = read_history(run), read_history(other)
    assert one["step"] == two["step"]
    for key in ("loss", "validation_error_px"):
        # Rounding grows from step to step; other images would show in the first epoch.
        np.testing.assert_allclose(one[key][:1], two[key][:1], rtol=1e-3)
        np.testing.assert_allclose(one[key], two[key], rtol=5e-2)


def start_together(
    folder: Path, arguments: list[str], environments: list[Mapping[str, str]]
) -> list[subprocess.CompletedProcess[str]]:
    """Run one command in several processes at once, each with variables of its own."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "MASTER_"))}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "pose_core", *arguments],
            cwd=folder,
            env={**plain, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for own in environments
    ]
    ended = []
    for process in started:
        out, err = process.communicate(timeout=300)
        ended.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return ended


def find_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def by_hand(node: int, port: str) -> dict[str, str]:
    return {"NODE_RANK": str(node), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}


def by_srun(number: int, port: str) -> dict[str, str]:
    """The variables that srun sets for one of two machines with a process each."""
    return {
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NAME": "training",
        "SLURM_STEP_ID": "0",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": "2",
        "SLURM_PROCID": str(number),
        "SLURM_NODEID": str(number),
        "SLURM_LOCALID": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }


@pytest.fixture(scope="module")
def alone(blob_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training by one process."""
    folder = tmp_path_factory.mktemp("alone")
    process = PoseCommand(folder).train(blob_project, folder / "run", "--epochs", "3", *ALIKE)
    assert process.returncode == 0, process.stderr
    return folder / "run"


@pytest.mark.long  # two processes that import torch, and train
@pytest.mark.parametrize("launch", [by_hand, by_srun])
def test_two_machines_train_as_one_process_does(
    launch: object, blob_project: Path, alone: Path, tmp_path: Path
) -> None:
    port = find_port()
    arguments = PoseCommand.train_arguments(
        blob_project, tmp_path / "run", "--epochs", "3", "--nodes", "2", *ALIKE
    )
    ended = start_together(tmp_path, arguments, [launch(node, port) for node in range(2)])  # type: ignore[operator]
    assert [process.returncode for process in ended] == [0, 0], ended[0].stderr + ended[1].stderr
    # One speaks, and one writes.
    assert "trained; next" in ended[0].stdout
    assert (ended[1].stdout, ended[1].stderr) == ("", "")
    assert_same_training(alone, tmp_path / "run")


@pytest.mark.long  # three trainings, two of them by two processes
def test_a_training_goes_on_with_another_number_of_processes(
    pose: PoseCommand, blob_project: Path, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    for epochs, more in (
        ("1", ["--devices", "2"]),
        ("2", ["--resume"]),
        ("3", ["--resume", "--devices", "2"]),
    ):
        process = pose.train(blob_project, out, "--epochs", epochs, *more, *ALIKE)
        assert process.returncode == 0, process.stderr
    # A longer training has a longer schedule, so that only the steps are those of the undisturbed one.
    assert read_history(out)["step"] == read_history(alone)["step"]


@pytest.mark.long  # torchrun and its processes import torch three times: 15 s on two cores
def test_torchrun_starts_the_processes(blob_project: Path, alone: Path, tmp_path: Path) -> None:
    arguments = PoseCommand.train_arguments(
        blob_project, tmp_path / "run", "--epochs", "3", "--devices", "2", *ALIKE
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port"]
    process = subprocess.run(
        [*launcher, find_port(), "-m", "pose_core", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    assert_same_training(alone, tmp_path / "run")


@pytest.mark.parametrize(
    ("variables", "settings", "message"),
    [
        ({}, {"nodes": 2}, r"nodes=2: start .*without NODE_RANK, MASTER_ADDR, MASTER_PORT"),
        ({"NODE_RANK": "0"}, {"nodes": 2}, r"without MASTER_ADDR, MASTER_PORT"),
        (
            {},
            {"devices": 4, "batch_size": 3},
            r"train.batch_size: 3 images .* by 4 processes; give batch_size=4",
        ),
        (by_srun(0, "1"), {}, r"srun started 2 processes, and devices=1 on nodes=1 are 1"),
        (
            {"SLURM_NTASKS": "2", "SLURM_STEP_ID": "0", "SLURM_PROCID": "1"},
            {"devices": 2},
            r"set its option ntasks-per-node to 2",
        ),
        (
            {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "RANK": "0"},
            {"devices": 2},
            r"torchrun started 4 processes, and devices=2 on nodes=1 are 2",
        ),
    ],
)
def test_processes_that_do_not_fit_are_refused(
    variables: dict[str, str], settings: dict[str, int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        check_processes(TrainSpec.model_validate(settings))


def test_the_command_refuses_machines_that_nobody_started(
    pose: PoseCommand, blob_project: Path, tmp_path: Path
) -> None:
    line = pose.refuses(*PoseCommand.train_arguments(blob_project, tmp_path / "run", "--nodes", "2"))
    assert "--nodes 2: start the command by srun or torchrun" in line
    assert not (tmp_path / "run").exists()


def test_a_batch_script_is_no_process_of_srun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in by_srun(1, "1").items():
        monkeypatch.setenv(name, value)
    assert (rank(), is_first()) == (1, False)
    monkeypatch.setenv("SLURM_STEP_ID", "batch")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert (rank(), is_first()) == (0, True)
    check_processes(TrainSpec())

"""Train one network into a run folder."""

from __future__ import annotations

import logging
import os
import re
import warnings
from pathlib import Path
from typing import Any, TypeVar

import lightning
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader

from pose_core.data.batches import PlainBatches, collate, init_worker
from pose_core.data.fingerprint import data_hash, hash_image
from pose_core.data.samples import ImageSamples
from pose_core.data.split import LEARNED
from pose_core.errors import ConfigError, PoseError, RunError, argument
from pose_core.escapes import escape_name
from pose_core.io.files import disk_errors
from pose_core.model.build import build_model
from pose_core.model.device import choose_device
from pose_core.model.network import Network
from pose_core.processes import is_first, rank
from pose_core.reporting import Reporter, current_reporter
from pose_core.runs.new_run import check_new_run
from pose_core.runs.run_folder import CONFIG, HISTORY, Run
from pose_core.runs.size_notes import SIZES, list_sizes
from pose_core.runs.start import start_from
from pose_core.specs import RunBase
from pose_core.specs.train import DecidedTrainSpec
from pose_core.specs.yaml_file import read_run
from pose_core.training.best_checkpoint import BestCheckpoint, checkpoint_path
from pose_core.training.calibrate import CALIBRATED
from pose_core.training.checkpoint_files import LocalCheckpoints
from pose_core.training.cluster import choose_environment
from pose_core.training.curves import plot_curves
from pose_core.training.loggers import Loggers
from pose_core.training.memory import keep_freed_memory
from pose_core.training.module import Training
from pose_core.training.parts import check_parts
from pose_core.training.prepared import Prepared
from pose_core.training.progress import TrainingProgress
from pose_core.training.replay import describe_replay, teach
from pose_core.training.sampler import EpochBatches
from pose_core.training.schedule_callback import ScheduleCallback
from pose_core.training.task import TASKS, Task

_TRAIN_MAY_CHANGE = "train.(epochs|max_time|device|devices|nodes|workers|cache|loggers|pictures|keep)"
_MAY_CHANGE = re.compile(rf"data\.(test_)?source|(stages\.[^.]+\.)*{_TRAIN_MAY_CHANGE}(\..*)?")
"""Keys that may differ between a run and its resumption."""

S = TypeVar("S", bound=RunBase)


def train_network(
    prepared: Prepared[S], out: Path, *, resume: bool = False, reporter: Reporter | None = None
) -> Run[S]:
    """Train one network, keep the best weights, and leave a complete run folder.

    A network that does not learn (a class filter on pretrained weights) is put there as it is. What it builds
    on is not looked at; see :func:`pose_core.training.train_run.train_run`.

    Args:
        prepared: see :func:`pose_core.training.prepare.prepare`.
        out: the run folder; made if needed.
        resume: go on from the folder's last checkpoint, exactly where it was written. Without a checkpoint,
            start.
        reporter: is told how it goes.

    Raises:
        RunError: the folder holds another run, or cannot be resumed with this configuration.
        ConfigError: device, precision or logger is not available.
        TrainingError: the loss is no longer finite.
    """
    reporter = reporter or current_reporter()
    spec = prepared.spec
    first = is_first()
    if first:
        check_new_run(out, resume)
    if resume and (out / CONFIG).is_file():
        check_resumable(spec, out)
    device = choose_device(spec.train.device)
    if spec.train.precision == "16-mixed" and device.type == "cpu":
        raise ConfigError("train.precision: 16-mixed needs a GPU; use bf16-mixed or 32 on the CPU")
    keep_freed_memory()
    torch.manual_seed(spec.train.seed)
    checkpoint = checkpoint_path(out)
    resuming = resume and checkpoint.is_file()
    # A checkpoint or other weights would replace pretrained ones, so these are not downloaded then.
    network: Network = build_model(spec, pretrained=not resuming and spec.train.weights is None)
    network.check()
    check_parts(network, spec.train)
    run = Run(out, spec)
    if resuming:
        weights = run.provenance.get("weights")
    else:
        start = start_from(network, spec.train.weights, metadata=spec.metadata, aliases=spec.train.aliases)
        weights = start.provenance or None
        for line in start.lines:
            reporter.note(line)
    replayed = {}
    if prepared.teacher is not None:
        # The other processes of a training on several devices begin when the first has written its labels.
        prepared = teach(prepared, out, device, reporter, known=resuming or not first, keep=first)
        replayed = {"replay": describe_replay(prepared)}
    task: Task[S] = TASKS[spec.trains](prepared)
    if first:
        run = Run.create(out, spec, {**_describe_origin(prepared), "weights": weights, **replayed})
    # A network without anything to train (a class filter on pretrained weights) is complete as it is.
    if not spec.trainable():
        run.save_weights(network.state_dict())
        run.update_metrics(training={"epochs": 0, "steps": 0, "seconds": 0.0})
        return run
    network.to(memory_format=torch.channels_last)
    samples = task.samples(prepared.split.train, augment=True)
    train = spec.train.decided()
    schedule = ScheduleCallback(train, train.count_steps(len(samples)) * train.epochs)
    for line in schedule.schedule.notes():
        reporter.note(line)
    rows = prepared.split.validation
    world = train.devices * train.nodes
    shared = rows[rank(train.devices) :: world]
    validation = PlainBatches(task.samples(shared, augment=False), train.batch_size) if rows else None
    # After all that can be refused, since loggers leave their traces elsewhere.
    loggers = Loggers(spec, out, reporter) if first else None
    best_checkpoint = BestCheckpoint(run, train, task.metrics, validation, schedule, loggers)
    with _Quiet(), disk_errors(out, again=f"run the same command again with {argument('resume', True)}"):
        batches = EpochBatches(len(samples), train.batch_size, train.seed, rank(train.devices), world)
        trainer = lightning.Trainer(
            accelerator={"cpu": "cpu", "cuda": "gpu", "mps": "mps"}[device.type],
            devices=train.devices if device.index is None else [device.index],
            num_nodes=train.nodes,
            strategy=(
                # Without find_unused_parameters DDP refuses a step in which a parameter had no part.
                DDPStrategy(
                    find_unused_parameters=True,
                    process_group_backend="gloo" if device.type == "cpu" else "nccl",
                )
                if world > 1
                else "auto"
            ),
            sync_batchnorm=world > 1 and device.type == "cuda",
            precision=train.precision,
            max_epochs=train.epochs,
            gradient_clip_val=train.gradient_clip,
            accumulate_grad_batches=train.accumulate,
            callbacks=[
                schedule,
                best_checkpoint,
                *_make_pictures(run, task, best_checkpoint, loggers),
                TrainingProgress(reporter, schedule, best_checkpoint),
            ],
            logger=False,
            # BestCheckpoint writes them, and EpochBatches shares the rows out.
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            # Not True: some CUDA operations have no deterministic form, and training would stop at them.
            deterministic="warn" if device.type == "cuda" else None,
            plugins=[LocalCheckpoints(), choose_environment()],
            # Lightning looks there for checkpoints of its own when a training is resumed; there are none.
            default_root_dir=os.devnull,
        )
        completed = False
        try:
            trainer.fit(
                Training(network, task, batches),
                _load_batches(samples, train, batches, device),
                ckpt_path=checkpoint if resuming else None,
                weights_only=True,
            )
            completed = True
        except SystemExit:
            # Lightning turns Ctrl-C into an exit of its own, without a word.
            if trainer.interrupted:
                raise KeyboardInterrupt from None
            raise
        except (PoseError, OSError):
            raise
        # Before the first step of a resumed training only the checkpoint can be at fault.
        except Exception as error:
            if not resuming or best_checkpoint.started:
                raise
            raise RunError(
                f"{checkpoint}: damaged, or not of this training; restore it, or remove it to train from the "
                "beginning"
            ) from error
        finally:
            if loggers is not None:
                loggers.finish(completed)
    if trainer.is_global_zero:
        seconds = round(schedule.seconds, 1)
        run.update_metrics(
            training={"epochs": trainer.current_epoch, "steps": trainer.global_step, "seconds": seconds}
        )
        run = task.calibrate(run, device, reporter)
        plot_curves(
            run.path / HISTORY, run.path / "training_curves.png", task.metrics, best_checkpoint.best_epoch
        )
    return run


def _load_batches(
    samples: ImageSamples, train: DecidedTrainSpec, batches: EpochBatches, device: torch.device
) -> DataLoader[Any]:
    if isinstance(train.workers, int):
        workers = train.workers
    else:
        # On the CPU the processes would compete with the network; a GPU wants to be fed.
        workers = 0 if device.type == "cpu" else min(8, max(1, (os.cpu_count() or 2) // (2 * train.devices)))
    return DataLoader(
        samples,
        batch_sampler=batches,
        collate_fn=collate,
        worker_init_fn=init_worker,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )


def _describe_origin(prepared: Prepared[Any]) -> dict[str, Any]:
    images = prepared.dataset.images
    learned = {part: [images[i] for i in getattr(prepared.split, part)] for part in LEARNED}
    held_out = prepared.held_out
    other = {}
    if held_out is not None:
        other = {"test_data": escape_name(held_out.source.resolve()), "test_data_hash": held_out.data_hash}
    return {
        "seed": prepared.spec.train.seed,
        "data_hash": data_hash(prepared.dataset),
        "data": escape_name(prepared.dataset.root.resolve()),
        "reader": prepared.reader,
        "split": {
            **{part: [image.name for image in found] for part, found in learned.items()},
            "test": list(prepared.test_names),
        },
        "image_hashes": {
            part: [hash_image(image.image) for image in found] for part, found in learned.items()
        },
        SIZES: list_sizes(learned["train"]),
        **other,
        "notes": list(prepared.notes),
        "decisions": dict(prepared.decisions),
    }


def check_resumable(asked: RunBase, out: Path) -> None:
    """Refuse to resume with settings that would change the result.

    Raises:
        RunError: it differs; the message names the keys.
        ConfigError: the configuration in the folder cannot be read.
    """
    stored = read_run(out / CONFIG)
    # Heads decided these keys at the end of the training; the user cannot have written them.
    calibrated = set(Run(out, stored).metrics().get(CALIBRATED, []))
    differing = [
        key
        for key in _list_differences(asked.model_dump(mode="json"), stored.model_dump(mode="json"))
        if not _MAY_CHANGE.fullmatch(key) and key not in calibrated
    ]
    if differing:
        raise RunError(
            f"{out}: cannot be resumed with other values of {', '.join(differing[:5])}; "
            f"give the same options as before, or start a new run with another {argument('out')}"
        )


def _list_differences(one: object, other: object, path: str = "") -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = dict.fromkeys([*one, *other])
        return [
            d
            for k in keys
            for d in _list_differences(one.get(k), other.get(k), f"{path}.{k}" if path else str(k))
        ]
    return [] if one == other else [path]


def _make_pictures(
    run: Run[S], task: Task[S], best: BestCheckpoint, loggers: Loggers | None
) -> list[lightning.Callback]:
    """Make the callback that draws pictures, where the configuration asks for some."""
    spec = run.spec.train.pictures
    if spec.every is None:
        return []
    # Imported late: matplotlib takes long, and most trainings draw nothing until they end.
    from pose_core.training.pictures import PicturesCallback

    return [PicturesCallback(run, task, best, loggers, spec.every, spec.images)]


class _Quiet(warnings.catch_warnings):
    """Lightning's advice is for its own users; ours cannot act on it."""

    def __enter__(self) -> Any:
        names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
        self.loggers = [logging.getLogger(name) for name in names]
        self.levels = [logger.level for logger in self.loggers]
        for logger in self.loggers:
            logger.setLevel(logging.ERROR)
        entered = super().__enter__()
        warnings.filterwarnings("ignore", module="lightning.*")
        warnings.filterwarnings("ignore", module="torch.utils.data.*")
        # Of a damaged checkpoint, which is refused by a message of our own.
        warnings.filterwarnings("ignore", message="Detected pickle protocol")
        return entered

    def __exit__(self, *details: Any) -> None:
        super().__exit__(*details)
        for logger, level in zip(self.loggers, self.levels, strict=True):
            logger.setLevel(level)

"""What computes the networks of a pipeline: the runtime that was named, or the fastest one that is known.

``auto`` begins with PyTorch. A long prediction measures the installed runtimes on its own first frames and remembers
what came out, for these networks on this machine; whatever is predicted later uses that where it pays.
"""

from __future__ import annotations

import json
import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch

from pose_core.catalog import Component, find_missing_package, get_catalog
from pose_core.errors import ConfigError, PluginError, PoseError, readable
from pose_core.interfaces import Detector, Runtime
from pose_core.io.files import parse_json, write_whole
from pose_core.model.detector_runner import use_detector_runtime
from pose_core.model.runner import find_runtime, use_runtime
from pose_core.model.runtime_config import AutoRuntimeConfig
from pose_core.model.torch_runtime import TorchRuntime
from pose_core.pipeline.low_precision import use_fewer_bits
from pose_core.pipeline.networks import (
    AnyNetwork,
    RunDetector,
    RunNetwork,
    Tensors,
    choose_cache,
    choose_record,
    compute_again,
    record_inputs,
    save_computes,
)
from pose_core.reporting import current_reporter
from pose_core.specs import InferenceSpec, RuntimeConfig, parse_component

TORCH = "core/torch"

VARIABLE = "POSE_RUNTIME"
"""Environment variable that names what ``auto`` is; nothing is measured then."""

LONG = 500
"""Frames of the shortest prediction that measures: what it costs is a few batches."""

WORTH = 4
"""A runtime is tried where PyTorch would take so many times what it takes to prepare."""

GAIN = 0.9
"""A runtime is chosen whose time is below this fraction of PyTorch's; less may be chance."""

OPENING = 2.0
"""Seconds that a known runtime must save, since it has to be opened first."""

_SECONDS, _ROUNDS = 1.0, 7


@dataclass
class Measured:
    """What is known of runtimes for some networks on this machine.

    Attributes:
        seconds: an image, by the full name of the runtime; the median of a few batches.
        failed: why a runtime cannot compute them.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Measured:
        """Read it from the cache; what is damaged is as unknown as what is not there."""
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
            seconds = {str(name): float(value) for name, value in content["seconds"].items()}
            return cls(seconds, {str(name): str(why) for name, why in content["failed"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def write(self, path: Path) -> None:
        """Keep it in the cache."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({"seconds": self.seconds, "failed": self.failed}, indent=1))

    def fastest(self) -> str:
        """The full name of the runtime to use."""
        best = min(self.seconds, key=self.seconds.__getitem__, default=TORCH)
        torch_takes = self.seconds.get(TORCH)
        return best if torch_takes is not None and self.seconds[best] < GAIN * torch_takes else TORCH

    def __str__(self) -> str:
        """Milliseconds an image, the fastest first."""
        order = sorted(self.seconds, key=self.seconds.__getitem__)
        return ", ".join(f"{_short(name)} {1000 * self.seconds[name]:.3g} ms" for name in order)


class Computing:
    """Chooses what computes the networks of a pipeline. May be used by several threads.

    Args:
        networks: the pose networks of the pipeline, computed by PyTorch.
        detectors: those that take part, computed by PyTorch. One that offers no form for runtimes stays with it.
        inference: settings of the run.
        device: where networks compute.

    Raises:
        ConfigError: the runtime that was named cannot take a network, or not on this device or with this precision.
        PluginError: it computes something else, or fails.
    """

    def __init__(
        self,
        networks: Sequence[RunNetwork],
        detectors: Sequence[RunDetector],
        inference: InferenceSpec,
        device: torch.device,
    ) -> None:
        forms = [(each, cast(Detector, each.model.network).make_exportable()) for each in detectors]
        self._forms = [(each, form) for each, form in forms if form is not None]
        self._eager = [each for each, form in forms if form is None]
        self._networks: list[AnyNetwork] = [*networks, *(each for each, _ in self._forms)]
        self._poses = networks
        self._noted: set[str] = set()
        self._inference = inference
        self._device = device
        self._known: Measured | None = None
        self._choosing = threading.Lock()
        self.name = TORCH
        """Full name of the runtime that computes now."""
        config = inference.runtime
        self.auto = isinstance(config, AutoRuntimeConfig)
        if self.auto and inference.precision != 32:
            config, self.auto = _find_precision(inference.precision, device), False
        if self.auto and (named := os.environ.get(VARIABLE)):
            config = parse_runtime(named, VARIABLE)
            self.auto = isinstance(config, AutoRuntimeConfig)
        if self.auto:
            return
        self._use(config)
        self._note_extra_work(config)
        if detectors and inference.precision != 32:
            current_reporter().note(f"note: precision {inference.precision}: detectors stay in 32 bits")

    @property
    def leaves_detectors_to_torch(self) -> bool:
        """Whether a detector offers no form that other runtimes compute."""
        return bool(self._eager)

    def use(self, name: str) -> bool:
        """Let a runtime compute from now on, as it did for the first part of a prediction.

        Returns:
            whether it can.
        """
        if name == self.name:
            return True
        try:
            self._use(parse_runtime(name, "runtime"))
        except PoseError as error:
            current_reporter().note(f"note: {readable(str(error))}")
            return False
        return True

    def prepare(self, frames: int | None) -> None:
        """Use what is known to be faster, where that pays; measures nothing.

        Args:
            frames: that are to be predicted; None: not known, as of a camera, and taken for many.
        """
        if not self.auto or self.name != TORCH or self._device.type != "cpu":
            return
        with self._choosing:
            if self._known is None:
                self._known = Measured.read(choose_record(self._networks))
            self._use_fastest(self._known, frames)

    def choose(self, frames: int, try_out: Callable[[], int]) -> None:
        """Use what is faster, and measure it first where the prediction is long and it is not known.

        Args:
            frames: that are to be predicted.
            try_out: predicts a few of them, and returns how many.
        """
        self.prepare(frames)
        if not self.auto or self.name != TORCH or self._device.type != "cpu" or frames < LONG:
            return
        with self._choosing:
            known = self._known or Measured()
            new = [c for c in _list_candidates() if c.full_name not in {**known.seconds, **known.failed}]
            # How long PyTorch takes is known from before, or the first thing that is measured.
            if TORCH in known.seconds:
                new = [c for c in new if _is_worth(c, known.seconds[TORCH] * frames)]
            if not new:
                return
            calls: list[tuple[int, Tensors]] = []
            with record_inputs(self._networks, lambda place, tensors: calls.append((place, tensors))):
                images = try_out()
            # Frames without an animal: no crop went through the network, and there is nothing to be measured.
            if not calls or {place for place, _ in calls} != set(range(len(self._networks))):
                return
            self._measure(known, calls, images, frames, new)
            self._known = known
            self._keep(known)
            self._use_fastest(known, frames)
            if self.name == TORCH and len(known.seconds) > 1:
                current_reporter().note(f"runtime: {self._describe(known)}")

    def _keep(self, known: Measured) -> None:
        try:
            known.write(choose_record(self._networks))
        # A cache that cannot be written is no reason to end a prediction.
        except (PoseError, OSError) as error:
            line = f"note: what was measured of runtimes cannot be remembered: {readable(str(error))}"
            current_reporter().note(line)

    def _measure(
        self,
        known: Measured,
        calls: Sequence[tuple[int, Tensors]],
        images: int,
        frames: int,
        candidates: Sequence[Component],
    ) -> None:
        """Measure PyTorch and each candidate that the time of PyTorch makes worth its preparation."""
        eager = save_computes(self._networks)
        self._time(eager, calls)
        known.seconds[TORCH] = self._time(eager, calls) / images
        for candidate in candidates:
            if not _is_worth(candidate, known.seconds[TORCH] * frames):
                continue
            try:
                self._use(parse_runtime(candidate.full_name, "runtime"))
                made = save_computes(self._networks)
                # The first time a size is new to it.
                self._time(made, calls)
                known.seconds |= self._alternate({TORCH: eager, candidate.full_name: made}, calls, images)
            except (ConfigError, PluginError) as error:
                known.failed[candidate.full_name] = readable(str(error))
                current_reporter().note(f"note: {readable(str(error))}; torch computes it")
            finally:
                self._use(parse_runtime(TORCH, "runtime"))

    def _alternate(
        self, ways: dict[str, Callable[[], None]], calls: Sequence[tuple[int, Tensors]], images: int
    ) -> dict[str, float]:
        """Time ways to compute by turns, so that whatever else the machine does hits all; seconds an image."""
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        began = time.perf_counter()
        for _ in range(_ROUNDS):
            for name, put_back in ways.items():
                seconds[name].append(self._time(put_back, calls) / images)
            if time.perf_counter() - began > _SECONDS * len(ways):
                break
        return {name: statistics.median(values) for name, values in seconds.items()}

    def _time(self, put_back: Callable[[], None], calls: Sequence[tuple[int, Tensors]]) -> float:
        put_back()
        began = time.perf_counter()
        with torch.inference_mode():
            for place, tensors in calls:
                compute_again(self._networks[place], tensors)
        return time.perf_counter() - began

    def _use_fastest(self, known: Measured, frames: int | None) -> None:
        name = known.fastest()
        if name == TORCH:
            return
        saved = known.seconds[TORCH] - known.seconds[name]
        if frames is not None and saved * frames < OPENING:
            return
        config = parse_runtime(name, "runtime")
        # Where the cache was emptied, opening it would mean to prepare it.
        if not all(choose_cache(network, config).is_dir() for network in self._networks):
            known.seconds.pop(name)
            return
        if self.use(name):
            current_reporter().note(f"runtime: {self._describe(known)}")
        else:
            known.seconds.pop(name)

    def _describe(self, known: Measured) -> str:
        return f"{_short(self.name)} computes the network (measured on this machine, for an image: {known})"

    def _use(self, config: RuntimeConfig) -> None:
        factory = find_runtime(config, self._device, self._inference.precision)
        # Its variants, too, leave detectors as they are.
        if not issubclass(factory, TorchRuntime):
            self._leave_to_torch(config)
        try:
            precision, accept_drift = self._inference.precision, self._inference.accept_drift
            for network in self._poses:
                cache = choose_cache(network, config, precision)
                if precision == 32:
                    use_runtime(network.model, config, cache, network.run.name)
                else:
                    use_fewer_bits(network, config, cache, precision, accept_drift=accept_drift)
            for detector, form in self._forms:
                cache = choose_cache(detector, config)
                use_detector_runtime(detector.model, form, config, cache, detector.run.name)
        except BaseException:
            for each in self._networks:
                each.model.compute = None
            self.name = TORCH
            raise
        self.name = config.type

    def _note_extra_work(self, config: RuntimeConfig) -> None:
        """Say which detectors have more to compute by a runtime that was named, which nobody measures."""
        if config.type == TORCH:
            return
        for detector, _ in self._forms:
            more = cast(Detector, detector.model.network).describe_extra_work()
            if more is not None:
                current_reporter().note(
                    f"note: runtime {_short(config.type)}: the detector {detector.run.name} {more}; the runtime auto "
                    "measures whether torch is faster"
                )

    def _leave_to_torch(self, config: RuntimeConfig) -> None:
        """Say which detectors PyTorch goes on to compute.

        Raises:
            ConfigError: another runtime was named, and shall compute one of them.
        """
        for detector in self._eager:
            name = detector.run.name
            if not isinstance(self._inference.runtime, AutoRuntimeConfig):
                raise ConfigError(
                    f"runtime {_short(config.type)}: the detector {name} offers no form that runtimes can compute; "
                    "leave out the runtime, or name torch"
                )
            # Once, however many runtimes auto tries.
            if name not in self._noted:
                self._noted.add(name)
                current_reporter().note(
                    f"note: torch computes the detector {name}, which offers no form for other runtimes"
                )


def parse_runtime(name: str, origin: str) -> RuntimeConfig:
    """Find the config of a runtime by its name.

    Args:
        name: of the runtime.
        origin: of the name, for messages.

    Raises:
        ConfigError: there is none.
    """
    try:
        return parse_component("runtime", RuntimeConfig, {"type": name})
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None


def _list_candidates() -> list[Component]:
    """The runtimes that ``auto`` tries on a CPU beside PyTorch, those that are soon prepared first."""
    found = []
    for component in get_catalog().components("runtime"):
        factory: type[Runtime] = component.factory()
        if issubclass(factory, TorchRuntime) or find_missing_package(factory) is not None:
            continue
        if "cpu" in factory.devices():
            found.append(component)
    return sorted(found, key=lambda component: (component.factory().preparation, component.full_name))


def _is_worth(component: Component, seconds: float) -> bool:
    """Whether a prediction is long enough to try a runtime; seconds that it would take PyTorch."""
    return bool(seconds >= WORTH * component.factory().preparation)


def _find_precision(precision: int, device: torch.device) -> RuntimeConfig:
    """Find the runtime that computes with so many bits; of several the one that is soonest prepared.

    Raises:
        ConfigError: none does.
    """
    components = get_catalog().components("runtime")
    usable = [
        c
        for c in components
        if not isinstance(parse_runtime(c.full_name, "runtime"), AutoRuntimeConfig)
        and find_missing_package(c.factory()) is None
        and device.type in c.factory().devices()
        and precision in c.factory().precisions(device.type)
    ]
    if usable:
        best = min(usable, key=lambda c: (c.full_name != TORCH, c.factory().preparation, c.full_name))
        return parse_runtime(best.full_name, "runtime")
    if precision == 16 and device.type == "cpu":
        raise ConfigError(
            "precision 16: is for GPUs, and for processors with bfloat16 where a runtime is installed that uses it "
            "('pose runtimes' lists the bits of each); precision 8 is for any CPU"
        )
    raise ConfigError(
        f"precision {precision}: no installed runtime computes with {precision} bits on {device.type}; 'pose runtimes' "
        "lists what is installed, and docs/use/predict.md says what there is"
    )


def _short(name: str) -> str:
    return get_catalog().component("runtime", name).name

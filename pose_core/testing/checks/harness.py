"""Build and run parts of networks with small inputs. torch begins here."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from pose_core.errors import PoseError
from pose_core.interfaces import BuildContext, Labels, Predictions
from pose_core.specs import Feature
from pose_core.structures import Skeleton
from pose_core.testing.checks.examples import SIZE, SKELETON, labels
from pose_core.testing.checks.project import resolved
from pose_core.testing.checks.targets import ComponentSubject, skip

Inputs = Mapping[str, Tensor]

INCOMING: tuple[tuple[Feature, ...], ...] = (
    (Feature(8, 4),),
    (Feature(8, 8),),
    (Feature(8, 16),),
    (Feature(8, 32),),
    (Feature(8, 4), Feature(12, 8)),
    (Feature(8, 4), Feature(12, 8), Feature(16, 16), Feature(24, 32)),
    (Feature(24, 4, tokens=True),),
)
"""Feature maps that necks and heads are offered; the first that they take is used."""

SIZES: tuple[tuple[int, int], ...] = (SIZE, (192, 256))
"""Sizes of the input that they are offered."""


_BOXES = 300
"""As many boxes as the outputs of detectors are padded to."""


class Harness(ABC):
    """Builds and runs one component."""

    size: tuple[int, int]
    fixed: bool
    """Whether it takes inputs of one size only."""

    def __init__(self, subject: ComponentSubject) -> None:
        self.subject = subject
        # Any: each harness knows the config base of its own kind, and its subclasses are told apart by it.
        self.config: Any = subject.config

    @abstractmethod
    def context(self, skeleton: Skeleton) -> BuildContext:
        """Surroundings that it is built in."""

    def build(self, skeleton: Skeleton = SKELETON, seed: int = 0) -> nn.Module:
        """A new module, with the initial weights of a seed, in training mode."""
        torch.manual_seed(seed)
        # Initial weights are drawn on building; without a seed a check would fail on some days only.
        module: nn.Module = self.context(skeleton).build(self.subject.kind, self.config)
        return module.train()

    @abstractmethod
    def inputs(
        self, batch: int, size: tuple[int, int] | None = None, skeleton: Skeleton = SKELETON
    ) -> Inputs:
        """Inputs by name, batch first."""

    @abstractmethod
    def run(self, module: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
        """Outputs by name."""

    @abstractmethod
    def loss(self, module: nn.Module, inputs: Inputs) -> Tensor:
        """Something that the part can be trained to make smaller, a scalar."""


class _MapsHarness(Harness):
    """A part that puts out feature maps. It learns to put out something else."""

    @abstractmethod
    def declared(self) -> Sequence[Feature]:
        """Outputs that its config declares."""

    @abstractmethod
    def maps(self, module: nn.Module, inputs: Inputs) -> list[Tensor]:
        """The feature maps."""

    def run(self, module: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
        return {f"feature {i}": m for i, m in enumerate(self.maps(module, inputs))}

    def loss(self, module: nn.Module, inputs: Inputs) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        # Drawn on the CPU and moved, so that a part learns the same on every device.
        wanted = [(m, torch.randn(m.shape, generator=generator).to(m)) for m in self.maps(module, inputs)]
        return torch.stack([(m - target).square().mean() for m, target in wanted]).mean()


class BackboneHarness(_MapsHarness):
    """Images, and the extra inputs that a model makes of labels."""

    def __init__(self, subject: ComponentSubject) -> None:
        super().__init__(subject)
        multiple = self.config.size_multiple()
        self.fixed = False
        # Smaller than SIZE, since a backbone is what takes the time, and not square.
        self.size = _round_up(64, multiple), _round_up(96, multiple)
        self.extra = self._extra_inputs()
        torch.manual_seed(0)
        try:
            # Building is the only way to find out: no config says whether any size will do.
            BuildContext(SKELETON).build("backbone", self.config)
        except PoseError:
            # Some networks are made for one size of input, and say so when there is none.
            self.fixed = True
            self.size = _round_up(SIZE[0], multiple), _round_up(SIZE[1], multiple)

    def _extra_inputs(self) -> dict[str, Any]:
        """The configs of the extra inputs, as a model that has this backbone makes them."""
        wanted = self.config.extra_inputs()
        if not wanted:
            return {}
        for model in self.subject.catalog.models():
            try:
                spec = resolved(model)
            except PoseError:
                continue
            # Of a model with this backbone: the number of channels that an input draws must be the one that
            # the backbone expects.
            if spec.model.backbone.type == self.config.type and set(wanted) <= set(spec.model.inputs):
                return dict(spec.model.inputs)
        raise skip(f"no installed model says where its extra inputs {', '.join(wanted)} come from")

    def context(self, skeleton: Skeleton) -> BuildContext:
        return BuildContext(skeleton, input_size=self.size if self.fixed else None)

    def declared(self) -> Sequence[Feature]:
        declared: Sequence[Feature] = self.config.features()
        return declared

    def inputs(
        self, batch: int, size: tuple[int, int] | None = None, skeleton: Skeleton = SKELETON
    ) -> Inputs:
        size = size or self.size
        generator = torch.Generator().manual_seed(2)
        made = {"images": torch.randn(batch, 3, *size, generator=generator)}
        context = BuildContext(skeleton, input_size=size)
        truth = labels(batch, 2, size, skeleton)
        # One initial pose for two animals: in a crop the network has to tell which one is meant.
        initial = Predictions.none(batch, skeleton).with_animals(
            truth.keypoints[:, :1], torch.ones(batch, 1, skeleton.num_keypoints)
        )
        for name, config in self.extra.items():
            made[name] = context.build("input", config).for_inference(initial, size)
        return made

    def maps(self, module: nn.Module, inputs: Inputs) -> list[Tensor]:
        maps: list[Tensor] = module(inputs["images"], **{n: t for n, t in inputs.items() if n != "images"})
        return maps


class _AfterFeatures(Harness):
    """A part that gets feature maps."""

    def __init__(self, subject: ComponentSubject) -> None:
        super().__init__(subject)
        self.features, size = self._accepted()
        self.fixed = size is not None
        self.size = size or SIZE

    def _accepted(self) -> tuple[tuple[Feature, ...], tuple[int, int] | None]:
        refusals: list[str] = []
        # Without a size first: a part that takes any size must not be tried as one of a fixed size.
        for size in (None, *SIZES):
            for features in INCOMING:
                try:
                    self.config.check(features, size)
                except ValueError as error:
                    refusals.append(str(error))
                else:
                    return features, size
        raise skip(f"it takes none of the feature maps that the checks offer: {refusals[-1]}")

    def context(self, skeleton: Skeleton) -> BuildContext:
        return BuildContext(skeleton, self.features, input_size=self.size if self.fixed else None)

    def inputs(
        self, batch: int, size: tuple[int, int] | None = None, skeleton: Skeleton = SKELETON
    ) -> Inputs:
        height, width = size or self.size
        generator = torch.Generator().manual_seed(2)
        shapes = [
            (skeleton.num_keypoints, f.channels)
            if f.tokens
            # Rounded up, as a padded convolution of stride 2 rounds.
            else (f.channels, -(-height // f.stride), -(-width // f.stride))
            for f in self.features
        ]
        return {f"feature {i}": torch.randn(batch, *s, generator=generator) for i, s in enumerate(shapes)}


class NeckHarness(_AfterFeatures, _MapsHarness):
    """Feature maps in, feature maps out."""

    def __init__(self, subject: ComponentSubject) -> None:
        super().__init__(subject)
        multiple = math.lcm(
            self.config.size_multiple(self.features), max(feature.stride for feature in self.features)
        )
        if not self.fixed:
            self.size = _round_up(self.size[0], multiple), _round_up(self.size[1], multiple)

    def declared(self) -> Sequence[Feature]:
        declared: Sequence[Feature] = self.config.features(self.features)
        return declared

    def maps(self, module: nn.Module, inputs: Inputs) -> list[Tensor]:
        maps: list[Tensor] = module(list(inputs.values()))
        return maps


class HeadHarness(_AfterFeatures):
    """Feature maps in, named outputs out; learns labels of one animal an image."""

    def labels(self, batch: int, animals: int, skeleton: Skeleton = SKELETON) -> Labels:
        """Whole animals within the input, see :func:`labels`."""
        return labels(batch, animals, self.size, skeleton)

    def run(self, module: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
        return dict(module(list(inputs.values())))

    def loss(self, module: nn.Module, inputs: Inputs) -> Tensor:
        batch = len(next(iter(inputs.values())))
        return total(module.loss(self.run(module, inputs), self.labels(batch, 1)))  # type: ignore[operator]


class DetectorHarness(Harness):
    """RGB images; learns the boxes of animals."""

    def __init__(self, subject: ComponentSubject) -> None:
        super().__init__(subject)
        multiple = self.config.size_multiple()
        self.fixed = False
        self.size = _round_up(SIZE[0], multiple), _round_up(SIZE[1], multiple)

    def context(self, skeleton: Skeleton) -> BuildContext:
        return BuildContext(skeleton, input_size=self.config.size)

    def inputs(
        self, batch: int, size: tuple[int, int] | None = None, skeleton: Skeleton = SKELETON
    ) -> Inputs:
        generator = torch.Generator().manual_seed(2)
        return {"images": torch.rand(batch, 3, *(size or self.size), generator=generator)}

    def run(self, module: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
        boxes, scores = module(inputs["images"])
        # Images of a batch are padded to the one with most boxes, so an image alone has a shorter list.
        more = max(0, _BOXES - scores.shape[1])
        pad = nn.functional.pad
        return {"boxes": pad(boxes, (0, 0, 0, more), value=math.nan), "scores": pad(scores, (0, more))}

    def loss(self, module: nn.Module, inputs: Inputs) -> Tensor:
        images = inputs["images"]
        truth: Labels = labels(len(images), 2, (images.shape[-2], images.shape[-1]))
        return total(module.loss(images, truth))  # type: ignore[operator]


@cache
def harness_of(subject: ComponentSubject) -> Harness:
    """Make the harness for a component, as the row of its kind names it."""
    # A dozen checks ask for each component, and a harness may build a network to find out what it takes.
    # Subjects compare by identity, so no two share one.
    harness: Harness = subject.installed_kind.harness()(subject)
    return harness


def total(losses: Mapping[str, Tensor]) -> Tensor:
    """The sum of named losses."""
    # Under autocast a loss may come as bfloat16, and the sum would keep 8 bits.
    return torch.stack([value.float() for value in losses.values()]).sum()


def clone(inputs: Inputs) -> dict[str, Tensor]:
    """A copy of inputs."""
    return {name: tensor.clone() for name, tensor in inputs.items()}


def _round_up(length: int, multiple: int) -> int:
    return max(1, -(-length // multiple)) * multiple

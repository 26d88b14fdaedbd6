"""Assemble a pose network: backbone, optional neck, heads, extra inputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from typing import cast

import torch
from torch import Tensor, nn

from pose_core.errors import ConfigError, PluginError
from pose_core.interfaces import Backbone, BuildContext, ExtraInput, Head, Labels, Neck, Predictions
from pose_core.model.microbatches import split_batch
from pose_core.model.network import FoundWeights, Network
from pose_core.model.normalise import normalise
from pose_core.specs import Feature, ModelSpec
from pose_core.specs.sides import check_sides
from pose_core.structures import Skeleton

Outputs = Mapping[str, Mapping[str, Tensor]]

Compute = Callable[[Tensor, Mapping[str, Tensor]], Outputs]
"""Computes the outputs of each head of images (B, 3, H, W) uint8 RGB and extra inputs."""

WATCH: ContextVar[Callable[[PoseModel, Tensor, Mapping[str, Tensor], Outputs], None] | None] = ContextVar(
    "watch", default=None
)
"""Is told of each prediction of a pose network in this thread: the network, its images (B, 3, H, W) uint8, its extra
inputs and its outputs. None: nobody is. Networks are hidden in stages, those of plugins too; what draws them looks
here."""


class PoseModel(Network):
    """Find animals in images with one network.

    The order of work: ``normalise`` (bytes -> floats), ``forward`` (floats -> outputs of each head), and then
    either ``losses`` or ``decode``; ``predict`` does all three for inference.

    Args:
        spec: the network.
        skeleton: what it predicts.
        pretrained: fetch the pretrained weights that parts of the spec ask for.
        untrained: names of keypoints, unique ones too, that it has not learned and so never predicts.

    Attributes:
        spec, skeleton: what it was made from.
        size_multiple: height and width of input images must be multiples of this.
        predicts_unique: whether a head finds the keypoints that exist once a frame.
        compute: what computes the outputs in :meth:`predict` in the place of the network; None: nothing does.
    """

    trains = "poses"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        spec: ModelSpec,
        skeleton: Skeleton,
        pretrained: bool = False,
        untrained: Collection[str] = (),
    ) -> None:
        super().__init__()
        context = BuildContext(skeleton=skeleton, input_size=spec.preprocess.size, pretrained=pretrained)
        self.spec = spec
        self.skeleton = skeleton
        self.backbone: Backbone = context.build("backbone", spec.backbone)
        self.neck: Neck | None = None
        features = spec.backbone.features()
        if spec.neck is not None:
            self.neck = context.with_features(features).build("neck", spec.neck)
            features = spec.neck.features(features)
        for_heads = context.with_features(features)
        self.heads = nn.ModuleDict(
            {name: for_heads.build("head", config) for name, config in spec.heads.items()}
        )
        self.inputs = nn.ModuleDict(
            {name: context.build("input", config) for name, config in spec.inputs.items()}
        )
        self.view = spec.view
        self._untrained = [i for i, name in enumerate(skeleton.keypoints) if name in untrained]
        self._untrained_unique = [i for i, name in enumerate(skeleton.unique_keypoints) if name in untrained]
        self.predicts_unique = spec.predicts_unique()
        self.size_multiple = spec.size_multiple()
        self._features = spec.backbone.features()
        self._backbone_name = spec.backbone.type
        self.compute: Compute | None = None
        # Not persistent: files of weights, also those of other tools, hold no normalisation; the spec does.
        self.register_buffer(
            "mean", 255.0 * torch.tensor(spec.preprocess.mean).view(1, 3, 1, 1), persistent=False
        )
        self.register_buffer(
            "std", 255.0 * torch.tensor(spec.preprocess.std).view(1, 3, 1, 1), persistent=False
        )

    @property
    def device(self) -> torch.device:
        """Device of the buffers and parameters."""
        return self.mean.device

    def normalise(self, images: Tensor, *, channels_last: bool = True) -> Tensor:
        """Turn bytes into normalised floats.

        Args:
            images: (B, 3, H, W) uint8 RGB.
            channels_last: whether the channels of a pixel shall lie side by side in memory, as PyTorch computes
                fastest, or each channel by itself.

        Returns:
            (B, 3, H, W) float32, normalised by the spec's mean and standard deviation.
        """
        return normalise(images, self.mean, self.std, channels_last=channels_last)

    def forward(self, images: Tensor, **extra: Tensor) -> dict[str, dict[str, Tensor]]:
        """Compute the outputs of each head, by head name and output name.

        Args:
            images: (B, 3, H, W) float32, normalised.
            extra: the extra inputs that the backbone declares.
        """
        features: list[Tensor] = self.backbone(images, **extra)
        if self.neck is not None:
            features = self.neck(features)
        return {name: head(features) for name, head in self._heads()}

    def extra_for_training(self, labels: Labels, image_size: tuple[int, int]) -> dict[str, Tensor]:
        """Make the extra inputs from labels."""
        return {
            name: cast(ExtraInput, part).for_training(labels, image_size)
            for name, part in self.inputs.items()
        }

    def extra_for_inference(self, found: Predictions, image_size: tuple[int, int]) -> dict[str, Tensor]:
        """Make the extra inputs from what an earlier stage found."""
        return {
            name: cast(ExtraInput, part).for_inference(found, image_size)
            for name, part in self.inputs.items()
        }

    def losses(self, outputs: Outputs, labels: Labels) -> dict[str, Tensor]:
        """Compute the weighted losses: ``head.output`` -> scalar.

        Training minimises their sum.
        """
        labels = self.targets(labels)
        result: dict[str, Tensor] = {}
        for name, head in self._heads():
            try:
                losses = head.loss(outputs[name], labels)
            except ConfigError as error:
                # A head knows its own settings but not its name in the spec.
                raise ConfigError(f"model.heads.{name}.{error}") from None
            result |= {f"{name}.{output}": value for output, value in losses.items()}
        return result

    def targets(self, labels: Labels) -> Labels:
        """Select the animals that the network should find."""
        # In crops heads learn the animal that the crop is about, which stands first, and nothing of its
        # neighbours.
        return labels.of_first() if self.view == "animal" else labels

    def decode(self, outputs: Outputs) -> Predictions:
        """Decode outputs of the heads into animals.

        Each head extends what the ones before it found. Keypoints are in pixels of the network's input.
        """
        found = self.decode_by_head(outputs)[-1][1]
        # The only way out of a network: stages, validation and every file of results come after it.
        return found.without(self._untrained, self._untrained_unique)

    def decode_by_head(self, outputs: Outputs) -> list[tuple[str, Predictions]]:
        """Decode outputs head by head: for each its name and what is found after it."""
        first = next(iter(next(iter(outputs.values())).values()))
        found = Predictions.none(first.shape[0], self.skeleton, first.device)
        steps = []
        for name, head in self._heads():
            # After a forward pass in half precision the maps are not float32, and coordinates need it.
            found = head.decode({key: value.float() for key, value in outputs[name].items()}, found)
            steps.append((name, found))
        return steps

    @torch.inference_mode()
    def predict(self, images: Tensor, initial: Predictions | None = None) -> Predictions:
        """Find the animals in a batch of images.

        Args:
            images: (B, 3, H, W) uint8 RGB on the model's device; H and W multiples of ``size_multiple``.
            initial: what an earlier stage found, for networks with extra inputs.

        Returns:
            animals in pixels of ``images``.
        """
        extra: dict[str, Tensor] = {}
        if self.inputs:
            if initial is None:
                raise ValueError("this network needs what an earlier stage found")
            extra = self.extra_for_inference(initial, (images.shape[-2], images.shape[-1]))
        compute = self.compute or self.compute_by_pytorch
        outputs = compute(images, extra)
        if (watch := WATCH.get()) is not None:
            watch(self, images, extra, outputs)
        return self.decode(outputs)

    def compute_by_pytorch(self, images: Tensor, extra: Mapping[str, Tensor]) -> Outputs:
        """Compute the outputs of each head, on a CPU of a few images at a time; a :data:`Compute`."""
        found: list[Outputs] = [
            self(self.normalise(images[rows]), **{name: each[rows] for name, each in extra.items()})
            for rows in split_batch(images)
        ]
        if len(found) == 1:
            return found[0]
        return {
            head: {name: torch.cat([each[head][name] for each in found]) for name in outputs}
            for head, outputs in found[0].items()
        }

    def parts(self) -> Mapping[str, nn.Module]:
        """Parts that weights may be made for: the whole and the backbone."""
        backbone: nn.Module = self.backbone
        # Weights of a backbone were made without a wrapper around it, so their names are those of the
        # innermost one.
        while isinstance(within := getattr(backbone, "backbone", None), Backbone):
            backbone = within
        return {"model": self, "backbone": backbone}

    def take_over(
        self, found: FoundWeights, metadata: Mapping[str, str], aliases: Mapping[str, str]
    ) -> list[str]:
        """Load weights of a backbone or of a whole network.

        Those of a whole network go by the names of the keypoints where these are known.
        """
        # Imported here because transfer imports this module: it builds networks of this class.
        from pose_core.model.transfer import take_over

        return take_over(self, found, metadata, aliases)

    def check(self) -> None:
        """Check the feature maps, see :meth:`check_features`."""
        self.check_features()

    def check_features(self, size: tuple[int, int] | None = None) -> None:
        """Run the backbone once and compare its feature maps with what its config declares.

        Args:
            size: (height, width) of the input; by default that of the spec, or a small one.

        Raises:
            ConfigError: the network cannot take an input of that size.
            PluginError: they differ; the plugin of the backbone is broken.
        """
        height, width = size or self.spec.preprocess.size or (2 * self.size_multiple, 2 * self.size_multiple)
        check_sides("model.preprocess.size", (height, width), self.size_multiple)
        # One animal without a keypoint gives the extra inputs the shapes that they have in use.
        unlabelled = torch.full((1, 1, self.skeleton.num_keypoints, 2), torch.nan, device=self.mean.device)
        found = Predictions.none(1, self.skeleton, self.mean.device).with_animals(
            unlabelled, torch.zeros_like(unlabelled[..., 0])
        )
        training = self.training
        # In training mode the image of zeros would go into the running statistics of batch normalisation.
        self.eval()
        with torch.inference_mode():
            extra = self.extra_for_inference(found, (height, width))
            image = torch.zeros(1, 3, height, width, device=self.mean.device)
            maps: Sequence[Tensor] = self.backbone(image, **extra)
        self.train(training)
        if not isinstance(maps, list | tuple) or any(m.dim() < 3 for m in maps):
            raise PluginError(
                f"backbone {self._backbone_name}: forward must return a list of feature maps (B, C, h, w), "
                f"not {_describe_output(maps)}; the plugin is broken"
            )
        real = tuple(Feature(m.shape[1], round(height / m.shape[2])) for m in maps)
        # Where their cells lie shows in no shape.
        if [(f.channels, f.stride) for f in real] != [(f.channels, f.stride) for f in self._features]:
            raise PluginError(
                f"backbone {self._backbone_name} puts out {_list_features(real)} but its config declares "
                f"{_list_features(self._features)}; the plugin is broken"
            )

    def _heads(self) -> list[tuple[str, Head]]:
        return [(name, cast(Head, head)) for name, head in self.heads.items()]


def _describe_output(maps: object) -> str:
    if isinstance(maps, list | tuple):
        return "a list of " + ", ".join(str(tuple(getattr(m, "shape", ()))) for m in maps)
    return f"a {type(maps).__name__}"


def _list_features(features: Sequence[Feature]) -> str:
    return ", ".join(f"{f.channels} channels at stride {f.stride}" for f in features) or "nothing"

"""A pose network as files of other programs hold it: from pixels to keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pose_core.errors import ConfigError
from pose_core.interfaces import ExtraInput, Head, Predictions
from pose_core.model.assemble import PoseModel
from pose_core.model.runner import make_example

IMAGE = "image"
INITIAL = ("initial_keypoints", "initial_scores")
"""Names of further inputs: what an earlier stage found, (B, 1, K, 2) pixels of the image and (B, 1, K)."""

ANIMALS = ("keypoints", "keypoint_scores", "scores")
IDENTITY = ("identity_scores",)
UNIQUE = ("unique_keypoints", "unique_scores")


class ExportedNetwork(nn.Module):
    """Normalisation, network, and decoding where it is arithmetic: tensors in, a tuple of tensors out.

    Args:
        model: in evaluation mode, on the CPU.

    Attributes:
        inputs: names of the tensors that go in.
        outputs: names of the tensors that come out: fields of :class:`~pose_core.interfaces.Predictions`, or where
            decoding is outside ``head.output`` of each head.
        decodes: whether keypoints come out.
        undecoded: names of the heads whose decoding no file can hold.

    Raises:
        ConfigError: an extra input of the network is made in a way that no file can hold.
    """

    def __init__(self, model: PoseModel) -> None:
        super().__init__()
        self.model = model
        for name, part in model.inputs.items():
            if not cast(ExtraInput, part).exportable:
                raise ConfigError(
                    f"model.inputs.{name}: is made in a way that no file can hold; such a network cannot be exported"
                )
        self.inputs = (IMAGE, *(INITIAL if model.inputs else ()))
        heads = {name: cast(Head, head) for name, head in model.heads.items()}
        self.undecoded = tuple(name for name, head in heads.items() if not head.can_export_decoding())
        self.decodes = not self.undecoded
        if self.decodes:
            knows_identity = any(head.predicts_identity() for head in model.spec.heads.values())
            self.outputs = (
                *ANIMALS,
                *(IDENTITY if knows_identity else ()),
                *(UNIQUE if model.predicts_unique else ()),
            )
        else:
            # Computed once: only the network itself knows what its heads put out.
            with torch.inference_mode():
                images, *extra = make_example(model)
                found = model(images, **dict(zip(model.inputs, extra, strict=True)))
            self.outputs = tuple(f"{head}.{name}" for head, tensors in found.items() for name in tensors)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Compute all of it.

        Args:
            tensors: (B, H, W, 3) uint8 RGB; then, for a network that refines poses, those and their scores.
        """
        model, images = self.model, tensors[0]
        # As PoseModel.normalise, but for the layout in memory, which is a matter of torch.
        floats = (images.permute(0, 3, 1, 2).to(torch.float32) - model.mean) / model.std
        extra = {}
        if model.inputs:
            found = Predictions.none(images.shape[0], model.skeleton, images.device)
            found = found.with_animals(tensors[1], tensors[2])
            extra = model.extra_for_inference(found, (images.shape[1], images.shape[2]))
        outputs = model(floats, **extra)
        if not self.decodes:
            return tuple(tensor for tensors in outputs.values() for tensor in tensors.values())
        decoded = model.decode(outputs)
        return tuple(getattr(decoded, name) for name in self.outputs)

    def to_predictions(self, outputs: Sequence[Tensor]) -> Predictions:
        """Make animals of what came out of a file; where decoding is outside, it happens here.

        Args:
            outputs: in the order of :attr:`outputs`.
        """
        model, named = self.model, dict(zip(self.outputs, outputs, strict=True))
        if not self.decodes:
            by_head: dict[str, dict[str, Tensor]] = {}
            for name, tensor in named.items():
                # A head's name may hold a dot, an output's may not.
                head, _, output = name.rpartition(".")
                by_head.setdefault(head, {})[output] = tensor
            return model.decode(by_head)
        found = Predictions.none(outputs[0].shape[0], model.skeleton)
        keypoints, keypoint_scores, scores = (named.pop(name) for name in ANIMALS)
        found = found.with_animals(keypoints, keypoint_scores, scores)
        return Predictions(**{**vars(found), **named})

    def make_example(self, height: int, width: int, images: int = 2) -> tuple[Tensor, ...]:
        """Make tensors that go in: random pixels, and poses at random places.

        Args:
            height, width: of the images.
            images: B.
        """
        # A generator of its own: the random numbers of the process are the caller's.
        random = torch.Generator().manual_seed(images)
        pixels = torch.randint(0, 256, (images, height, width, 3), dtype=torch.uint8, generator=random)
        if not self.model.inputs:
            return (pixels,)
        places = torch.rand(images, 1, self.model.skeleton.num_keypoints, 2, generator=random)
        return pixels, places * torch.tensor([width, height]), torch.ones_like(places[..., 0])

    def choose_size(self) -> tuple[int, int]:
        """Height and width of an example for the exporter: the fixed size, or one that no side is mistaken in."""
        multiple = self.model.size_multiple
        return self.model.spec.preprocess.size or (max(2 * multiple, 64), max(3 * multiple, 96))

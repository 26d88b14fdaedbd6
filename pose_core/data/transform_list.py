"""Apply the transforms of a training, one after the other, and hold each to its law."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from pose_core.catalog import get_catalog
from pose_core.data.movements import check_movement
from pose_core.data.transform_law import check_image, check_view, copy_labels
from pose_core.errors import ConfigError, PluginError, PoseError, described
from pose_core.interfaces import (
    GeometricTransform,
    LabelledView,
    LabelTransform,
    Movement,
    PixelTransform,
    Transform,
    TransformContext,
)
from pose_core.specs import TransformConfig

T = TypeVar("T")


class TransformList:
    """The transforms of a training, made of their configs.

    Args:
        configs: by the names that the configuration gives them; those with p 0 are not made.
        context: of the training.
        several: whether the network may find several animals in an image.
        unpaired: why images must not be mirrored; None where they may.

    Attributes:
        notes: one line for each transform that is left out.

    Raises:
        ConfigError: a transform does not suit the network.
        PluginError: a transform cannot be made.
    """

    def __init__(
        self,
        configs: Mapping[str, TransformConfig],
        context: TransformContext,
        *,
        several: bool = True,
        unpaired: str | None = None,
    ) -> None:
        self.notes: tuple[str, ...] = ()
        self._chances: dict[str, float] = {}
        self._moving: dict[str, GeometricTransform] = {}
        self._changing: dict[str, PixelTransform | LabelTransform] = {}
        self._watched: set[str] = set()
        for name, config in configs.items():
            if config.p == 0:
                continue
            key = f"augmentation.transforms.{name}"
            made = make_transform(config, context, key)
            if isinstance(made, LabelTransform) and made.adds_animals and not several:
                raise ConfigError(
                    f"{key}: adds animals to the image, where the model finds one; use a model of several animals, or "
                    "p: 0"
                )
            if isinstance(made, GeometricTransform) and made.mirrors and unpaired is not None:
                self.notes += (f"{key} is left out, as it mirrors images: {unpaired}",)
                continue
            self._chances[name] = config.p
            if isinstance(made, GeometricTransform):
                self._moving[name] = made
            elif isinstance(made, PixelTransform | LabelTransform):
                self._changing[name] = made

    def draw_movements(self, width: int, height: int, rng: np.random.Generator) -> list[Movement]:
        """Draw which geometric transforms happen, and how.

        Raises:
            PluginError: a transform breaks its law.
        """
        return [
            self._call(name, _draw_movement, name, made, width, height, rng)
            for name, made in self._moving.items()
            if rng.random() < self._chances[name]
        ]

    def change(self, view: LabelledView, rng: np.random.Generator) -> LabelledView:
        """Let those of the other transforms that happen change an input of the network, in place or not.

        Raises:
            PluginError: a transform breaks its law.
        """
        for name, made in self._changing.items():
            if rng.random() < self._chances[name]:
                view = self._call(name, _change_view, name, made, view, rng)
        return view

    def _call(self, name: str, function: Callable[..., T], *arguments: object) -> T:
        """Have a transform act; the first time, see that it draws from its own generator."""
        try:
            if name in self._watched:
                return function(*arguments)
            with watch_random_state(name):
                value = function(*arguments)
        except PoseError:
            raise
        except Exception as error:
            raise PluginError(
                f"transform {name}: {type(error).__name__}: {described(error)}; the transform is broken"
            ) from error
        self._watched.add(name)
        return value


def _draw_movement(
    name: str, made: GeometricTransform, width: int, height: int, rng: np.random.Generator
) -> Movement:
    return check_movement(made.draw_movement(width, height, rng), width, height, name, made.mirrors)


def _change_view(
    name: str, made: PixelTransform | LabelTransform, view: LabelledView, rng: np.random.Generator
) -> LabelledView:
    shape = view.image.shape
    if isinstance(made, PixelTransform):
        image = made.change_pixels(view.image, rng)
        check_image(image, shape, name)
        view = replace(view, image=image)
    else:
        before = copy_labels(view.labels)
        view = made.change_view(view, rng)
        check_view(view, before, shape, name, made.adds_animals)
    # The next one may change it in place, or hand it to OpenCV, which takes no mirrored view of an array.
    return replace(view, image=np.require(view.image, requirements=["C", "W"]))


def make_transform(config: TransformConfig, context: TransformContext, key: str = "transform") -> Transform:
    """Make a transform.

    Args:
        config: of the transform.
        context: of the training.
        key: of the configuration, for messages.

    Raises:
        PluginError: its class is none of the three that there are, or cannot be made.
        PoseError: as the transform raises it.
    """
    factory = get_catalog().component("transform", config.type).factory()
    try:
        made = factory(config, context)
    except PoseError:
        raise
    except Exception as error:
        raise PluginError(
            f"{key}: {config.type} cannot be made: {type(error).__name__}: {described(error)}"
        ) from error
    if not isinstance(made, GeometricTransform | PixelTransform | LabelTransform):
        raise PluginError(
            f"{key}: {config.type} is no GeometricTransform, PixelTransform or LabelTransform; the transform is broken"
        )
    return made


@contextmanager
def watch_random_state(name: str) -> Iterator[None]:
    """Refuse that random numbers are drawn from anywhere but the generator that is handed in.

    Raises:
        PluginError: the state of ``random``, numpy or torch is another afterwards.
    """
    before = _read_random_states()
    yield
    for source, state in _read_random_states().items():
        if state != before[source]:
            raise PluginError(
                f"transform {name}: draws from the global random numbers of {source}, so that a seed would not give "
                "the same image again; the transform is broken"
            )


def _read_random_states() -> dict[str, object]:
    kind, keys, *rest = np.random.get_state()
    return {
        "random": random.getstate(),
        "numpy": (kind, np.asarray(keys).tobytes(), rest),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }

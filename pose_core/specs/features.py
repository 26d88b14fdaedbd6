"""Feature maps as configs declare them, and the choice of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pose_core.errors import PluginError, PoseError, described


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature map that a backbone or neck puts out.

    Attributes:
        channels: C of the (B, C, h, w) tensor.
        stride: input pixels per cell; h is about H / stride.
        tokens: True for what is no map but one vector a keypoint: a (B, K, C) tensor. ``stride`` is then that
            of the map the tokens were made from.
        offset: pixel of the input at the centre of cell 0, where cells do not tile the image, as with
            TensorFlow's padding; None: (stride - 1) / 2, where they do.
    """

    channels: int
    stride: int
    tokens: bool = False
    offset: float | None = None


def ask_features(name: str, ask: Callable[[], object]) -> tuple[Feature, ...]:
    """The features that a config says its network puts out, checked, since everything else is built on them.

    Args:
        name: of the component, for the message.
        ask: its ``features``.

    Raises:
        ValueError: as the config raises it, where it cannot take what comes in.
        PluginError: it answers with something else than features, or fails.
    """
    try:
        # Plugin code, the only part of a spec check that computes: whatever it raises is laid at the
        # plugin.
        answer = ask()
    except (ValueError, PoseError):
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {described(error)}"
        raise PluginError(
            f"{name}: its config cannot say its features ({why}); the plugin is broken"
        ) from error
    # Asked by type, for a generator would be empty when it is read again.
    features = tuple(answer) if isinstance(answer, (tuple, list)) else ()
    if not features or not all(isinstance(f, Feature) and f.channels > 0 and f.stride > 0 for f in features):
        raise PluginError(
            f"{name}: its config says features {answer!r:.80}, not a tuple of Feature; the plugin is broken"
        )
    return features


def choose_feature(features: Sequence[Feature], index: int | None) -> int:
    """Choose the feature map that a head or neck uses, for a config field called ``feature``.

    Args:
        features: those that arrive.
        index: what the user wrote, from 0; None: the first one, which is the finest.

    Raises:
        ValueError: the choice does not exist or is no map.
    """
    choices = ", ".join(f"{i} ({f.channels} channels, stride {f.stride})" for i, f in enumerate(features))
    # Maps go from fine to coarse.
    chosen = index or 0
    if not 0 <= chosen < len(features):
        raise ValueError(f"feature: there is no feature map {chosen}; there are {choices}")
    if features[chosen].tokens:
        raise ValueError(f"feature: {chosen} holds keypoint tokens, and a feature map is needed here")
    return chosen

"""Published weights, for plugins: fetch, read and load them, or say in one line what to do where that is
impossible.

A backbone (or detector) whose config has ``pretrained: pose_core.specs.Pretrained = "auto"`` needs these
lines::

    if context.pretrained and config.pretrained:
        load_pretrained(
            self.model,
            hugging_face("somebody/mynet", "model.safetensors", "the ImageNet weights somebody/mynet"),
            required=config.pretrained is True,
            option="model.backbone.pretrained",
        )

For networks of timm there is :func:`pose_core.interfaces.load_timm`, for files of torchvision
:func:`torchvision_file`. Weights whose checksum is published are better offered by name, as a
:class:`pose_core.hooks.WeightSpec`.
"""

from __future__ import annotations

import collections
import pickle
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from pose_core.errors import DownloadError, WeightsError, argument, listed, setting
from pose_core.interfaces.state_dicts import describe_non_finite, find_non_finite, unwrap
from pose_core.interfaces.warning import warn_once
from pose_core.io.downloads import RemoteFile, obtain
from pose_core.io.hugging_face import hugging_face

__all__ = [
    "RemoteFile",
    "TensorFile",
    "hugging_face",
    "load_plain",
    "load_pretrained",
    "misfits",
    "read_tensors",
    "refused_global",
    "storage_problem",
    "torchvision_file",
]

# Keys under which training scripts commonly save the weights, beside optimizer and epoch.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_TORCH = (".pt", ".pth", ".bin")


def torchvision_file(name: str, what: str) -> RemoteFile:
    """A file of the weights that torchvision publishes; the copy that torch.hub keeps in its cache is used.

    Args:
        name: of the file, which ends with the first digits of its sha256 (``resnet50-0676ba61.pth``).
        what: what messages call it.
    """
    return RemoteFile(
        f"https://download.pytorch.org/models/{name}",
        what,
        sha256=PurePosixPath(name).stem.rpartition("-")[2],
        elsewhere=(Path(torch.hub.get_dir()) / "checkpoints" / name,),
    )


def load_pretrained(
    module: nn.Module,
    file: RemoteFile,
    *,
    required: bool,
    option: str,
    convert: Callable[[dict[str, Tensor]], Mapping[str, Tensor]] | None = None,
) -> bool:
    """Load published weights into a module; every name and shape must agree.

    Args:
        module: gets them.
        file: holds them; it is downloaded once.
        required: whether it is an error when they cannot be had; otherwise that is a warning.
        option: the setting that asks for them, for messages (``model.backbone.pretrained``).
        convert: from the tensors of the file, by name, to those of the module.

    Returns:
        whether they were loaded.

    Raises:
        DownloadError: they cannot be had and are required.
        WeightsError: the file is damaged or of another network.
    """
    try:
        path = obtain(file, f"use {setting(f'{option}=false') if required else argument('weights', 'none')}")
    except DownloadError as error:
        if required:
            raise
        warn_once(f"{error}; training starts from random weights, which takes longer and needs more labels")
        return False
    tensors = read_tensors(path).tensors
    state = dict(tensors if convert is None else convert(tensors))
    if problems := misfits(module.state_dict(), state):
        raise WeightsError(
            f"{path}: holds the weights of another network: {listed(problems, most=5)}; delete it"
        )
    # Compared before, since torch lists every name in an error of hundreds of lines.
    module.load_state_dict(state)
    return True


@dataclass(frozen=True, eq=False)
class TensorFile:
    """The tensors of a file.

    Attributes:
        tensors: by name.
        wrapper: the key under which they lie in the file; empty where they are all there is.
        others: what the file holds beside them, by name.
    """

    tensors: dict[str, Tensor]
    wrapper: str = ""
    others: tuple[str, ...] = ()


def read_tensors(path: Path, inert: Sequence[str] = ()) -> TensorFile:
    """Read a file of weights: ``.safetensors``, or ``.pt``, ``.pth`` and ``.bin`` of torch. Nothing is
    unpickled.

    Args:
        path: of the file.
        inert: beginnings of names of classes whose objects are left out, see :func:`load_plain`.

    Names come without what wrappers of torch put into them (``module.``, ``_orig_mod.``).

    Raises:
        WeightsError: the file is missing, damaged, of another kind, holds more than tensors and plain values,
            or values that are NaN or infinite.
    """
    found = _read_any(path, inert)
    if bad := find_non_finite(found.tensors):
        raise WeightsError(f"{path}: {describe_non_finite(bad)}")
    return replace(found, tensors=unwrap(found.tensors))


def _read_any(path: Path, inert: Sequence[str]) -> TensorFile:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file of weights")
    if path.suffix == ".safetensors":
        try:
            return TensorFile(load_safetensors(path))
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path}: not a readable safetensors file ({error}); get it again") from None
    if path.suffix not in _TORCH:
        raise WeightsError(f"{path}: weights are in files that end in .safetensors, {', '.join(_TORCH)}")
    try:
        content = load_plain(path, inert)
    # torch's reader raises whatever the bytes lead it to.
    except Exception as error:
        reason = (
            "it holds objects that only running its code could make"
            if "weights_only" in str(error)
            else "damaged"
        )
        raise WeightsError(
            f"{path}: not a readable file of tensors ({reason}); get it again, or as .safetensors"
        ) from None
    inner, wrapper = content, ""
    if isinstance(content, Mapping):
        for key in _WRAPPERS:
            if isinstance(content.get(key), Mapping):
                inner, wrapper = content[key], key
                break
    tensors = (
        {str(k): v for k, v in inner.items() if isinstance(v, Tensor)} if isinstance(inner, Mapping) else {}
    )
    others = (
        [str(k) for k in content if k != wrapper and k not in tensors] if isinstance(content, Mapping) else []
    )
    if not tensors and not others:
        raise WeightsError(f"{path}: holds no tensors by name, but {type(content).__name__}")
    return TensorFile(tensors, wrapper, tuple(others))


def load_safetensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file.

    Raises:
        SafetensorError, OSError: it is missing or damaged.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        # The library opens no path whose bytes are not UTF-8, and would map others instead of copying.
        return safetensors.torch.load(path.read_bytes())
    return safetensors.torch.load_file(path)


class _Inert:
    """Stands for an object that a file holds and nobody asked for: it keeps nothing of what it is given."""

    def __new__(cls, *args: object, **kwargs: object) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


_PLAIN_TYPES = (bool, int, float, str, list, dict, set, tuple, collections.defaultdict)
"""Types that torch's reader does not know as globals and that hold plain values only."""


def load_plain(path: Path, inert: Sequence[str] = ()) -> Any:
    """Read a file that ``torch.save`` wrote, without running code that it may hold.

    Training frameworks save their settings beside the weights, as objects of classes that need not be
    installed here (``omegaconf``, classes of the training code). Where only the weights are wanted, such
    objects can be left out::

        load_plain(path, inert=("omegaconf.", "mylab_training.", "typing."))["state_dict"]

    Args:
        path: of the file.
        inert: beginnings of full names (``package.module.Class``). Classes and functions of these names are
            not imported; objects of an empty class that keeps nothing take their place. (torch refuses items
            of objects that are derived from dicts and lists.)

    Returns:
        what it holds, on the CPU: tensors, plain values and, with ``inert``, such empty objects.

    Raises:
        pickle.UnpicklingError: it holds more than these; :func:`refused_global` says what.
        Exception: it is damaged; what is raised then depends on the bytes.
    """
    known: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = []
    if inert:
        plain = {f"{kind.__module__}.{kind.__name__}": kind for kind in _PLAIN_TYPES}
        for name in torch.serialization.get_unsafe_globals_in_checkpoint(path):
            if name in plain:
                known.append((plain[name], name))
            elif name.startswith(tuple(inert)):
                # A class for each name: torch tells them apart by their identity.
                known.append((type(name.rpartition(".")[2], (_Inert,), {}), name))
    with warnings.catch_warnings(), torch.serialization.safe_globals(known):
        # What torch says while it reads sparse and quantized tensors and pickles that it may not know; what
        # comes of these is refused.
        for beginning in (
            "Validating sparse tensor",
            "TypedStorage is deprecated",
            "Detected pickle protocol",
        ):
            warnings.filterwarnings("ignore", beginning, UserWarning)
        return torch.load(path, map_location="cpu", weights_only=True)


_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def refused_global(error: pickle.UnpicklingError) -> str | None:
    """Name the class or function for which :func:`load_plain` refused a file; None where it is damaged."""
    # torch names it only in its message.
    found = _GLOBAL.search(str(error))
    return None if found is None else found.group(1)


def misfits(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """Compare weights with a module's ``state_dict``, a few words each; empty if nowhere.

    They differ in names or shapes, or are stored in a way in which they cannot be copied to the module.
    """
    problems = [f"missing {name}" for name in own if name not in state]
    problems += [f"unexpected {name}" for name in state if name not in own]
    problems += [
        f"{name} is {tuple(state[name].shape)}, the model has {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    return problems + [
        f"{name} is {kind}" for name in own if name in state and (kind := storage_problem(state[name]))
    ]


def storage_problem(tensor: Tensor) -> str:
    """Why a tensor cannot be copied into a module's parameter, such as ``"sparse"``; empty where it can."""
    # Copying such a tensor raises within torch, or, of complex numbers, drops the imaginary part with a
    # warning.
    if tensor.is_meta:
        return "a tensor without values"
    if tensor.is_quantized:
        return "quantized"
    if tensor.layout is not torch.strided:
        return "sparse"
    return "made of complex numbers" if tensor.is_complex() else ""

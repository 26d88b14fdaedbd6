"""ImageNet weights, without hanging where there is no network and without unpickling."""

from __future__ import annotations

import logging
import os
import socket
import urllib.error
import urllib.request
from pathlib import Path

import timm
import torch
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pose_core.errors import ConfigError

_LOG = logging.getLogger("pose_core.resnet")
_PROBE_SECONDS = 5.0
_FILE = "model.safetensors"


def load_imagenet(model: nn.Module, name: str, *, required: bool) -> bool:
    """Load ImageNet weights into a network without classifier.

    Args:
        model: timm's network.
        name: of the network in timm.
        required: whether it is an error when they cannot be had; otherwise that is a warning.

    Returns:
        whether they were loaded.

    Raises:
        ConfigError: they cannot be had and are required, or the file is damaged or of another network.
    """
    weights = timm.models.get_pretrained_cfg(name)
    if weights is None or weights.hf_hub_id is None:
        raise ConfigError(f"timm {timm.__version__} has no ImageNet weights for {name}; pip install --upgrade timm")
    repository = str(weights.hf_hub_id)
    local = local_copy(repository)
    try:
        path = local if local.is_file() else _download(repository)
    except (OSError, HfHubHTTPError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        missing = f"cannot download the ImageNet weights {repository} ({reason})"
        offline = f"put its {_FILE} at {local}"
        if required:
            raise ConfigError(f"{missing}; use --set model.backbone.pretrained=false, or {offline}") from None
        _LOG.warning(
            "%s: training starts from random weights, which takes longer and needs more labels; to avoid it, %s",
            missing,
            offline,
        )
        return False
    _load(model, path)
    return True


def local_copy(repository: str) -> Path:
    """Where weights can be put by hand: ``$TORCH_HOME/hub/checkpoints/NAME.safetensors``."""
    return Path(torch.hub.get_dir()) / "checkpoints" / f"{repository.rpartition('/')[2]}.safetensors"


def _download(repository: str) -> Path:
    """Path of the weights in the cache of huggingface_hub, downloaded where they are not there yet.

    Raises:
        OSError: they cannot be had.
        HfHubHTTPError: the server refuses.
    """
    cached = try_to_load_from_cache(repository, _FILE)
    if isinstance(cached, str):
        return Path(cached)
    if constants.HF_HUB_OFFLINE:
        raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
    # The client retries for most of a minute before it says that there is no network.
    if (reason := unreachable(constants.ENDPOINT)) is not None:
        raise ConnectionError(f"{constants.ENDPOINT} cannot be reached: {reason}")
    return Path(hf_hub_download(repository, _FILE))


def unreachable(url: str, seconds: float = _PROBE_SECONDS) -> str | None:
    """Why there is no connection to ``url`` (proxies of the environment are used), None when there is one."""
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "pose-resnet"})
    try:
        with urllib.request.urlopen(request, timeout=seconds):
            return None
    except urllib.error.HTTPError:
        return None  # An answer, if not a friendly one: there is a connection.
    except urllib.error.URLError as error:
        if isinstance(error.reason, socket.gaierror):
            return "no network or no name server"
        if isinstance(error.reason, OSError) and not isinstance(error.reason, TimeoutError):
            return os.strerror(error.reason.errno) if error.reason.errno else str(error.reason)
        return f"no answer within {seconds:g} s" if isinstance(error.reason, TimeoutError) else str(error.reason)
    except TimeoutError:
        return f"no answer within {seconds:g} s"


def _load(model: nn.Module, path: Path) -> None:
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"{path}: not a readable safetensors file ({error}); delete it and try again") from None
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    own = model.state_dict()
    wrong = sorted(set(own) ^ set(state)) or sorted(k for k in own if own[k].shape != state[k].shape)
    if wrong:
        raise ConfigError(
            f"{path}: holds the weights of another network ({len(wrong)} entries differ, {wrong[0]} first); delete it"
        )
    model.load_state_dict(state)

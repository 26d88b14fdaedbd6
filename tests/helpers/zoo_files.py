"""Files of DeepLabCut's model zoo, as it publishes them, of random weights; and a server that has them."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pose_deeplabcut.zoo import PROJECTS
from torch import Tensor
from torchvision.models import detection

from pose_core.interfaces import BuildContext
from pose_core.specs import AnyBackbone
from pose_core.structures import Skeleton

_CROPS = {"rtmpose_s": (256, 256, 512), "rtmpose_x": (288, 384, 1280)}
_CSPNEXT = {"rtmpose_s": (0.33, 0.5), "rtmpose_x": (1.33, 1.25)}


def write_file(folder: Path, project: str, network: str, seed: int = 0) -> Path:
    """Write the file of a network, where the server of :func:`serve` has it; returns its path."""
    about = PROJECTS[project]
    name = (about.files or {}).get(network, f"{project}_{network}.pt")
    path = folder / about.repository / "resolve" / "main" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    if network in about.poses:
        state = make_pose_weights(network, len(about.keypoints.split()))
    else:
        state = {f"model.{k}": v for k, v in make_detector(network).state_dict().items()}
    torch.save({"metadata": {"epoch": 200}, "model": state}, path)
    return path


def make_pose_weights(network: str, keypoints: int) -> dict[str, Tensor]:
    """The state dict of one of the zoo's pose networks, under DeepLabCut's names."""
    head: dict[str, Tensor] = {}
    if network in _CROPS:
        width, height, channels = _CROPS[network]
        deepen, widen = _CSPNEXT[network]
        backbone = _backbone({"type": "cspnext/cspnext", "deepen": deepen, "widen": widen})
        cells = (width // 32) * (height // 32)
        shapes: dict[str, tuple[int, ...]] = {
            "final_layer.weight": (keypoints, channels, 7, 7),
            "final_layer.bias": (keypoints,),
            "mlp.0.g": (1,),
            "mlp.1.weight": (256, cells),
            "gau.ln.g": (1,),
            "gau.uv.weight": (1152, 256),
            "gau.gamma": (2, 128),
            "gau.beta": (2, 128),
            "gau.o.weight": (256, 512),
            "gau.res_scale.scale": (256,),
            "cls_x.weight": (2 * width, 256),
            "cls_y.weight": (2 * height, 256),
        }
        head = {name: 0.2 * torch.randn(shape) for name, shape in shapes.items()}
    elif network == "resnet_50":
        backbone = _backbone({"type": "resnet/resnet", "depth": 50, "norm": "group"})
        for part, outputs in (("heatmap_head", keypoints), ("locref_head", 2 * keypoints)):
            head[f"{part}.deconv_layers.0.weight"] = 0.02 * torch.randn(2048, outputs, 3, 3)
            head[f"{part}.deconv_layers.0.bias"] = torch.zeros(outputs)
    else:
        backbone = _backbone({"type": "hrnet/hrnet", "width": 32, "branches": "first"})
        # A transposed convolution of kernel size 1: (inputs, outputs, 1, 1).
        head["heatmap_head.deconv_layers.0.weight"] = 0.2 * torch.randn(32, keypoints, 1, 1)
        head["heatmap_head.deconv_layers.0.bias"] = torch.full((keypoints,), 0.3)
    return {
        **{f"backbone.{name}": value for name, value in backbone.items()},
        **{f"heads.bodypart.{name}": value for name, value in head.items()},
    }


def make_detector(network: str, classes: int = 2) -> torch.nn.Module:
    """One of the zoo's detectors, of random weights, that is sure of the animal (class 1) everywhere."""
    if network == "ssdlite":
        return detection.ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=classes
        )
    made = getattr(detection, network)(weights=None, weights_backbone=None, num_classes=classes)
    with torch.no_grad():
        made.roi_heads.box_predictor.cls_score.bias[1] = 20.0
    return made


def _backbone(config: dict[str, Any]) -> dict[str, Tensor]:
    from pydantic import TypeAdapter

    spec = TypeAdapter(AnyBackbone).validate_python(config)
    built: torch.nn.Module = BuildContext(Skeleton(("any",))).build("backbone", spec)
    return dict(built.state_dict())


@contextmanager
def serve(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder as Hugging Face's hub does; gives its address and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}", asked
        finally:
            running.shutdown()
            thread.join()

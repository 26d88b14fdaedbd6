"""SLEAP-NN's side of the comparison of models: makes them, saves them, and predicts with them.

``python parity/sleap/models_oracle.py FOLDER [FILE]``, in an environment with sleap-nn 0.3.5. Each model gets a
folder, as its training writes it, and in it ``answer.json``: raw outputs of the network, and what its predictor
finds. FILE (``models.json`` beside this script) gets names and shapes of weights and summaries of outputs, so that
the tests make the same models without sleap-nn.
"""

from __future__ import annotations

import copy
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import lightning
import numpy as np
import sleap_io as sio
import torch
from cases import Case, image, our_name, summarize
from models import CENTRES, EDGES, MODELS, NODES, THRESHOLD, make_weight
from omegaconf import OmegaConf
from sleap_nn.config.training_job_config import verify_training_cfg
from sleap_nn.inference.predictor import Predictor
from sleap_nn.training.lightning_modules import LightningModel


def main() -> None:
    """Write a folder for each model."""
    out = Path(sys.argv[1])
    noted: dict[str, Any] = {}
    for number, (name, given) in enumerate(MODELS.items()):
        folder = out / f"model{number:02}"
        folder.mkdir(parents=True, exist_ok=True)
        answer = make(name, given, folder)
        crops = next(iter(given["model_config"]["head_configs"])) in CROPS
        answer["instances"] = predict_crops(folder) if crops else predict(folder)
        answer["centres"] = CENTRES
        (folder / "answer.json").write_text(json.dumps(answer))
        print(f"{folder}: {name}", flush=True)
        noted[name] = {key: answer[key] for key in ("parameters", "shapes", "summaries")}
    if len(sys.argv) > 2:
        lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in noted.items()]
        Path(sys.argv[2]).write_text("{\n" + ",\n".join(lines) + "\n}\n")


CROPS = ("centered_instance", "multi_class_topdown")


def predict(folder: Path) -> list[dict[str, Any]]:
    """Predict the image with SLEAP-NN's own predictor."""
    shown = (image() * 255).round().to(torch.uint8)[0].permute(1, 2, 0).numpy()[None]
    predictor = Predictor.from_model_paths([str(folder)], peak_threshold=THRESHOLD)
    return describe(predictor.predict(shown, skeleton=make_skeleton()))


def predict_crops(folder: Path) -> list[dict[str, Any]]:
    """Predict crops of the image around given centres with SLEAP-NN's own predictor.

    Its crops begin at whole pixels, and so do those around these centres.
    """
    file = folder / "image.png"
    shown = (image() * 255).round().to(torch.uint8)[0].permute(1, 2, 0).numpy()
    iio.imwrite(file, shown)
    skeleton = make_skeleton()
    video = sio.Video.from_filename([str(file)])
    instances = []
    for centre in CENTRES:
        points = np.full((len(NODES), 2), np.nan)
        # The first node is the anchor.
        points[0] = centre
        instances.append(sio.Instance.from_numpy(points, skeleton=skeleton))
    labelled = sio.LabeledFrame(video=video, frame_idx=0, instances=instances)
    labels = sio.Labels([labelled], videos=[video], skeletons=[skeleton])
    predictor = Predictor.from_model_paths([str(folder)], peak_threshold=THRESHOLD)
    return describe(predictor.predict(labels))


def make_skeleton() -> sio.Skeleton:
    """The skeleton; its list becomes one of nodes."""
    return sio.Skeleton(nodes=list(NODES), edges=[tuple(edge) for edge in EDGES])


def describe(labels: sio.Labels) -> list[dict[str, Any]]:
    """What was predicted, for the file."""
    return [
        {
            "points": np.asarray(instance.numpy(), float).tolist(),
            "scores": np.asarray(instance.points["score"], float).tolist(),
            "track": None if instance.track is None else instance.track.name,
        }
        for frame in labels
        for instance in frame.instances
    ]


def make(name: str, given: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make a model, save it as a training does, and run it."""
    ((kind, backbone),) = given["model_config"]["backbone_config"].items()
    allowed = copy.deepcopy(given)
    for key in ("model_type", "arch"):
        allowed["model_config"]["backbone_config"][kind].pop(key, None)
    config = verify_training_cfg(OmegaConf.create(allowed))
    # The types of the classes allow the published sizes only.
    whole = OmegaConf.to_container(config)
    whole["model_config"]["backbone_config"][kind] |= backbone
    config = OmegaConf.create(whole)
    module = LightningModel.get_lightning_model_from_config(config)
    case = Case(kind, backbone, ())
    with torch.no_grad():
        for key, tensor in module.model.state_dict().items():
            # The places of cells within windows are no weights.
            if tensor.is_floating_point():
                tensor.copy_(make_weight(key, our_name(key, case), tensor.shape))
    trainer = lightning.Trainer(
        logger=False, accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.strategy.connect(module)
    trainer.save_checkpoint(folder / "best.ckpt")
    OmegaConf.save(config, folder / "training_config.yaml")
    channels = backbone["in_channels"]
    shown = torch.from_numpy((image() * 255).round().to(torch.uint8).numpy()).float() / 255
    if channels == 1:
        shown = shown[:, :1]
    with torch.no_grad():
        outputs = module.model.eval()(shown)
    return {
        "name": name,
        "versions": f"sleap-nn {version('sleap-nn')} on torch {torch.__version__}",
        "parameters": sum(p.numel() for p in module.model.parameters()),
        "channels": channels,
        "shapes": {key: list(tensor.shape) for key, tensor in module.model.state_dict().items()},
        "summaries": [summarize(each) for each in outputs.values()],
        "outputs": [np.asarray(each).tolist() for each in outputs.values()],
    }


if __name__ == "__main__":
    main()

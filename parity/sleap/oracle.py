"""SLEAP-NN's side: writes what its networks put out to ``outputs.json``.

``python parity/sleap/oracle.py [FILE]``, in an environment of its own that has sleap-nn 0.3.5. The file lies
beside this script; ``tests/test_sleap_networks.py`` compares our networks with it, without sleap-nn.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import sleap_nn.config.model_config as configs
import torch
from cases import CASES, image, our_name, summarize, weight
from omegaconf import OmegaConf
from sleap_nn.architectures.model import Model
from torch import nn

DEFAULTS = {"unet": configs.UNetConfig, "convnext": configs.ConvNextConfig, "swint": configs.SwinTConfig}


def main() -> None:
    """Write the file."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("outputs.json")
    torch.manual_seed(0)
    made: dict[str, Any] = {"made by": f"sleap-nn {version('sleap-nn')} on torch {torch.__version__}"}
    made |= {name: run(case) for name, case in CASES.items()}
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in made.items()]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{file}: written, {len(CASES)} networks")


def run(case: Any) -> dict[str, Any]:
    """Parameters and outputs of a network."""
    network = build(case).eval()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            # The places of cells within windows are no weights.
            if tensor.is_floating_point():
                tensor.copy_(weight(our_name(name, case), tensor.shape))
        outputs = network(image())
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "outputs": [summarize(output) for output in outputs.values()],
    }


def build(case: Any) -> nn.Module:
    """Make the network: a head for confidence maps, and one for fields where two strides are read."""
    # The types of the classes allow the published sizes only.
    defaults = OmegaConf.to_container(OmegaConf.structured(DEFAULTS[case.kind]))
    config = OmegaConf.create({**defaults, **case.config, "in_channels": 3})
    names = ["a", "b", "c"]
    heads = {"confmaps": {"part_names": names, "sigma": 5.0, "output_stride": case.strides[0]}}
    if len(case.strides) == 1:
        return Model.from_config(case.kind, config, OmegaConf.create(heads), "single_instance")
    fields = {"edges": [["a", "b"], ["b", "c"]], "sigma": 15.0, "output_stride": case.strides[1]}
    return Model.from_config(case.kind, config, OmegaConf.create({**heads, "pafs": fields}), "bottomup")


if __name__ == "__main__":
    main()

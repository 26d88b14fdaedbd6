"""SLEAP-NN's networks written with our parts put out what SLEAP-NN 0.3.5 puts out.

``parity/sleap/outputs.json`` has its outputs, of weights and an image that are formulas; how it was made is
said in ``parity/sleap/oracle.py``.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional

from pose_core.interfaces import BuildContext
from pose_core.model.assemble import PoseModel
from pose_core.specs import AnyBackbone, AnyNeck
from pose_core.specs.resolve import Layer, choose_model, resolve
from pose_core.structures import Skeleton

FOLDER = Path(__file__).resolve().parent.parent / "parity" / "sleap"
OUTPUTS: dict[str, Any] = json.loads((FOLDER / "outputs.json").read_text(encoding="utf-8"))
HEADS = (3, 4)
"""Maps of the heads: three keypoints, and x and y of two edges."""
ENCODER, MIDDLE = "backbone.encoders.0.encoder_stack", "backbone.middle_blocks"
DECODERS, DECODER = "backbone.decoders.0.decoder_stack", "backbone.dec.decoder_stack"
NAMES = {
    "unet": {
        f"{ENCODER}.1.blocks.stack0_enc1_conv0.weight": "backbone.encoder.1.0.0.weight",
        f"{MIDDLE}.1.blocks.stack0_enc6_middle_contract_conv0.bias": "backbone.encoder.4.1.0.bias",
        f"{DECODERS}.2.blocks.stack0_dec2_s4_to_s2_refine_conv1.bias": "backbone.decoder.2.1.0.bias",
    },
    "unet, stem": {
        "backbone.stem.stem_stack.0.blocks.stem0_conv1.weight": "backbone.stem.0.1.0.weight",
        f"{ENCODER}.0.blocks.stack0_enc0_conv0.bias": "backbone.encoder.1.0.0.bias",
        f"{MIDDLE}.0.blocks.stack0_enc4_middle_expand_conv0.weight": "backbone.encoder.4.0.0.weight",
    },
    "convnext, two strides, transposed": {
        "backbone.enc.features.3.0.layer_scale": "backbone.features.3.0.layer_scale",
        f"{MIDDLE}.0.blocks.convnext_middle_expand_conv0.weight": "neck.middle.0.0.weight",
        f"{DECODER}.1.blocks.dec1_s16_to_s8_trans_conv.bias": "neck.up.1.bias",
        f"{DECODER}.0.blocks.dec0_s32_to_s16_refine_conv1.bias": "neck.decoder.0.1.0.bias",
        "head_layers.1.PartAffinityFieldsHead.0.weight": "head.1.weight",
    },
}


def load_cases() -> Any:
    """The module that both sides read."""
    spec = importlib.util.spec_from_file_location("sleap_cases", FOLDER / "cases.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules["sleap_cases"] = module
    spec.loader.exec_module(module)
    return module


cases = load_cases()


def fill(module: nn.Module, prefix: str) -> int:
    """Set the weights; how many there are."""
    with torch.no_grad():
        for name, tensor in module.named_parameters():
            tensor.copy_(cases.weight(f"{prefix}.{name}", tensor.shape))
    return sum(p.numel() for p in module.parameters())


def run(name: str) -> tuple[int, list[Tensor]]:
    """Parameters and outputs of our network."""
    case = cases.CASES[name]
    spec, context = cases.our_spec(case), BuildContext(Skeleton(("a", "b", "c")))
    config = TypeAdapter(AnyBackbone).validate_python(spec["backbone"])
    backbone, features = context.build("backbone", config), config.features()
    parameters = fill(backbone, "backbone")
    with torch.no_grad():
        maps = backbone.eval()(cases.image())
        if "neck" in spec:
            neck_config = TypeAdapter(AnyNeck).validate_python(spec["neck"])
            neck = context.with_features(features).build("neck", neck_config)
            features = neck_config.features(features)
            parameters += fill(neck, "neck")
            maps = neck.eval()(maps)
    assert tuple(f.stride for f in features) == case.strides
    outputs = []
    for i, (feature, channels) in enumerate(zip(maps, HEADS, strict=False)):
        weight = cases.weight(f"head.{i}.weight", torch.Size((channels, feature.shape[1], 1, 1)))
        bias = cases.weight(f"head.{i}.bias", torch.Size((channels,)))
        parameters += weight.numel() + bias.numel()
        outputs.append(functional.conv2d(feature, weight, bias))
    return parameters, outputs


SIZES = {
    "convnext_tiny": (87_877_261, 94_928_941),
    "convnext_small": (109_511_821, 116_563_501),
    "convnext_base": (194_332_173, 206_867_853),
    "convnext_large": (436_447_501, 464_651_341),
    "swin_tiny": (87_578_023, 94_629_703),
    "swin_small": (108_895_927, 115_947_607),
    "swin_base": (193_510_981, 206_046_661),
}
"""Parameters of sleap-nn 0.3.5 for RGB images, 13 keypoints and output stride 2: interpolated, and with
transposed convolutions (counted of one channel, and the two further ones of the first convolution added)."""


@pytest.mark.parametrize("name", SIZES)
def test_presets_with_sleaps_decoder_have_its_size(name: str) -> None:
    data = {"skeleton": {"keypoints": [f"k{i}" for i in range(13)]}, "data": {"source": "nowhere"}}
    decoder = {"widths": "full", "middle_convs": 2, "middle_rate": 2.0, "norm": "none", "outputs": [2]}
    head = {"deconv_layers": 0, "location_refinement": False}
    for up, wanted in zip(("bilinear", "transposed3"), SIZES[name], strict=True):
        model = {
            "backbone": {"stem_patch_stride": 2, "stem_padding": 1, "taps": "before"},
            "neck": {**decoder, "up": up},
            "heads": {"keypoints": head},
        }
        spec = resolve(choose_model(name, False), Layer(data), [Layer({"model": model})])
        with torch.device("meta"):
            network = PoseModel(spec.model, spec.skeleton)
        assert sum(p.numel() for p in network.parameters()) == wanted


@pytest.mark.parametrize("name", cases.CASES)
def test_outputs_are_sleaps(name: str) -> None:
    parameters, outputs = run(name)
    assert parameters == OUTPUTS[name]["parameters"]
    assert len(outputs) == len(OUTPUTS[name]["outputs"])
    for output, wanted in zip(outputs, OUTPUTS[name]["outputs"], strict=True):
        (largest,) = wanted[2:3]
        assert largest > 0.1
        torch.testing.assert_close(
            torch.tensor(cases.summarize(output)), torch.tensor(wanted), rtol=0, atol=1e-4 * largest
        )


def test_another_stem_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "convnext, stem of stride 4"
    spec = cases.our_spec(cases.CASES[name])
    # Where torchvision has its cells, one pixel on.
    spec["backbone"]["stem_padding"] = 0
    monkeypatch.setattr(cases, "our_spec", lambda _: spec)
    _, (output,) = run(name)
    (wanted,) = OUTPUTS[name]["outputs"]
    assert abs(cases.summarize(output)[3] - wanted[3]) > 1e-2 * wanted[2]


@pytest.mark.parametrize("case", NAMES)
def test_names_of_weights(case: str) -> None:
    for theirs, ours in NAMES[case].items():
        assert cases.our_name(theirs, cases.CASES[case]) == ours
    with pytest.raises(ValueError, match="no rule"):
        cases.our_name("backbone.other.weight", cases.CASES[case])

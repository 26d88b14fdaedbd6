"""Keras models of SLEAP up to 1.4: the runs that they become put out what Keras computes.

``tests/helpers/keras_models.py`` computes each layer in numpy. Of the six models that TensorFlow's outputs are
published of (tests/assets/legacy_models of SLEAP-NN) it meets these to 1.2e-5 and less.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_models import EDGES, NODES, KerasModel
from pose_sleap.keras_model import is_keras_model, read_keras_model
from torch import nn

from pose_core import import_model
from pose_core.errors import RunError
from pose_core.model.assemble import PoseModel
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec


def confmaps(stride: int = 2, **more: Any) -> dict[str, Any]:
    return {"part_names": NODES, "sigma": 2.5, "output_stride": stride, "offset_refinement": False, **more}


PAFS = {"edges": [list(edge) for edge in EDGES], "sigma": 50.0, "output_stride": 4}
CLASSES = ["Ada", "Bea", "Cleo"]
MAPS = {"classes": CLASSES, "sigma": 5.0, "output_stride": 2}
VECTORS = {
    "classes": CLASSES,
    "num_fc_layers": 2,
    "num_fc_units": 8,
    "global_pool": True,
    "output_stride": 8,
    "loss_weight": 0.01,
}
MODELS = {
    "single_instance": KerasModel({"single_instance": confmaps()}),
    "single_instance, coarse": KerasModel({"single_instance": confmaps(4)}, {"output_stride": 4}),
    "centroid": KerasModel({"centroid": {"sigma": 2.5, "output_stride": 4}}, {"output_stride": 4}),
    "centered_instance": KerasModel(
        {"centered_instance": confmaps(offset_refinement=True)}, channels=1, size=(32, 32)
    ),
    "bottomup": KerasModel({"multi_instance": {"confmaps": confmaps(), "pafs": PAFS}}),
    "bottomup, bilinear": KerasModel(
        {"multi_instance": {"confmaps": confmaps(), "pafs": PAFS}}, {"up_interpolate": True}
    ),
    "bottomup, stem": KerasModel(
        {"multi_instance": {"confmaps": confmaps(), "pafs": PAFS}}, {"stem_stride": 2, "max_stride": 16}
    ),
    "single_instance, stem of stride 4": KerasModel(
        {"single_instance": confmaps(4)}, {"stem_stride": 4, "max_stride": 16, "output_stride": 4}
    ),
    "multi_class_bottomup": KerasModel(
        {"multi_class_bottomup": {"confmaps": confmaps(), "class_maps": MAPS}}
    ),
    "multi_class_topdown": KerasModel(
        {"multi_class_topdown": {"confmaps": confmaps(), "class_vectors": VECTORS}}, suffix="", size=(32, 32)
    ),
    "no decoder": KerasModel({"single_instance": confmaps(8)}, {"output_stride": 8}),
}


def load(folder: Path) -> PoseModel:
    """The network of the run that the importer makes of a folder."""
    import_model("sleap", folder, folder.parent / "run")
    return Run.open(folder.parent / "run", RunSpec).load_model()


def predict(network: PoseModel, image: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """What the heads put out, (height, width, channels) or (classes,)."""
    # Our networks see three channels; of a gray image all are the same.
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].expand(-1, 3, -1, -1)
    with torch.no_grad():
        heads = network.eval()(network.normalise(pixels))
    outputs = [output[0] for head in heads.values() for output in head.values()]
    return [(x.permute(1, 2, 0) if x.ndim == 3 else x).double().numpy() for x in outputs]


def activate(layer: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The activation that SLEAP's heads of classes end in, and ours leave to the loss."""
    if layer == "ClassMapsHead":
        return 1 / (1 + np.exp(-values))
    return np.exp(values) / np.exp(values).sum() if layer == "ClassVectorsHead" else values


def draw_image(model: KerasModel) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(0, 256, (*model.size, model.channels), np.uint8)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_those_of_keras(name: str, tmp_path: Path) -> None:
    model = MODELS[name]
    image = draw_image(model)
    wanted = model.write(tmp_path / "model", image / 255)
    wanted.pop("OffsetRefinementHead", None)
    found = predict(load(tmp_path / "model"), image)
    assert len(found) == len(wanted)
    for ours, (layer, theirs) in zip(found, wanted.items(), strict=True):
        largest = np.abs(theirs).max()
        assert largest > 0.05
        np.testing.assert_allclose(activate(layer, ours), theirs, rtol=0, atol=1e-5 * max(1, largest))


def test_the_other_end_of_transposed_convolutions_is_seen(tmp_path: Path) -> None:
    model = MODELS["single_instance"]
    image = draw_image(model)
    wanted = model.write(tmp_path / "model", image / 255)["SingleInstanceConfmapsHead"]
    network = load(tmp_path / "model")
    changed = [layer for layer in network.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert len(changed) == 2
    for layer in changed:
        layer.crop, layer.padding, layer.output_padding = "first", (1, 1), (1, 1)
    assert np.abs(predict(network, image)[0] - wanted).max() > 0.05


def test_configuration_in_the_words_of_sleap_nn(tmp_path: Path) -> None:
    model = KerasModel(
        {"multi_instance": {"confmaps": confmaps(part_names=None), "pafs": {**PAFS, "edges": None}}},
        data={"preprocessing": {"input_scaling": 0.5, "target_height": 384, "target_width": 512}},
    )
    model.write(tmp_path / "model")
    config, _ = read_keras_model(tmp_path / "model")
    ((kind, heads),) = config["model_config"]["head_configs"].items()
    assert kind == "bottomup"
    assert list(heads) == ["confmaps", "pafs"]
    # Of the skeleton, where the file leaves them out.
    assert heads["confmaps"]["part_names"] == NODES
    assert heads["pafs"]["edges"] == [list(edge) for edge in EDGES]
    (skeleton,) = config["data_config"]["skeletons"]
    assert [node["name"] for node in skeleton["nodes"]] == NODES
    assert [(e["source"]["name"], e["destination"]["name"]) for e in skeleton["edges"]] == EDGES
    # Written in both directions, read once.
    assert skeleton["symmetries"] == [[{"name": "earL"}, {"name": "earR"}]]
    preprocessing = config["data_config"]["preprocessing"]
    assert (preprocessing["scale"], preprocessing["max_height"], preprocessing["max_width"]) == (
        0.5,
        384,
        512,
    )
    assert preprocessing["crop_size"] is None
    assert config["notes"] == []


def test_crops_are_of_the_scaled_frame(tmp_path: Path) -> None:
    cropping = {"center_on_part": "tail", "crop_size": 32}
    model = KerasModel(
        {"centered_instance": confmaps(offset_refinement=True)},
        size=(32, 32),
        data={"instance_cropping": cropping, "preprocessing": {"input_scaling": 0.5}},
    )
    model.write(tmp_path / "model")
    config, _ = read_keras_model(tmp_path / "model")
    head = config["model_config"]["head_configs"]["centered_instance"]["confmaps"]
    assert config["data_config"]["preprocessing"]["crop_size"] == 64
    assert (head["anchor_part"], head["centroid_method"], head["centroid_fallback"]) == (
        "tail",
        "anchor",
        "bbox_center",
    )
    (note,) = config["notes"]
    assert "its offset maps are left out" in note


def test_crops_are_centred_on_the_box_where_no_node_is_named(tmp_path: Path) -> None:
    MODELS["centroid"].write(tmp_path / "model")
    config, _ = read_keras_model(tmp_path / "model")
    head = config["model_config"]["head_configs"]["centroid"]["confmaps"]
    assert (head["anchor_part"], head["centroid_method"]) == (None, "bbox_center")


def refused(folder: Path) -> str:
    with pytest.raises(RunError) as caught:
        read_keras_model(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change(folder: Path, *keys: Any, value: Any) -> None:
    """Change the configuration at some keys."""
    file = folder / "training_config.json"
    content = json.loads(file.read_text())
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    file.write_text(json.dumps(content))


UNET = ("model", "backbone", "unet")
HEAD = ("model", "heads", "single_instance")


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ((*UNET, "middle_block"), False, "middle_block is false: such a network has no bottleneck"),
        ((*UNET, "stacks"), 2, "stacks is 2: only a single U-Net"),
        ((*UNET, "max_stride"), 12, "12 is no power of 2"),
        ((*UNET, "filters"), "many", "model.backbone.unet.filters: input should be a valid integer"),
        ((*UNET, "filters"), 6, "kernel:0 of layer stack0_enc0_conv0 is float32"),
        ((*UNET, "up_interpolate"), True, "stack0_dec0_s8_to_s4_refine_conv0 is float32 (3, 3, 18, 9)"),
        ((*UNET, "output_stride"), 1, "it lacks the layer stack0_dec2_s2_to_s1_trans_conv"),
        ((*UNET, "stem_stride"), 4, "output_stride 2 is finer than stem_stride 4"),
        (
            ("model", "backbone"),
            {"unet": None, "leap": {}, "resnet": {"version": 2}},
            "its backbone is resnet",
        ),
        (("model", "backbone"), {"pretrained_encoder": {"x": 1}}, "its backbone is pretrained_encoder"),
        (("model", "heads"), {"single_instance": None}, "model.heads has none of single_instance"),
        ((*HEAD, "part_names"), ["nose", "wing"], "a head has wing, and the skeleton has nose, earL"),
        ((*HEAD, "part_names"), ["nose", "tail"], "kernel:0 of layer SingleInstanceConfmapsHead_0"),
        ((*HEAD, "part_names"), ["nose", "nose"], "have a node twice"),
        ((*HEAD, "output_stride"), 16, "confmaps has output_stride 16, and the network has maps of"),
        (
            ("data", "preprocessing", "imagenet_mode"),
            "tf",
            "imagenet_mode is 'tf': frames normalised",
        ),
        (("data", "preprocessing", "input_scaling"), 0, "input_scaling: input should be greater than 0"),
        (("data", "labels", "skeletons"), [], "data.labels.skeletons: "),
        (("data", "labels", "skeletons"), [{"nodes": [{"id": {"py/id": 3}}]}], "object 3, which is defined"),
        (("data", "labels", "skeletons"), [{"nodes": []}], "a skeleton has no nodes"),
        (("data",), None, "data: input should be"),
    ],
)
def test_what_cannot_be_imported_is_said_in_a_line(
    keys: tuple[Any, ...], value: Any, message: str, tmp_path: Path
) -> None:
    MODELS["single_instance"].write(tmp_path / "model")
    change(tmp_path / "model", *keys, value=value)
    told = refused(tmp_path / "model")
    assert message in told
    # The file that is to blame, or that both disagree in.
    assert re.match(rf"{re.escape(str(tmp_path))}/model/(training_config.json|best_model.h5): ", told)


def test_pooled_vectors_are_refused_without_their_pool(tmp_path: Path) -> None:
    MODELS["multi_class_topdown"].write(tmp_path / "model")
    keys = ("model", "heads", "multi_class_topdown", "class_vectors", "global_pool")
    change(tmp_path / "model", *keys, value=False)
    assert "global_pool is false: class vectors of an input of one size" in refused(tmp_path / "model")


def test_files_that_are_missing(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    MODELS["single_instance"].write(folder)
    assert is_keras_model(folder)
    (folder / "best_model.h5").unlink()
    assert refused(folder).startswith(f"{folder}: has no best_model.h5")
    assert is_keras_model(folder)
    assert not is_keras_model(tmp_path)
    assert refused(tmp_path).startswith(f"{tmp_path}: has no training_config.json")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w.pop("stack0_enc0_conv1"), "it lacks the layer stack0_enc0_conv1"),
        (lambda w: w["stack0_enc0_conv1/stack0_enc0_conv1"].pop("bias:0"), "has no bias:0"),
        (lambda w: w.create_dataset("other/other/kernel:0", data=[1.0]), "layer other is in no network"),
        (
            lambda w: w["stack0_enc0_conv1/stack0_enc0_conv1/bias:0"].write_direct(np.full(4, np.nan, "f4")),
            "are no",
        ),
        (lambda w: w.parent.pop("model_weights"), "it has no model_weights"),
    ],
)
def test_weights_of_another_network(spoil: Any, message: str, tmp_path: Path) -> None:
    MODELS["single_instance"].write(tmp_path / "model")
    with h5py.File(tmp_path / "model" / "best_model.h5", "r+") as file:
        spoil(file["model_weights"])
    told = refused(tmp_path / "model")
    assert message in told
    assert told.startswith(f"{tmp_path / 'model' / 'best_model.h5'}: ")


def test_links_to_other_files_are_not_followed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        MODELS["single_instance"].write(tmp_path / name)
    place = "model_weights/stack0_enc0_conv1"
    with h5py.File(tmp_path / "a" / "best_model.h5", "r+") as file:
        del file[place]
        file[place] = h5py.ExternalLink(str(tmp_path / "b" / "best_model.h5"), place)
    assert "is a link to elsewhere" in refused(tmp_path / "a")


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_spoilt_folders_end_in_one_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("models") / "model"
    MODELS["multi_class_topdown"].write(folder)
    path = folder / data.draw(st.sampled_from(("training_config.json", "best_model.h5")))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 20))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    told = ""
    try:
        config, tensors = read_keras_model(folder)
    except RunError as error:
        told = str(error)
    if told:
        assert "\n" not in told
        assert str(folder) in told
    else:
        assert config["model_config"]["keras"]
        assert all(value.isfinite().all() for value in tensors.values())

"""Weights move between sets of keypoints by name: laws that hold for any sets."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_core.catalog import Model, get_catalog
from pose_core.catalog.merge import merge
from pose_core.errors import ConfigError, PluginError, WeightsError
from pose_core.interfaces import KeypointAxis
from pose_core.model.aliases import match_keypoints
from pose_core.model.assemble import PoseModel
from pose_core.model.transfer import keypoint_axes, network_of, transfer
from pose_core.specs import ModelSpec
from pose_core.specs.resolve import Layer, resolve
from pose_core.structures import Skeleton

NAMES = ("nose", "tail", "left_ear", "right_ear", "hip", "knee")
UNIQUE = ("corner", "lamp")
HEADS: dict[str, dict[str, Any]] = {
    "convolution": {"deconv_layers": 0},
    "transposed": {"deconv_layers": 1},
    "two transposed": {"deconv_layers": 2, "deconv_channels": 3},
    "heatmaps only": {"deconv_layers": 1, "location_refinement": False},
}


def build(skeleton: Skeleton, seed: int, unique: bool = False, **head: Any) -> PoseModel:
    """A tiny network with all its parameters random."""
    stride = 4 if head.get("deconv_layers", 1) else 2
    heads = {"bodypart": {"type": "heatmap/heatmap", **head}}
    if unique:
        heads["unique"] = {"type": "heatmap/heatmap", "keypoints": "unique", **head}
    backbone = {"type": "unet/unet", "filters": 2, "max_stride": 8, "output_stride": stride}
    spec = ModelSpec.model_validate({"backbone": backbone, "heads": heads, "preprocess": {"scale": 1.0}})
    torch.manual_seed(seed)
    model = PoseModel(spec, skeleton).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def outputs(model: PoseModel) -> dict[str, torch.Tensor]:
    """Outputs on one image; locref as (K, 2, h, w), heatmaps as (K, 1, h, w)."""
    images = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = model(images)
    result = {}
    for head, tensors in found.items():
        for name, tensor in tensors.items():
            values = 2 if name == "locref" else 1
            result[f"{head}.{name}"] = tensor[0].unflatten(0, (-1, values))
    return result


def states_equal(one: PoseModel, other: PoseModel) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[n], theirs[n]) for n in mine)


@pytest.mark.parametrize("head", HEADS.values(), ids=list(HEADS))
def test_transfer_to_the_same_keypoints_is_a_plain_load(head: dict[str, Any]) -> None:
    skeleton = Skeleton(NAMES, unique_keypoints=UNIQUE)
    source, model = build(skeleton, 0, unique=True, **head), build(skeleton, 1, unique=True, **head)
    assert not states_equal(source, model)
    report = transfer(model, source.state_dict(), source)
    assert states_equal(source, model)
    assert report.lines == ("all 8 keypoints <- the same names",)
    assert not report.dropped


names = st.lists(st.sampled_from(NAMES), min_size=1, unique=True).map(tuple)
unique_names = st.lists(st.sampled_from(UNIQUE), min_size=1, unique=True).map(tuple)


@settings(max_examples=25)
@given(
    own=names,
    theirs=names,
    own_unique=unique_names,
    their_unique=unique_names,
    head=st.sampled_from(list(HEADS)),
)
def test_each_keypoint_computes_what_its_source_computed(
    own: tuple[str, ...],
    theirs: tuple[str, ...],
    own_unique: tuple[str, ...],
    their_unique: tuple[str, ...],
    head: str,
) -> None:
    mine, others = Skeleton(own, unique_keypoints=own_unique), Skeleton(theirs, unique_keypoints=their_unique)
    source, model = build(others, 0, unique=True, **HEADS[head]), build(mine, 1, unique=True, **HEADS[head])
    fresh = build(mine, 1, unique=True, **HEADS[head])
    report = transfer(model, source.state_dict(), source)
    fresh.backbone.load_state_dict(source.backbone.state_dict())
    for state in (source.state_dict(), fresh.state_dict()):
        # Hidden layers of the heads are taken over, whatever the keypoints.
        for name in [n for n in state if "deconv_layers.0" in n and "two" in head]:
            state[name].copy_(source.state_dict()[name])
    new, old, untouched = outputs(model), outputs(source), outputs(fresh)
    for output, tensor in new.items():
        ours, them = (own_unique, their_unique) if output.startswith("unique") else (own, theirs)
        for row, name in enumerate(ours):
            expected = old[output][them.index(name)] if name in them else untouched[output][row]
            assert torch.allclose(tensor[row], expected, rtol=1e-5, atol=1e-5), (output, name)
    assert {n: s.keypoint for n, s in report.sources.items()} == {
        **{n: n if n in theirs else None for n in own},
        **{n: n if n in their_unique else None for n in own_unique},
    }
    assert set(report.dropped) == {*theirs, *their_unique} - {*own, *own_unique}


def test_a_permutation_permutes_the_outputs_exactly() -> None:
    order = [3, 0, 5, 1, 4, 2]
    source = build(Skeleton(NAMES), 0)
    permuted = Skeleton(tuple(NAMES[i] for i in order))
    model = build(permuted, 1)
    transfer(model, source.state_dict(), source)
    for name, state in source.state_dict().items():
        if name.endswith("bias") and "locref" in name:
            assert torch.equal(model.state_dict()[name], state.view(6, 2)[order].flatten())
    mine, theirs = outputs(model), outputs(source)
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name][order], rtol=1e-6, atol=1e-6)


def test_names_are_told_from_aliases_and_regardless_of_case() -> None:
    own, source = ("Nose", "tailbase", "left_ear", "hip"), ("nose", "tail_base", "hip", "croup", "knee")
    found = match_keypoints(own, source, {"tailbase": ["dock", "TAIL_BASE"], "hip": ["croup"]}, "them")
    assert [s.line(n) for n, s in found.items()] == [
        "Nose <- nose",
        "tailbase <- tail_base (alias)",
        "left_ear: new",
        "hip <- croup (alias)",
    ]
    mine, theirs = Skeleton(own), Skeleton(source)
    model = build(mine, 1)
    source_model = build(theirs, 0)
    report = transfer(model, source_model.state_dict(), source_model, {"tailbase": ["tail_base"]})
    assert report.lines == (
        "Nose <- nose",
        "tailbase <- tail_base (alias)",
        "left_ear: new",
        "hip <- hip",
        "not used: croup, knee",
    )
    assert match_keypoints(("nose",), ("Nose", "nose"), {}, "them")["nose"].keypoint == "nose"
    with pytest.raises(ConfigError, match=r"them: keypoint 'NOSE' may be 'Nose' or 'nose' there; say which"):
        match_keypoints(("NOSE",), ("Nose", "nose"), {}, "them")


def test_a_layer_that_differs_is_new_and_the_rest_is_taken() -> None:
    mine, theirs = Skeleton(NAMES[:2]), Skeleton(NAMES)
    narrow = build(theirs, 0, deconv_layers=2, deconv_channels=3)
    wide = build(mine, 1, deconv_layers=2, deconv_channels=4)
    before = {n: t.clone() for n, t in wide.state_dict().items()}
    report = transfer(wide, narrow.state_dict(), narrow)
    assert report.lines == (
        "keypoints: all new",
        "taken: backbone",
        "new: head bodypart",
        "not used: head bodypart",
    )
    state = wide.state_dict()
    assert all(torch.equal(before[n], t) for n, t in state.items() if n.startswith("heads."))
    assert all(torch.equal(narrow.state_dict()[n], t) for n, t in state.items() if n.startswith("backbone."))
    # Shapes that are not those of the keypoints that are said.
    report = transfer(build(mine, 1), build(theirs, 0).state_dict(), build(mine, 0))
    assert report.lines[0] == "keypoints: all new"


def test_another_backbone_is_refused_and_nothing_is_loaded() -> None:
    source, model = build(Skeleton(NAMES), 0), build(Skeleton(NAMES), 1)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    # Its heads would fit.
    renamed = {n.replace("backbone.", "backbone.other."): t for n, t in source.state_dict().items()}
    with pytest.raises(WeightsError, match=r"file\.pt: fits nothing of the model's backbone \(unet/unet\)"):
        transfer(model, renamed, source, origin="file.pt")
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())


@settings(max_examples=25)
@given(data=st.data())
def test_exactly_the_layers_that_fit_are_taken(data: st.DataObject) -> None:
    source, model = build(Skeleton(NAMES), 0), build(Skeleton(NAMES), 1)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    layers = sorted({n.rpartition(".")[0] for n in before})
    lost = set(data.draw(st.lists(st.sampled_from(layers), unique=True, max_size=len(layers) - 1)))
    state = dict(source.state_dict())
    for layer in lost:
        names = [n for n in state if n.rpartition(".")[0] == layer and not n.endswith("num_batches_tracked")]
        gone = data.draw(st.sampled_from(names))
        if data.draw(st.booleans()):
            del state[gone]
        else:
            state[gone] = torch.zeros(9, 9, 9)
    if all(n.rpartition(".")[0] in lost for n in before if n.startswith("backbone.")):
        with pytest.raises(WeightsError, match="fits nothing"):
            transfer(model, state, source)
        return
    transfer(model, state, source)
    for name, tensor in model.state_dict().items():
        expected = before if name.rpartition(".")[0] in lost else source.state_dict()
        assert torch.equal(tensor, expected[name]), name


def test_heads_that_one_side_lacks_are_told() -> None:
    both, plain = Skeleton(NAMES, unique_keypoints=UNIQUE), Skeleton(NAMES)
    model = build(both, 1, unique=True)
    fresh = {n: t.clone() for n, t in model.state_dict().items() if n.startswith("heads.unique.")}
    few, many = build(plain, 0), build(both, 0, unique=True)
    report = transfer(model, few.state_dict(), few)
    assert report.lines[-4:] == (
        "corner: new",
        "lamp: new",
        "taken: backbone, head bodypart",
        "new: head unique",
    )
    assert all(torch.equal(model.state_dict()[n], t) for n, t in fresh.items())
    report = transfer(build(plain, 1), many.state_dict(), many)
    assert report.lines[-2:] == ("not used: corner, lamp", "not used: head unique")


def network_with(heads: dict[str, Any], skeleton: Skeleton, seed: int, **model: Any) -> PoseModel:
    """A tiny U-Net with these heads, all its parameters random."""
    backbone = {"type": "unet/unet", "filters": 2, "max_stride": 8, "output_stride": 4}
    spec = {"backbone": backbone, "heads": heads, "preprocess": {"scale": 1.0}, **model}
    torch.manual_seed(seed)
    network = PoseModel(ModelSpec.model_validate(spec), skeleton)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    return network


HEATMAPS = {"keypoints": {"type": "heatmap/heatmap"}}
STARTED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "paf": ({"keypoints": {"type": "paf/paf", "graph": "full"}}, {"method": "bottom_up"}, "paf_head"),
    "paf under another name": (
        {"animals": {"type": "paf/paf", "graph": "full"}},
        {"method": "bottom_up"},
        "paf_head",
    ),
    "dekr": ({"keypoints": {"type": "dekr/dekr"}}, {"method": "bottom_up"}, "head keypoints"),
    "identity": (
        {
            "keypoints": {"type": "paf/paf", "graph": "full"},
            "identity": {"type": "heatmap/identity"},
        },
        {"method": "bottom_up"},
        "head identity",
    ),
    "conditional": (
        HEATMAPS,
        {
            "method": "conditional_top_down",
            "name": "custom",
            "preprocess": {"size": [32, 32]},
            "inputs": {"conditions": "buctd/conditions"},
            "backbone": {
                "type": "buctd/prenet",
                "backbone": {"type": "unet/unet", "filters": 2, "max_stride": 8, "output_stride": 4},
            },
        },
        "backbone: image",
    ),
}


@pytest.mark.parametrize(("heads", "model", "new"), STARTED.values(), ids=list(STARTED))
def test_a_heatmap_network_starts_networks_of_other_methods(
    heads: dict[str, Any], model: dict[str, Any], new: str
) -> None:
    skeleton = Skeleton(NAMES, individuals=("a", "b"), identified=True)
    source = network_with(HEATMAPS, skeleton, 0)
    target = network_with(heads, skeleton, 1, **model)
    report = transfer(target, source.state_dict(), source)
    assert any(line.startswith("taken: backbone") for line in report.lines)
    (line,) = [line for line in report.lines if line.startswith("new: ")]
    assert new in line
    inner = target.parts()["backbone"].state_dict()
    assert all(torch.equal(tensor, inner[name]) for name, tensor in source.backbone.state_dict().items())
    own = target.state_dict()
    # Those of DEKR have a channel for the centre, and a layer of their own before.
    if "dekr" not in str(heads):
        (heatmaps,) = [n for n in own if "heatmap_head" in n and n.endswith("weight") and "identity" not in n]
        assert torch.equal(own[heatmaps], source.state_dict()[heatmaps.replace("animals", "keypoints")])
    # And back: what is beyond is left.
    again = network_with(HEATMAPS, skeleton, 2)
    transfer(again, own, target)
    assert all(torch.equal(t, again.backbone.state_dict()[n]) for n, t in inner.items())


def test_a_heatmap_network_starts_a_network_of_centres() -> None:
    source = network_with(HEATMAPS, Skeleton(NAMES), 0)
    target = network_with(HEATMAPS, Skeleton(("centre",)), 1)
    report = transfer(target, source.state_dict(), source)
    assert report.lines[:2] == ("keypoints: all new", "taken: backbone")
    assert all(
        torch.equal(tensor, target.backbone.state_dict()[name])
        for name, tensor in source.backbone.state_dict().items()
    )


def kinds_of_models() -> dict[str, Model]:
    """For each combination of neck and heads that installed models have, one model."""
    found: dict[str, Model] = {}
    for model in get_catalog().models():
        # A network of centres finds one point, whatever the keypoints are.
        if get_catalog().method(model.method).learns != "keypoints":
            continue
        layers: dict[str, Any] = {}
        for layer in model.layers:
            layers = merge(layers, layer)
        parts = [layers["model"].get("neck") or {}, *layers["model"].get("heads", {}).values()]
        found.setdefault(" ".join(str(part.get("type")) for part in parts), model)
    return {f"{model.method} {model.name}": model for model in found.values()}


@pytest.mark.parametrize("model", kinds_of_models().values(), ids=list(kinds_of_models()))
def test_whatever_depends_on_the_keypoints_says_so(model: Model) -> None:
    shapes, axes = [], []
    for keypoints, names in ((NAMES[:4], ("one", "two")), (NAMES, ("one", "two", "three"))):
        # Heads of individuals have entries of these, too.
        named: dict[str, Any] = {"individuals": names, "identified": True} if model.skeleton_needs else {}
        skeleton = Skeleton(keypoints, **named)
        data = {"skeleton": dataclasses.asdict(skeleton), "data": {"source": "nowhere"}}
        network = network_of(resolve(model, Layer(data), []).model, skeleton)
        shapes.append({name: tensor.shape for name, tensor in network.state_dict().items()})
        axes.append(set(keypoint_axes(network)))
    assert axes[0] == axes[1] == {name for name in shapes[0] if shapes[0][name] != shapes[1][name]}
    assert axes[0]


def test_a_head_that_says_wrong_axes_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(Skeleton(NAMES), 0)
    weight = "heatmap_head.deconv_layers.0.weight"
    for axes in (
        {"heatmap_head.nothing": (KeypointAxis.of(0, NAMES),)},
        {weight: (KeypointAxis.of(0, NAMES, 5),)},
        {weight: (KeypointAxis.of(1, ("wing", *NAMES[1:])),)},
    ):
        monkeypatch.setattr(type(model.heads["bodypart"]), "keypoint_axes", lambda _, axes=axes: axes)
        with pytest.raises(PluginError, match="its plugin is broken"):
            transfer(model, model.state_dict(), model)


LIMBED: dict[str, dict[str, Any]] = {
    "plain": {"deconv_layers": 1},
    "trunk": {"deconv_layers": 2, "deconv_channels": 3},
    "stages": {"deconv_layers": 2, "stages": 2, "stage_features": 4},
    "deep stages": {"deconv_layers": 1, "stages": 2, "stage_features": 4, "stage_channels": 5},
}


@settings(max_examples=20)
@given(
    own=st.lists(st.sampled_from(NAMES), min_size=2, unique=True).map(tuple),
    theirs=st.lists(st.sampled_from(NAMES), min_size=2, unique=True).map(tuple),
    head=st.sampled_from(list(LIMBED)),
)
def test_limbs_move_with_their_keypoints(own: tuple[str, ...], theirs: tuple[str, ...], head: str) -> None:
    def network(names: tuple[str, ...], seed: int) -> PoseModel:
        backbone = {"type": "unet/unet", "filters": 2, "max_stride": 8, "output_stride": 4}
        heads = {"keypoints": {"type": "paf/paf", "graph": "full", **LIMBED[head]}}
        spec = ModelSpec.model_validate(
            {"method": "bottom_up", "backbone": backbone, "heads": heads, "preprocess": {"scale": 1.0}}
        )
        torch.manual_seed(seed)
        model = PoseModel(spec, Skeleton(names, individuals=("a", "b"))).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_()
        return model

    def maps(model: PoseModel) -> dict[str, torch.Tensor]:
        image = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            return {name: tensor[0] for name, tensor in model(image)["keypoints"].items()}

    def limbs(names: tuple[str, ...]) -> list[tuple[str, str]]:
        return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]

    source, model = network(theirs, 0), network(own, 1)
    transfer(model, source.state_dict(), source)
    state, old = model.state_dict(), source.state_dict()
    if set(own) <= set(theirs) and "stages" not in head:
        new, before = maps(model), maps(source)
        for i, name in enumerate(own):
            torch.testing.assert_close(
                new["heatmap"][i], before["heatmap"][theirs.index(name)], rtol=1e-4, atol=1e-4
            )
        for i, limb in enumerate(limbs(own)):
            if limb in limbs(theirs):
                at = limbs(theirs).index(limb)
                mine, other = new["paf"][2 * i : 2 * i + 2], before["paf"][2 * at : 2 * at + 2]
                torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)
    last = [n for n in state if "paf_head" in n and n.endswith("bias")][-1]
    fresh = network(own, 1).state_dict()[last]
    for i, limb in enumerate(limbs(own)):
        expected = (
            old[last][2 * limbs(theirs).index(limb) :][:2]
            if limb in limbs(theirs)
            else fresh[2 * i : 2 * i + 2]
        )
        assert torch.equal(state[last][2 * i : 2 * i + 2], expected), limb
    if "stages" in head:
        # Channels of a stage: heatmaps, fields, features, in this order.
        weight, before = (
            state["heads.keypoints.staged.hm_ref_layers.0" + (".0" if "deep" in head else "") + ".weight"],
            (old["heads.keypoints.staged.hm_ref_layers.0" + (".0" if "deep" in head else "") + ".weight"]),
        )
        common = [name for name in own if name in theirs]
        for name in common:
            rows = (0, 0) if "deep" in head else (own.index(name), theirs.index(name))
            for other in common:
                assert torch.equal(weight[rows[0], own.index(other)], before[rows[1], theirs.index(other)])
            assert torch.equal(weight[rows[0], -4:], before[rows[1], -4:])


def test_identities_move_with_the_names_of_individuals() -> None:
    def network(individuals: tuple[str, ...], seed: int) -> PoseModel:
        skeleton = Skeleton(NAMES[:2], individuals=individuals, identified=True)
        heads = {"keypoints": {"type": "paf/paf", "graph": "full"}, "identity": {"type": "heatmap/identity"}}
        backbone = {"type": "unet/unet", "filters": 2, "max_stride": 8, "output_stride": 4}
        spec = ModelSpec.model_validate(
            {"method": "bottom_up", "backbone": backbone, "heads": heads, "preprocess": {"scale": 1.0}}
        )
        torch.manual_seed(seed)
        model = PoseModel(spec, skeleton).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_()
        return model

    # One is called as a keypoint is.
    source, model = network(("rex", "nose", "ada"), 0), network(("ada", "bo", "rex", "nose"), 1)
    last = [n for n in model.state_dict() if n.startswith("heads.identity.") and n.endswith("bias")][-1]
    fresh = model.state_dict()[last].clone()
    transfer(model, source.state_dict(), source)
    old, new = source.state_dict()[last], model.state_dict()[last]
    assert torch.equal(new, torch.stack([old[2], fresh[1], old[0], old[1]]))

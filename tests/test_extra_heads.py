"""Heads that a named model gets because the project calls for them, and their training beside the model's
own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from pose_core import hooks
from pose_core.catalog import Catalog, get_catalog
from pose_core.errors import ConfigError
from pose_core.formats.project_writing import Example, write_project
from pose_core.interfaces import Labels
from pose_core.model.assemble import PoseModel
from pose_core.plugins import PluginRecord
from pose_core.specs import RunSpec
from pose_core.specs.resolve import Layer, choose_model, parse_assignments, read_layer, resolve
from pose_core.structures import Instances, Skeleton
from pose_core.training.prepare import prepare

PLAIN: dict[str, Any] = {
    "keypoints": ["nose", "tail"],
    "edges": [["nose", "tail"]],
    "individuals": ["ann", "bob"],
}
UNIQUE = PLAIN | {"unique_keypoints": ["corner", "lamp"]}
IDENTIFIED = PLAIN | {"identified": True}
BOTH = UNIQUE | IDENTIFIED
LONE = {"keypoints": ["nose"], "unique_keypoints": ["corner"]}
TINY = ["model.backbone.filters=4", "model.backbone.max_stride=8"]


def made(
    skeleton: dict[str, Any],
    sets: Sequence[str] = (),
    name: str = "unet",
    method: str | None = None,
    user: Any = (),
) -> tuple[RunSpec, list[str]]:
    several = len(skeleton.get("individuals", ["a"])) > 1
    notes: list[str] = []
    data = Layer({"skeleton": skeleton, "data": {"source": "nowhere"}})
    spec = resolve(
        choose_model(name, several, method), data, [*user, parse_assignments([*TINY, *sets])], notes
    )
    return spec, notes


@pytest.mark.parametrize(
    ("skeleton", "name", "heads"),
    [
        (PLAIN, "unet", ["keypoints"]),
        (UNIQUE, "unet", ["keypoints", "unique_keypoints"]),
        (IDENTIFIED, "unet", ["keypoints", "identity"]),
        (BOTH, "unet", ["keypoints", "unique_keypoints", "identity"]),
        (LONE, "unet", ["keypoints", "unique_keypoints"]),
        (
            LONE | {"identified": True},
            "unet",
            ["keypoints", "unique_keypoints"],
        ),  # one animal has no namesake
        (BOTH, "top_down_unet", ["keypoints", "identity"]),  # crops
    ],
)
def test_a_model_has_the_heads_that_the_project_calls_for(
    skeleton: dict[str, Any], name: str, heads: list[str]
) -> None:
    spec, notes = made(skeleton, name=name)
    assert list(spec.model.heads) == heads  # decoded in this order: identities after the animals
    assert len(notes) == len(heads) - 1
    assert spec.model.predicts_unique() == ("unique_keypoints" in heads)
    assert spec.model.predicts_identity() == ("identity" in heads)


def test_a_note_says_what_was_added_and_how_to_refuse_it() -> None:
    assert made(BOTH)[1] == [
        f"unet/unet gets a head '{name}' ({head}) for {whom}; leave it out with "
        f'settings={{"model.heads.{name}": None}}'
        for name, head, whom in (
            ("unique_keypoints", "heatmap/heatmap", "corner, lamp"),
            ("identity", "heatmap/identity", "ann, bob"),
        )
    ]


def test_null_leaves_a_head_out_wherever_it_is_written(tmp_path: Path) -> None:
    spec, notes = made(BOTH, ["model.heads.identity=null"])
    assert list(spec.model.heads) == ["keypoints", "unique_keypoints"]
    assert len(notes) == 1
    (tmp_path / "c.yaml").write_text("model:\n  heads:\n    identity: null\n    unique_keypoints: null\n")
    spec, notes = made(BOTH, user=[read_layer(tmp_path / "c.yaml")])
    assert (list(spec.model.heads), notes) == (["keypoints"], [])
    # A later layer has the last word.
    spec, _ = made(BOTH, ["model.heads.identity={deconv_layers: 1}"], user=[read_layer(tmp_path / "c.yaml")])
    assert list(spec.model.heads) == ["keypoints", "identity"]
    # A file that is shared by projects may refuse what this one does not call for.
    assert list(made(PLAIN, ["model.heads.identity=null"])[0].model.heads) == ["keypoints"]
    # A model's own head can be left out, if another takes its place.
    own = ["model.heads.keypoints=null", "model.heads.mine={type: paf}"]
    assert list(made(PLAIN, own)[0].model.heads) == ["mine"]


def test_an_editor_knows_that_null_may_stand_in_the_place_of_a_head() -> None:
    heads = RunSpec.model_json_schema()["$defs"]["ModelSpec"]["properties"]["heads"]
    assert {"type": "null"} in heads["additionalProperties"]["anyOf"]


def test_null_that_leaves_nothing_out_is_a_slip() -> None:
    with pytest.raises(
        ConfigError, match=r"model\.heads\.identiy: no head of this name .* keypoints.*settings="
    ) as caught:
        made(BOTH, ["model.heads.identiy=null"])
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"model\.heads"):
        made(PLAIN, ["model.heads.keypoints=null"])


def test_settings_of_an_added_head_need_not_repeat_its_type() -> None:
    spec, notes = made(
        BOTH, ["model.heads.identity.deconv_layers=1", "model.heads.unique_keypoints.deconv_layers=2"]
    )
    assert spec.model.heads["identity"].deconv_layers == 1  # type: ignore[attr-defined]
    assert spec.model.heads["unique_keypoints"].keypoints == "unique"  # type: ignore[attr-defined]
    assert len(notes) == 2
    with pytest.raises(ConfigError, match=r"model\.heads\.identity\.deconv_layer:"):
        made(BOTH, ["model.heads.identity.deconv_layer=1"])


def test_a_head_of_ones_own_takes_the_place() -> None:
    spec, notes = made(UNIQUE, ["model.heads.corners={type: heatmap, keypoints: unique}"])
    assert (list(spec.model.heads), notes) == (["keypoints", "corners"], [])
    spec, notes = made(IDENTIFIED, ["model.heads.identity={type: heatmap/identity, deconv_layers: 1}"])
    assert (list(spec.model.heads), notes) == (["keypoints", "identity"], [])


def test_a_network_that_is_described_as_a_whole_is_trained_as_it_stands(tmp_path: Path) -> None:
    """The config.yaml of a run that was told to leave a head out, used again."""
    spec, _ = made(BOTH, ["model.heads.identity=null"])
    written = {"model": spec.model_dump(mode="json")["model"]}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
    again, notes = made(BOTH, user=[read_layer(tmp_path / "c.yaml")])
    assert again.model == spec.model
    assert notes == []


def test_an_added_head_uses_the_feature_map_of_the_others() -> None:
    spec, _ = made(BOTH, ["model.heads.keypoints.feature=0"])
    assert [head.feature for head in spec.model.heads.values()] == [0, 0, 0]  # type: ignore[attr-defined]


def test_first_party_plugins_are_asked_first_then_the_others_by_name() -> None:
    def record(name: str, first_party: bool, *needs: str) -> PluginRecord:
        heads = tuple(
            hooks.ExtraHead(need, need, {"type": f"{name}/x"}, ("bottom_up",), "") for need in needs
        )
        definitions = {"pose_extra_heads": heads}
        return PluginRecord(name, name, "1", "", "active", definitions=definitions, first_party=first_party)

    records = [
        record("b", True, "identity"),
        record("a", False, "identity", "unique_keypoints"),
        record("c", False),
    ]
    found = Catalog(records).extra_heads("bottom_up")
    assert {need: extra.head["type"] for need, extra in found.items()} == {
        "unique_keypoints": "a/x",
        "identity": "b/x",
    }
    assert Catalog(records).extra_heads("top_down") == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"needs": "colour"}, "unknown need 'colour'; needs are unique_keypoints, identity"),
        ({"head": {}}, "must say its component"),
        ({"name": "a/b"}, "must be a word"),
    ],
)
def test_a_malformed_extra_head_is_refused_with_the_reason(changes: dict[str, Any], said: str) -> None:
    from pose_core.plugins.definition_checks import MalformedError, check_definitions

    good = hooks.ExtraHead("corners", "unique_keypoints", {"type": "x/y"}, ("bottom_up",), "")
    check_definitions({"pose_extra_heads": (good,)})
    with pytest.raises(MalformedError, match=said):
        check_definitions({"pose_extra_heads": (replace(good, **changes),)})


def test_every_model_takes_the_extra_heads() -> None:
    """Their configs fit the feature maps of each, its own heads being there too; so do the identities of crops
    those of top-down models."""
    tried = 0
    for model in get_catalog().models():
        if model.method not in ("single_animal", "bottom_up", "top_down"):
            continue
        several = model.method != "single_animal"
        skeleton = BOTH if several else LONE
        spec = resolve(model, Layer({"skeleton": skeleton, "data": {"source": "nowhere"}}), [])
        assert spec.model.predicts_unique() == (model.method != "top_down")
        assert spec.model.predicts_identity() == several
        tried += 1
    assert tried > 5


def labels(seed: int = 0) -> Labels:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(2, 2, 2, 2, generator=generator) * 64
    return Labels.from_keypoints(
        points,
        identity=torch.tensor([[0, 1], [1, -1]]),
        unique_keypoints=torch.rand(2, 2, 2, generator=generator) * 64,
    )


@pytest.mark.parametrize("name", ["unet", pytest.param("dlcrnet_stride16_ms5", marks=pytest.mark.slow)])
def test_more_heads_change_neither_losses_nor_gradients_of_the_others(name: str) -> None:
    """(DeepLabCut 3 takes the mean over heads.) The same weights, with and without the added heads."""
    small = TINY if name == "unet" else []
    data = Layer({"skeleton": BOTH, "data": {"source": "nowhere"}})
    refused = ["model.heads.identity=null", "model.heads.unique_keypoints=null"]
    skeleton = Skeleton(
        ("nose", "tail"), (("nose", "tail"),), individuals=("ann", "bob"), identified=True,
        unique_keypoints=("corner", "lamp"),
    )  # fmt: skip
    torch.manual_seed(0)
    preset = choose_model(name, multi_animal=True)
    few = PoseModel(resolve(preset, data, [parse_assignments([*small, *refused])]).model, skeleton)
    many = PoseModel(resolve(preset, data, [parse_assignments(small)]).model, skeleton)
    missing, unexpected = many.load_state_dict(few.state_dict(), strict=False)
    assert unexpected == []
    assert {name.split(".")[1] for name in missing} == {"unique_keypoints", "identity"}
    images = torch.rand(2, 3, 64, 64)
    gradients = []
    values = []
    for model in (few, many):
        torch.manual_seed(1)
        model.train()
        losses = model.losses(model(images), labels())
        own = {key: value for key, value in losses.items() if key.startswith("keypoints.")}
        values.append({key: value.item() for key, value in own.items()})
        sum(own.values(), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
        gradients.append({key: p.grad for key, p in model.named_parameters() if p.grad is not None})
    assert values[0] == values[1]
    assert set(losses) - set(own) == {
        "unique_keypoints.heatmap",
        "unique_keypoints.locref",
        "identity.identity",
    }
    assert gradients[0].keys() == gradients[1].keys()
    for key, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], gradient, rtol=0, atol=0)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two animals that are the same in every frame, and a lamp."""
    folder = tmp_path_factory.mktemp("two") / "project"
    rng = np.random.default_rng(0)
    skeleton = Skeleton(
        ("nose", "tail"),
        (("nose", "tail"),),
        individuals=("ann", "bob"),
        identified=True,
        unique_keypoints=("lamp",),
    )
    examples = [
        Example(
            f"{number}.png",
            rng.integers(0, 255, (64, 64, 3)).astype(np.uint8),
            Instances.from_keypoints(rng.uniform(10, 50, (2, 2, 2)), identity=[0, 1]),
            unique_keypoints=np.array([[5.0, 5.0]], np.float32),
        )
        for number in range(10)
    ]
    write_project(folder, skeleton, examples, name="two")
    return folder


def test_what_training_minimises_is_the_sum_of_the_heads(project: Path) -> None:
    """Weights included, divided by nothing."""
    from pose_core.data.batches import collate
    from pose_core.model.build import build_model
    from pose_core.training.module import Training
    from pose_core.training.sampler import EpochBatches
    from pose_core.training.task import PoseTask

    task = PoseTask(prepare(project, "unet", assignments=TINY))
    model = build_model(task.prepared.spec)
    samples = task.samples(task.prepared.split.train, augment=False)
    batch = collate([samples[0, 0], samples[0, 1]])
    with torch.no_grad():
        total = Training(model, task, EpochBatches(1, 1, 0)).training_step(batch, 0)
        outputs = model(model.normalise(batch.images))
        parts = [v for n, head in model.heads.items() for v in head.loss(outputs[n], batch.labels).values()]  # type: ignore[operator]
    assert len(parts) == 6  # heatmaps, offsets and limbs; heatmaps and offsets; identities
    assert total.item() == pytest.approx(sum(v.item() for v in parts), rel=1e-4)
    assert all(v > 0 for v in parts)


def test_prepare_reports_the_added_heads_and_what_no_head_learns(project: Path) -> None:
    prepared = prepare(project, "unet", assignments=TINY)
    assert list(prepared.spec.model.heads) == ["keypoints", "unique_keypoints", "identity"]
    assert sum("gets a head" in note for note in prepared.notes) == 2
    refusing = prepare(project, "unet", assignments=[*TINY, "model.heads.identity=null"])
    assert list(refusing.spec.model.heads) == ["keypoints", "unique_keypoints"]
    assert any("finds animals, but not which of ann, bob they are" in note for note in refusing.notes)

"""What ``train.weights`` means: a name, a file, a run, none; and fine-tuning through the command."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file

from pose_core import hooks
from pose_core.catalog import Catalog, get_catalog
from pose_core.errors import ConfigError, DownloadError, PluginError, WeightsError
from pose_core.formats.project_writing import Example, write_project
from pose_core.hooks import PluginInfo, WeightSpec
from pose_core.model.assemble import PoseModel
from pose_core.model.build import build_model
from pose_core.model.detector import DetectorModel
from pose_core.model.pretrained import remote_file
from pose_core.plugins import ACTIVE, PluginRecord
from pose_core.runs import start
from pose_core.runs.run_folder import Run
from pose_core.runs.start import start_from
from pose_core.specs import AnyDetector, ModelSpec
from pose_core.structures import Instances, Skeleton
from pose_core.training.fit import train_network
from pose_core.training.options import TrainOptions
from pose_core.training.prepare import prepare


@pytest.fixture(scope="module")
def run(blob_project: Path, tiny_settings: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the tiny network, trained for an epoch on the keypoints red and green."""
    out = tmp_path_factory.mktemp("start") / "run"
    options = TrainOptions(epochs=1, device="cpu")
    train_network(prepare(blob_project, "unet", assignments=tiny_settings, options=options), out)
    return out


@pytest.fixture(scope="module")
def other_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images with the keypoints Red, blue and lime."""
    folder = tmp_path_factory.mktemp("other") / "project"
    rng = np.random.default_rng(1)

    def examples() -> Iterator[Example]:
        for number in range(6):
            image = rng.integers(90, 120, (64, 64, 3)).astype(np.uint8)
            points = rng.uniform(12, 52, (3, 2))
            for point, colour in zip(points, ((230, 30, 30), (30, 30, 230), (30, 230, 30)), strict=True):
                cv2.circle(image, [round(v) for v in point], 5, colour, -1)
            yield Example(f"{number}.png", image, Instances.from_keypoints(points[None]))

    write_project(
        folder, Skeleton(("Red", "blue", "lime"), edges=(("Red", "lime"),)), examples(), name="other"
    )
    return folder


@pytest.fixture
def model(run: Path) -> PoseModel:
    """A fresh network like that of the run."""
    torch.manual_seed(7)
    return build_model(Run.open(run).spec)


def other_model(run: Path) -> PoseModel:
    """A fresh network like that of the run, for other keypoints."""
    torch.manual_seed(7)
    return PoseModel(Run.open(run).spec.model, Skeleton(("Red", "blue", "lime")))


def offer(monkeypatch: pytest.MonkeyPatch, *specs: WeightSpec, name: str = "toy") -> Catalog:
    """A catalogue with one more plugin, which offers these weights."""
    record = PluginRecord(
        name,
        f"pose-{name}",
        "1.0",
        f"{name}.plugin",
        ACTIVE,
        info=PluginInfo(name, "a toy", "MIT", "1.0"),
        definitions={"pose_weights": specs},
    )
    catalog = Catalog([*start.get_catalog().plugins, record])
    monkeypatch.setattr(start, "get_catalog", lambda: catalog)
    return catalog


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network."""
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("POSE_OFFLINE", "1")
    return tmp_path / "cache"


def published(path: Path, name: str, fits: str, **more: Any) -> WeightSpec:
    """A spec of a file, which lies in the cache already."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    spec = WeightSpec(
        name, fits, f"https://example.org/{path.name}", digest, "CC0-1.0", "a toy, on discs", **more
    )
    place = remote_file(spec).path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(path.read_bytes())
    return spec


def equal(model: PoseModel, state: dict[str, torch.Tensor], prefix: str = "") -> bool:
    own = model.state_dict()
    return all(torch.equal(own[n], t) for n, t in state.items() if n.startswith(prefix))


def test_null_and_none_change_nothing(model: PoseModel) -> None:
    before = {n: t.clone() for n, t in model.state_dict().items()}
    assert start_from(model, None) == start_from(model, "none") == start.Start()
    assert equal(model, before)
    with pytest.raises(ConfigError, match=r"train\.aliases: .* train\.weights names none"):
        start_from(model, "none", aliases={"red": "rouge"})


def test_a_run_and_its_file_are_the_same(run: Path, model: PoseModel) -> None:
    weights = run / "weights.safetensors"
    for source in (run, weights):
        fresh = build_model(Run.open(run).spec)
        report = start_from(fresh, str(source))
        assert equal(fresh, load_file(weights))
        assert report.lines == (f"starting from the run {run}", "  all 2 keypoints <- the same names")
        assert report.provenance["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
        assert json.loads(json.dumps(report.provenance)) == report.provenance


def test_a_run_moves_to_other_keypoints(run: Path) -> None:
    fresh = other_model(run)
    report = start_from(fresh, str(run), aliases={"lime": "green"})
    assert report.lines[1:] == ("  Red <- red", "  blue: new", "  lime <- green (alias)")
    state, own = load_file(run / "weights.safetensors"), fresh.state_dict()
    assert equal(fresh, state, "backbone.")
    heatmap = next(n for n in state if "heatmap_head" in n and n.endswith("bias"))
    assert torch.equal(own[heatmap][[0, 2]], state[heatmap])
    with pytest.raises(ConfigError, match=r"train\.aliases\.lime: the weights have no keypoint 'grene'"):
        start_from(fresh, str(run), aliases={"lime": "grene"})


def test_weights_of_a_backbone_reach_it_within_a_wrapper(run: Path, tmp_path: Path) -> None:
    spec = Run.open(run).spec.model
    content = spec.model_dump(mode="json")
    wrapped = {"type": "buctd/prenet", "backbone": content["backbone"]}
    crops = {"method": "conditional_top_down", "preprocess": {"size": [64, 64]}, "name": "custom"}
    inputs = {"conditions": "buctd/conditions"}
    model = ModelSpec.model_validate({**content, **crops, "backbone": wrapped, "inputs": inputs})
    fresh = PoseModel(model, Run.open(run).spec.skeleton)
    state = load_file(run / "weights.safetensors")
    backbone = {n.removeprefix("backbone."): t for n, t in state.items() if n.startswith("backbone.")}
    save_file(backbone, tmp_path / "backbone.safetensors")
    start_from(fresh, str(tmp_path / "backbone.safetensors"))
    own = fresh.state_dict()
    assert all(torch.equal(own[f"backbone.backbone.{n}"], t) for n, t in backbone.items())


def test_files_are_told_from_their_names(run: Path, model: PoseModel, tmp_path: Path) -> None:
    state = load_file(run / "weights.safetensors")
    backbone = {n.removeprefix("backbone."): t for n, t in state.items() if n.startswith("backbone.")}
    cut = {f"backbone.{n}": t for n, t in backbone.items()}
    heads = {n: t.clone() for n, t in model.state_dict().items() if n.startswith("heads.")}
    for name, content in (
        ("bare", backbone),
        ("cut", cut),
        ("more", {**backbone, "fc.bias": torch.zeros(3)}),
    ):
        save_file(content, tmp_path / f"{name}.safetensors")
        torch.manual_seed(7)
        fresh = build_model(Run.open(run).spec)
        report = start_from(fresh, str(tmp_path / f"{name}.safetensors"))
        assert equal(fresh, state, "backbone.")
        assert equal(fresh, heads)
        assert report.lines[1:3] == ("  taken: backbone", "  new: head keypoints")
        assert report.lines[3:] == (("  not used: fc.bias",) if name == "more" else ())
    torch.save(state, tmp_path / "whole.pt")
    report = start_from(model, str(tmp_path / "whole.pt"))
    assert equal(model, state)
    assert report.lines[1] == "  all 2 keypoints in the order of the file, which does not name them"
    fresh = other_model(run)
    report = start_from(fresh, str(tmp_path / "whole.pt"))
    assert equal(fresh, state, "backbone.")
    assert report.lines[1:] == (
        "  keypoints: new where their number differs; the file does not name them (a run folder does)",
        "  taken: backbone",
        "  new: head keypoints",
        "  not used: head keypoints",
    )


def test_files_that_fit_nothing_are_refused(run: Path, model: PoseModel, tmp_path: Path) -> None:
    state = load_file(run / "weights.safetensors")
    save_file({"transformer.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(
        WeightsError, match=r"fits neither the model nor the backbone: it holds transformer\.weight"
    ):
        start_from(model, str(tmp_path / "other.safetensors"))
    first = next(name for name in state if name.startswith("backbone.") and name.endswith("weight"))
    save_file({n: t for n, t in state.items() if n != first}, tmp_path / "gap.safetensors")
    fresh = {n: t.clone() for n, t in model.state_dict().items()}
    report = start_from(model, str(tmp_path / "gap.safetensors"))
    layer = first.rpartition(".")[0]
    assert f"  new: backbone: {layer}" in report.lines, "a layer is taken whole or not at all"
    assert equal(model, {n: t for n, t in state.items() if not n.startswith(f"{layer}.")})
    assert equal(model, fresh, f"{layer}.")
    wide = {n: t.repeat(2, *[1] * (t.dim() - 1)) if t.dim() else t for n, t in state.items()}
    save_file(wide, tmp_path / "wide.safetensors")
    with pytest.raises(WeightsError, match=r"wide\.safetensors: fits nothing of the model's backbone"):
        start_from(model, str(tmp_path / "wide.safetensors"))
    for held in ({"metadata": {"epoch": 3}, "model": state}, {"config": {"a": 1}, "pose": state}):
        torch.save(held, tmp_path / "snapshot-003.pt")
        with pytest.raises(
            WeightsError,
            match=r"is a snapshot of another tool.*pose_core.import_model\(TOOL, .*snapshot-003\.pt, "
            r"out=RUN\)",
        ):
            start_from(model, str(tmp_path / "snapshot-003.pt"))
    for missing in ("nowhere.pt", "./nowhere", "/nowhere/run"):
        with pytest.raises(ConfigError, match="no such file or run folder"):
            start_from(model, missing)


def test_weights_of_a_whole_model_by_name(
    run: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = published(run / "weights.safetensors", "discs", "unet/unet", keypoints=("red", "green"))
    catalog = offer(monkeypatch, spec)
    assert [w.part for w in catalog.weights() if w.name == "discs"] == ["model"]
    for name in ("discs", "toy/discs"):
        fresh = other_model(run)
        report = start_from(fresh, name, aliases={"lime": "green"})
        assert report.lines == (
            "starting from the weights toy/discs",
            "  Red <- red",
            "  blue: new",
            "  lime <- green (alias)",
        )
        assert report.provenance["license"] == "CC0-1.0"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "discs").mkdir()
    with pytest.raises(ConfigError, match=r"write \./discs for the path, or the full name toy/discs"):
        start_from(fresh, "discs")
    with pytest.raises(
        ConfigError, match=r"no set of weights 'discz' is installed; did you mean .*discs.*such file"
    ):
        start_from(fresh, "discz")


def test_weights_of_a_backbone_by_name(
    run: Path, model: PoseModel, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = load_file(run / "weights.safetensors")
    backbone = {n.removeprefix("backbone.").upper(): t for n, t in state.items() if n.startswith("backbone.")}
    torch.save({"state_dict": backbone}, tmp_path / "upper.pth")
    module = "pose_toy_weights"
    (tmp_path / f"{module}.py").write_text(
        "def convert(tensors): return {name.lower(): tensor for name, tensor in tensors.items()}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    spec = published(tmp_path / "upper.pth", "upper", "unet/unet", converter=f"{module}:convert")
    broken = published(tmp_path / "upper.pth", "broken", "unet/unet", converter=f"{module}:nothing")
    offer(monkeypatch, spec, broken)
    start_from(model, "upper")
    assert equal(model, state, "backbone.")
    with pytest.raises(
        PluginError, match=r"converter 'pose_toy_weights:nothing' of weights 'toy/broken' does not"
    ):
        start_from(model, "broken")
    with pytest.raises(ConfigError, match=r"are of a backbone and have no keypoints"):
        start_from(model, "upper", aliases={"red": "rouge"})


def test_offline_a_name_says_what_to_download(
    model: PoseModel, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = WeightSpec("far", "unet/unet", "https://example.org/far.pt", "0" * 64, "CC0-1.0", "a toy")
    offer(monkeypatch, spec)
    with pytest.raises(DownloadError) as caught:
        start_from(model, "far")
    for part in ("https://example.org/far.pt", str(cache / "weights" / "00000000-far.pt"), "weights=none"):
        assert part in str(caught.value)


def test_detector_weights_are_for_detectors(
    model: PoseModel, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    detectors = get_catalog().components("detector")
    if not detectors:
        pytest.skip("no installed plugin offers a detector")
    empty = cache.parent / "empty.pt"
    torch.save({"a": torch.zeros(1)}, empty)
    offer(monkeypatch, published(empty, "boxes", detectors[0].full_name))
    with pytest.raises(
        ConfigError, match=r"made for a detector, not for a pose network .*stages\.NAME\.train"
    ):
        start_from(model, "boxes")


def test_a_detector_starts_from_a_file_of_the_whole_or_of_its_network(tmp_path: Path) -> None:
    names = [c.name for c in get_catalog().components("detector")]
    if not names:
        pytest.skip("no installed plugin offers a detector")
    chosen = "ssdlite" if "ssdlite" in names else names[0]
    config = TypeAdapter(AnyDetector).validate_python({"type": chosen})
    source, whole, inner = (DetectorModel(config, Skeleton(("a",))) for _ in range(3))
    torch.save(source.state_dict(), tmp_path / "whole.pt")
    torch.save(source.network.state_dict(), tmp_path / "inner.pt")
    for model, name in ((whole, "whole.pt"), (inner, "inner.pt")):
        assert start_from(model, str(tmp_path / name)).lines == (f"starting from the file {tmp_path / name}",)
        assert all(torch.equal(t, source.state_dict()[n]) for n, t in model.state_dict().items())
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="fits neither the model nor the detector"):
        start_from(whole, str(tmp_path / "other.pt"))
    with pytest.raises(ConfigError, match="of a detector have no keypoints"):
        start_from(whole, str(tmp_path / "whole.pt"), aliases={"a": "b"})


def test_the_model_of_a_run_is_taken_over(run: Path, other_project: Path) -> None:
    options = TrainOptions(weights=str(run), device="cpu")
    spec = prepare(other_project, options=options).spec
    mine = Run.open(run).spec
    assert spec.model == mine.model
    assert spec.skeleton.keypoints == ("Red", "blue", "lime")
    changed = prepare(other_project, options=options, assignments=["model.preprocess.scale=0.5"]).spec
    assert changed.model.preprocess.scale == 0.5
    assert changed.model.backbone == mine.model.backbone
    own = prepare(other_project, "unet", options=options).spec
    assert own.model.backbone != mine.model.backbone, "a model that is named is taken as it is"


def test_the_project_on_the_command_line_wins(run: Path, other_project: Path, blob_project: Path) -> None:
    prepared = prepare(other_project, config=run / "config.yaml")
    spec = prepared.spec
    assert Path(spec.data.source) == other_project.resolve()
    assert spec.skeleton.keypoints == ("Red", "blue", "lime")
    assert spec.skeleton.edges == (("Red", "lime"),)
    assert spec.model == Run.open(run).spec.model
    assert any(n.startswith("data.source, skeleton.keypoints: taken from ") for n in prepared.notes)
    again = prepare(blob_project, config=run / "config.yaml")
    assert again.spec == Run.open(run).spec
    assert not any("taken from" in note for note in again.notes)


def test_fine_tuning_through_the_command(pose: Any, run: Path, other_project: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    options = ["--epochs", "1", "--device", "cpu", "--set", "train.aliases.lime=green"]
    process = pose("train", other_project, "--weights", run, "--out", out, *options)
    assert process.returncode == 0, process.stderr
    lines = process.stderr.splitlines()
    at = lines.index(f"starting from the run {run}")
    assert lines[at + 1 : at + 4] == ["  Red <- red", "  blue: new", "  lime <- green (alias)"]
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["model"]["backbone"]["filters"] == 4
    assert config["model"]["preprocess"]["scale"] == 1
    assert json.loads((out / "provenance.json").read_text())["weights"]["path"] == str(
        run / "weights.safetensors"
    )
    more = ["--epochs", "2", *options[2:]]
    process = pose("train", other_project, "--weights", run, "--out", out, *more, "--resume")
    assert process.returncode == 0, process.stderr
    assert "starting from" not in process.stderr
    assert json.loads((out / "provenance.json").read_text())["weights"]["path"] == str(
        run / "weights.safetensors"
    )


TOY = """
from pose_core.hooks import PluginInfo, WeightSpec, hookimpl

@hookimpl
def pose_plugin_info():
    return PluginInfo(namespace="toyweights", summary="toy", license="MIT", hook_api="1.0")

@hookimpl
def pose_weights():
    yield WeightSpec("discs", "unet/unet", "https://example.org/discs.safetensors", "0123456789", "CC0-1.0", "a toy",
                     keypoints=("red", "green"))
"""


@pytest.mark.long
def test_the_command_lists_and_refuses(pose: Any, blob_project: Path, tmp_path: Path) -> None:
    (tmp_path / "toy_weights_plugin.py").write_text(TOY)
    about = tmp_path / "toy_weights_plugin-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: toy-weights-plugin\nVersion: 1.0\nAuthor: me\n"
    )
    (about / "entry_points.txt").write_text(f"[{hooks.ENTRY_POINT_GROUP}]\ntoyweights = toy_weights_plugin\n")
    env = {"PYTHONPATH": str(tmp_path), "POSE_CACHE": str(tmp_path / "cache"), "POSE_OFFLINE": "1"}
    path = tmp_path / "cache" / "weights" / "01234567-discs.safetensors"
    rows = {row["full_name"]: row for row in json.loads(pose("weights", "--json", env=env).stdout)}
    row = rows["toyweights/discs"]
    assert (row["fits"], row["part"], row["license"]) == ("unet/unet", "model", "CC0-1.0")
    assert (row["path"], row["here"], row["bytes"]) == (str(path), False, None)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    (line,) = (line for line in pose("weights", env=env).stdout.splitlines() if line.startswith("discs "))
    assert "0 MB" in line
    assert str(path) in line
    arguments = ["train", blob_project, "--model", "unet", "--out", tmp_path / "run", "--weights", "discs"]
    path.unlink()
    line = pose.refuses(*arguments, env=env)
    for part in ("https://example.org/discs.safetensors", str(path), "--weights none"):
        assert part in line
    assert not (tmp_path / "run").exists()

"""Published trained networks: listed, downloaded once, used by name wherever a run is, and refused in one line."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import zoo_files
from throw_away_plugins import install, with_site
from tiny_run import make_run

from pose_core.catalog import Catalog, ZooEntry, get_catalog
from pose_core.errors import ConfigError, DownloadError, RunError
from pose_core.model.assemble import PoseModel
from pose_core.model.pretrained import locate_network
from pose_core.plugins.definition_checks import MalformedError, check_definitions
from pose_core.prediction.estimator import load
from pose_core.runs.importing import import_model, import_published
from pose_core.runs.run_folder import Run
from pose_core.runs.start import check_weights, run_of, start_from
from pose_core.runs.zoo import find_run
from pose_core.specs import DetectorRunSpec
from pose_core.structures import Skeleton

QUADRUPED = "superanimal_quadruped"
SMALL, DETECTOR = f"{QUADRUPED}/rtmpose_s", f"{QUADRUPED}/ssdlite"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files of the zoo of random weights, as on Hugging Face's hub; read-only."""
    folder = tmp_path_factory.mktemp("hub")
    for network in ("rtmpose_s", "ssdlite"):
        zoo_files.write_file(folder, QUADRUPED, network)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; nothing of another program, and no network by default."""
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hugging_face"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("POSE_OFFLINE", "1")
    for variable in (
        "HF_HUB_OFFLINE",
        "HF_HUB_CACHE",
        "HF_ENDPOINT",
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def asked(hub: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The hub is reached; gives the paths that were asked for."""
    with zoo_files.serve(hub) as (address, paths):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.delenv("POSE_OFFLINE")
        yield paths


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "dog.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (160, 120))
    rng = np.random.default_rng(0)
    for _ in range(2):
        writer.write(rng.integers(0, 256, (120, 160, 3), np.uint8))
    writer.release()
    return path


def entry_of(name: str) -> ZooEntry:
    entry = get_catalog().zoo_network(name)
    assert entry is not None
    return entry


def hub_file(hub: Path, name: str) -> Path:
    (found,) = hub.rglob(f"{name.replace('/', '_')}.pt")
    return found


def put_by_hand(hub: Path, name: str) -> Path:
    """Put a file where the message of an offline computer says."""
    place = locate_network(entry_of(name)).path
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(hub_file(hub, name), place)
    return place


def test_the_zoo_is_listed_with_source_licence_and_keypoints(pose: Any) -> None:
    done = pose("weights", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout) if row["name"].startswith("superanimal")}
    assert len(rows) == 16
    counts = {name: len(row["keypoints"]) for name, row in rows.items() if row["part"] == "pose network"}
    assert counts == {
        "superanimal_topviewmouse/hrnet_w32": 27,
        "superanimal_topviewmouse/resnet_50": 27,
        "superanimal_quadruped/hrnet_w32": 39,
        "superanimal_quadruped/resnet_50": 39,
        "superanimal_quadruped/rtmpose_s": 39,
        "superanimal_bird/resnet_50": 42,
        "superanimal_humanbody/rtmpose_x": 17,
    }
    row = rows["superanimal_quadruped/hrnet_w32"]
    assert row["url"] == (
        "https://huggingface.co/mwmathis/DeepLabCutModelZoo-SuperAnimal-Quadruped/resolve/main/"
        "superanimal_quadruped_hrnet_w32.pt"
    )
    assert "non-commercial" in row["license"]
    assert (row["here"], row["bytes"]) == (False, None)
    assert rows["superanimal_humanbody/rtmpose_x"]["url"].endswith(
        "/DeepLabCut/HumanBody/resolve/main/rtmpose-x_simcc-body7.pt"
    )
    table = pose("weights").stdout.splitlines()
    (line,) = [line for line in table if line.startswith("superanimal_bird/resnet_50 ")]
    assert " 42 " in line
    assert " ? " in line


def test_a_name_predicts_and_is_downloaded_once(
    pose: Any, hub: Path, asked: list[str], video: Path, cache: Path, tmp_path: Path
) -> None:
    done = pose("predict", SMALL, video, "--detector", "ssdlite", "--out", "first", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "superanimal_quadruped/rtmpose_s: trained on Quadruped-80K" in done.stderr
    assert "licence of the weights: modified MIT" in done.stderr
    assert [path.rpartition("/")[2] for path in asked] == [
        "superanimal_quadruped_rtmpose_s.pt",
        "superanimal_quadruped_ssdlite.pt",
    ]
    # The second time from the cache, by the full names, in Python, and without a network.
    os.environ["POSE_OFFLINE"] = "1"
    estimator = load(SMALL, "cpu", detector=DETECTOR)
    image = np.random.default_rng(0).integers(0, 256, (1, 120, 160, 3), np.uint8)
    (frame,) = estimator.predict(image)
    assert frame.instances.keypoints.shape == (10, 39, 2)
    assert np.isfinite(frame.instances.keypoints).all()
    assert len(asked) == 2
    done = pose(
        "predict", f"deeplabcut/{SMALL}", video, "--detector", DETECTOR, "--out", "second", "--device", "cpu"
    )
    assert done.returncode == 0, done.stderr
    assert "licence" not in done.stderr
    assert (tmp_path / "first" / "dog.parquet").read_bytes() == (
        tmp_path / "second" / "dog.parquet"
    ).read_bytes()
    assert not [path for path in cache.rglob("*") if path.name.endswith((".new", ".part"))]


def test_what_was_put_there_by_hand_is_used_and_may_be_replaced(hub: Path) -> None:
    place = put_by_hand(hub, SMALL)
    run = Run.open(SMALL)
    assert run.spec.skeleton.num_keypoints == 39
    assert run.provenance["weights"]["license"].startswith("modified MIT")
    # Without the run, the file is asked again, and is another one now.
    shutil.rmtree(run.path)
    place.write_bytes(hub_file(hub, DETECTOR).read_bytes())
    with pytest.raises(RunError, match=r"is not the network superanimal_quadruped/rtmpose_s: "):
        Run.open(SMALL)


def test_offline_says_what_to_download_to_where(pose: Any, video: Path) -> None:
    done = pose("predict", f"{QUADRUPED}/hrnet_w32", video, "--out", "never")
    assert done.returncode == 2
    entry = entry_of(f"{QUADRUPED}/hrnet_w32")
    assert done.stderr.splitlines()[-1] == (
        f"error: cannot download the network {QUADRUPED}/hrnet_w32 (POSE_OFFLINE is set): download "
        f"{entry.definition.url} by other means to {locate_network(entry).path}, or name a run folder"
    )
    assert "licence of the weights" in done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            f"{QUADRUPED}/hrnet_w23",
            r"the networks of superanimal_quadruped are .*did you mean \S+/hrnet_w32\?",
        ),
        (
            "superanimal_quadrupet/hrnet_w32",
            r"no such run folder; did you mean superanimal_quadruped/hrnet_w32",
        ),
        ("runs/mouse", r"runs/mouse: no such run folder; pose_core\.train\("),
    ],
)
def test_names_that_nobody_publishes_are_answered_with_those_that_are_near(name: str, message: str) -> None:
    with pytest.raises(RunError, match=message) as caught:
        Run.open(name)
    assert "\n" not in str(caught.value)


def test_a_detector_is_no_pose_network_and_nothing_is_downloaded_for_it() -> None:
    with pytest.raises(
        RunError, match=r"superanimal_quadruped/ssdlite: is a detector, not a pose network; of its"
    ):
        load(DETECTOR, "cpu")
    with pytest.raises(RunError, match="no such run folder"):
        Run.open("superanimal_quadruped/ssdlite/more")


def test_without_a_detector_those_of_the_zoo_are_named(hub: Path) -> None:
    put_by_hand(hub, SMALL)
    with pytest.raises(ConfigError, match=r"add boxes=FILE or detector=fasterrcnn_mob\S+ or \S+ or ssdlite$"):
        load(SMALL, "cpu")


def test_a_file_with_another_network_is_refused_and_leaves_nothing(hub: Path, cache: Path) -> None:
    place = put_by_hand(hub, SMALL)
    other = locate_network(entry_of(f"{QUADRUPED}/hrnet_w32")).path
    place.rename(other)
    with pytest.raises(RunError, match=r"is not the network superanimal_quadruped/hrnet_w32: ") as caught:
        Run.open(f"{QUADRUPED}/hrnet_w32")
    assert "\n" not in str(caught.value)
    assert not list(cache.rglob("config.yaml"))
    other.write_bytes(place.parent.joinpath(other.name).read_bytes()[:5000])
    with pytest.raises(RunError, match="is not a file of weights, or is damaged"):
        Run.open(f"{QUADRUPED}/hrnet_w32")


def test_half_a_download_is_said(hub: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{os.environ['HF_ENDPOINT']}/nowhere")
    with pytest.raises(DownloadError, match=r"the server answers 404 .*: download http\S+/nowhere/mwmathis/"):
        Run.open(SMALL)


def test_a_folder_of_that_name_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / QUADRUPED / "rtmpose_s")
    assert Run.open(SMALL).spec.skeleton.num_keypoints == 2


def test_a_file_is_imported_by_its_name_alone(pose: Any, hub: Path, tmp_path: Path) -> None:
    detector = hub_file(hub, DETECTOR)
    done = pose("import", "deeplabcut", hub_file(hub, SMALL), "--detector", detector, "--out", "run")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == (
        "rtmpose/rtmpose_s, 6.06 million parameters, 39 keypoints, with detector torchvision/ssdlite"
    )
    run = Run.open(tmp_path / "run")
    assert set(run.stages) == {"detector"}
    assert run.provenance["weights"]["name"] == f"deeplabcut/{SMALL}"
    assert run.stages["detector"].provenance["weights"]["name"] == f"deeplabcut/{DETECTOR}"
    listed = pose("licenses", "run", "--json")
    assert {row["license"] for row in json.loads(listed.stdout) if row["what"] == "weights"} == {
        "modified MIT: academic, non-commercial use only"
    }
    done = pose("import", "deeplabcut", detector, "--out", "finder")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("next: pose predict RUN VIDEO --detector finder --out FOLDER\n")
    assert isinstance(Run.open(tmp_path / "finder").spec, DetectorRunSpec)


def test_a_renamed_file_is_told_by_its_project(hub: Path, tmp_path: Path) -> None:
    file = tmp_path / "from-a-friend.pt"
    shutil.copy(hub_file(hub, SMALL), file)
    with pytest.raises(RunError, match=r"has no pytorch_config\.yaml beside it"):
        import_model("deeplabcut", file, tmp_path / "none")
    made = import_model("deeplabcut", file, tmp_path / "run", project=QUADRUPED)
    assert made.run.provenance["weights"]["name"] == f"deeplabcut/{SMALL}"
    assert import_model("deeplabcut", file, tmp_path / "same", project=SMALL).parameters == made.parameters
    with pytest.raises(
        RunError, match=r"is none of superanimal_topviewmouse/hrnet_w32, superanimal_topviewmouse/res"
    ):
        import_model("deeplabcut", file, tmp_path / "mouse", project="superanimal_topviewmouse")
    with pytest.raises(ConfigError, match=r"project=superanimal_dog: no zoo has files .* in such a project"):
        import_model("deeplabcut", file, tmp_path / "dog", project="superanimal_dog")
    with pytest.raises(ConfigError, match="says what the file is, and config does, too; give one"):
        import_model("deeplabcut", file, tmp_path / "two", project=QUADRUPED, config=file)
    assert not (tmp_path / "mouse").exists()


def test_several_scales_are_tried_by_a_setting(hub: Path, tmp_path: Path) -> None:
    put_by_hand(hub, SMALL)
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("frame,x1,y1,x2,y2,score\n0,20,20,90,80,1\n0,60,30,150,110,1\n")
    image = np.random.default_rng(0).integers(0, 256, (1, 120, 160, 3), np.uint8)

    def found(*scales: float) -> Any:
        settings = {"inference.stages.crops.scales": list(scales), "inference.stages.crops.duplicate": None}
        (frame,) = load(SMALL, "cpu", boxes=boxes, settings=settings).predict(image)
        return frame.instances

    alone = [found(scale) for scale in (1.0, 1.5)]
    both = found(1.0, 1.5)
    means = np.stack([one.keypoint_scores.mean(1) for one in alone])
    # Animals are in the order of their scores, which the best scale of each decides.
    best = np.sort(means.max(0))
    np.testing.assert_allclose(np.sort(both.keypoint_scores.mean(1)), best, rtol=1e-4)
    assert not np.allclose(means[0], means[1])


def test_a_training_starts_from_a_network_of_the_zoo_by_name(hub: Path) -> None:
    put_by_hand(hub, SMALL)
    run = Run.open(SMALL)
    assert run_of(SMALL) == run.path
    check_weights(SMALL, "--weights")
    model = PoseModel(run.spec.model, Skeleton(("tail", "nose", "paw")))
    start = start_from(model, SMALL, aliases={"tail": "tail_base"})
    assert start.lines[0] == f"starting from the network {SMALL}"
    assert "  nose <- nose" in start.lines
    assert "  tail <- tail_base (alias)" in start.lines
    assert start.provenance["license"] == "modified MIT: academic, non-commercial use only"
    assert start.provenance["zoo"] == QUADRUPED
    theirs = run.read_weights()["heads.keypoints.final_layer.weight"]
    torch.testing.assert_close(model.state_dict()["heads.keypoints.final_layer.weight"][1], theirs[0])
    with pytest.raises(ConfigError, match=r"train\.weights: the network \S+/ssdlite: made for a detector"):
        start_from(model, DETECTOR)


def test_licences_are_told_before_anything_is_downloaded(pose: Any) -> None:
    done = pose("licenses", SMALL, "--json")
    assert done.returncode == 0, done.stderr
    (row,) = [row for row in json.loads(done.stdout) if row["what"] == "weights"]
    assert row["name"] == f"deeplabcut/{SMALL}"
    assert "non-commercial" in row["license"]
    cited = pose("cite", SMALL)
    assert "ye2024superanimal" in cited.stdout, cited.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", [e.name for e in get_catalog().zoo() if e.definition.importer])
def test_every_network_of_the_zoo_becomes_a_run(name: str, tmp_path: Path) -> None:
    entry = entry_of(name)
    published = entry.definition
    file = zoo_files.write_file(tmp_path, published.project, published.network)
    made = import_published(entry, file, tmp_path / "run")
    if published.trains == "boxes":
        assert isinstance(made.run.spec, DetectorRunSpec)
        return
    assert made.run.spec.skeleton.keypoints == published.keypoints
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("frame,x1,y1,x2,y2,score\n0,20,20,90,80,1\n")
    image = np.random.default_rng(0).integers(0, 256, (1, 120, 160, 3), np.uint8)
    (frame,) = load(tmp_path / "run", "cpu", boxes=boxes).predict(image)
    assert frame.instances.keypoints.shape == (1, len(published.keypoints), 2)


@pytest.mark.slow
def test_people_are_found_by_a_detector_of_coco(tmp_path: Path) -> None:
    entry = entry_of("superanimal_humanbody/fasterrcnn_mobilenet_v3_large_fpn")
    torch.manual_seed(0)
    network = zoo_files.make_detector("fasterrcnn_mobilenet_v3_large_fpn", 91)
    torch.save(network.state_dict(), tmp_path / "coco.pth")
    made = import_published(entry, tmp_path / "coco.pth", tmp_path / "run")
    assert isinstance(made.run.spec, DetectorRunSpec)
    image = torch.rand(1, 3, 120, 160, generator=torch.Generator().manual_seed(1))
    boxes, _ = made.run.load_model().network(image)
    with torch.inference_mode():
        (theirs,) = network.eval()(image)
    kept = theirs["boxes"][theirs["scores"] > 0.6]
    assert len(kept)
    assert set(theirs["labels"].tolist()) == {1}
    torch.testing.assert_close(boxes[0, : len(kept)], kept[: boxes.shape[1]])


@pytest.mark.long
def test_a_strangers_zoo_is_rows_and_files(pose: Any, tmp_path: Path) -> None:
    make_run(tmp_path / "trained", seed=3)
    served = tmp_path / "served"
    served.mkdir()
    shutil.copy(tmp_path / "trained" / "weights.safetensors", served / "model.safetensors")
    with zoo_files.serve(served) as (address, asked):
        plugin = (
            "from pose_core.hooks import PluginInfo, ZooNetwork, hookimpl\n"
            "@hookimpl\n"
            "def pose_plugin_info():\n"
            "    return PluginInfo('mylab', 'A zoo', 'MIT', '1.0')\n"
            "@hookimpl\n"
            "def pose_zoo():\n"
            f"    yield ZooNetwork('mylab_mice', 'tiny', '{address}/model.safetensors', 'CC0-1.0', 'two mice',\n"
            "                     description_file='pose_mylab:tiny.yaml', keypoints=('nose', 'tail'))\n"
        )
        description = (tmp_path / "trained" / "config.yaml").read_text()
        install(tmp_path, "mylab", "mylab", {"plugin.py": plugin, "tiny.yaml": description})
        env = {**with_site(tmp_path), "POSE_OFFLINE": ""}
        images = tmp_path / "images"
        images.mkdir()
        cv2.imwrite(str(images / "a.png"), np.zeros((48, 64, 3), np.uint8))
        done = pose("predict", "mylab_mice/tiny", images, "--out", "out", "--device", "cpu", env=env)
        assert done.returncode == 0, done.stderr
        assert "mylab_mice/tiny: trained on two mice; licence of the weights: CC0-1.0" in done.stderr
        again = pose("predict", tmp_path / "trained", images, "--out", "own", "--device", "cpu", env=env)
        assert again.returncode == 0, again.stderr
        assert asked == ["/model.safetensors"]
    rows = {row["name"]: row for row in json.loads(pose("weights", "--json", env=env).stdout)}
    assert rows["mylab_mice/tiny"]["here"]
    assert Path(rows["mylab_mice/tiny"]["path"]).name == "mylab_mice_tiny-model.safetensors"
    first, second = (pd.read_parquet(tmp_path / out / "images.parquet") for out in ("out", "own"))
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "a/b"}, "project and network must be words without '/'"),
        ({"trains": "tails"}, "must be poses or boxes, not 'tails'"),
        ({"description": {}}, "must have a description or a description_file, and not both"),
        ({"importer": {"name": "x"}}, "must say its component"),
        ({"converter": "nothing"}, "must be 'package.module:function'"),
        ({"size": -1}, "must be a whole number"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused(change: dict[str, Any], message: str) -> None:
    row = dataclasses.replace(entry_of(SMALL).definition, **change)
    with pytest.raises(MalformedError, match=message):
        check_definitions({"pose_zoo": (row,)})
    with pytest.raises(MalformedError, match="is defined twice"):
        check_definitions({"pose_zoo": (entry_of(SMALL).definition,) * 2})


def test_a_run_that_is_there_is_used(hub: Path) -> None:
    put_by_hand(hub, SMALL)
    first = find_run(SMALL)
    assert first is not None
    assert find_run(f"deeplabcut/{SMALL}") == first
    assert [path.name for path in first.parent.iterdir() if path.is_dir()] == [first.name]


def test_the_plugin_of_a_network_that_is_not_installed_is_named() -> None:
    without = Catalog([record for record in get_catalog().plugins if record.name != "deeplabcut"])
    assert without.zoo_network(SMALL) is None
    assert "pip install ./plugins/deeplabcut" in without.advice_on_zoo(SMALL)

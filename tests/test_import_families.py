"""Models of each family of DeepLabCut, of projects of one and of several animals, become runs that evaluate,
predict and train on; their weights come through any wrapper, and only if they are numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from deeplabcut_families import FAMILIES
from deeplabcut_models import description, detector_description, detector_network, save_detector, weights
from torch import Tensor

import pose_core
from pose_core.errors import RunError
from pose_core.evaluation.run import evaluate
from pose_core.model.weights import save_weights
from pose_core.runs.importing import import_model
from pose_core.runs.run_folder import WEIGHTS, Run

SIDE = 96


def write_project(folder: Path, individuals: int) -> Path:
    """A labelled project: of several animals, or, with 0, a single-animal one."""
    place = folder / "labeled-data" / "clip"
    place.mkdir(parents=True)
    names = [f"mouse{i}" for i in range(individuals)]
    columns = [(n, part) for n in names or [""] for part in ("nose", "tail")]
    head = ["scorer" + ",me" * (2 * len(columns))]
    if names:
        head.append("individuals" + "".join(f",{n},{n}" for n, _ in columns))
    head.append("bodyparts" + "".join(f",{p},{p}" for _, p in columns))
    head.append("coords" + ",x,y" * len(columns))
    rng = np.random.default_rng(0)
    for number in range(8):
        image = rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8)
        cv2.imwrite(str(place / f"img{number}.png"), image)
        points = rng.uniform(10, SIDE - 10, 2 * len(columns)).round(1)
        head.append(f"labeled-data/clip/img{number}.png," + ",".join(map(str, points)))
    (place / "CollectedData_me.csv").write_text("\n".join(head) + "\n")
    config: dict[str, Any] = {"Task": "t", "scorer": "me", "date": "d", "skeleton": [["nose", "tail"]]}
    config |= (
        {
            "multianimalproject": True,
            "individuals": names,
            "multianimalbodyparts": ["nose", "tail"],
            "uniquebodyparts": [],
            "bodyparts": "MULTI!",
        }
        if names
        else {"multianimalproject": False, "bodyparts": ["nose", "tail"]}
    )
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def save(folder: Path, content: dict[str, Any], state: dict[str, Tensor]) -> Path:
    folder.mkdir(parents=True)
    (folder / "pytorch_config.yaml").write_text(yaml.safe_dump(content))
    torch.save({"metadata": {"epoch": 3}, "model": state}, folder / "snapshot-003.pt")
    return folder / "snapshot-003.pt"


METHODS = {
    "heatmaps": "single_animal",
    "top_down": "top_down",
    "affinity_fields": "bottom_up",
    "dekr": "bottom_up",
}


# One of each in the fast tests: a single-animal project, one of several that has one, and one that has two.
FAST = {("dekr", 0), ("affinity_fields", 1), ("top_down", 2)}
CASES = [
    pytest.param(family, individuals, marks=[] if (family, individuals) in FAST else pytest.mark.slow)
    for family in FAMILIES
    for individuals in (0, 1, 2)
    # DeepLabCut has no models of heatmaps alone for several animals.
    if (family, individuals) != ("heatmaps", 2)
]


@pytest.mark.long
@pytest.mark.parametrize(("family", "individuals"), CASES)
def test_an_imported_model_evaluates_predicts_and_trains_on(
    family: str, individuals: int, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project", individuals)
    content, state = FAMILIES[family](max(1, individuals))
    if individuals == 0:
        content["metadata"]["individuals"] = ["animal"]
    snapshot = save(tmp_path / "train", content, state)
    run = import_model("deeplabcut", snapshot, tmp_path / "run", data=project).run
    assert run.spec.model.method == METHODS[family]
    assert run.spec.skeleton.individuals == (
        ("animal",) if individuals == 0 else tuple(f"mouse{i}" for i in range(individuals))
    )
    result = evaluate(tmp_path / "run", "all", device="cpu")
    assert result.counts.images == 8
    image = cv2.imread(str(project / "labeled-data" / "clip" / "img0.png"))
    if family != "top_down":
        (frame,) = pose_core.load(tmp_path / "run", "cpu").predict(image[None])
        assert frame.missing is None
    trained = pose_core.train(
        project, weights=str(tmp_path / "run"), out=tmp_path / "on", epochs=1, batch_size=2, device="cpu"
    )
    assert trained.finished
    assert trained.spec.model.method == METHODS[family]  # type: ignore[union-attr]


WRAPPERS = ["module.", "_orig_mod.", "model.", "module._orig_mod.", "net.model.module.", "_orig_mod.module."]


def wrapped(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize("prefix", WRAPPERS)
def test_wrappers_of_a_snapshot_leave_no_trace(prefix: str, tmp_path: Path) -> None:
    content = description(top_down=True)
    content["detector"] = detector_description()
    state, network = weights(content), detector_network()
    plain = save(tmp_path / "plain", content, state)
    detector = save_detector(tmp_path / "plain", network)
    other = save(tmp_path / "other", content, wrapped(state, prefix))
    theirs = torch.load(detector, weights_only=True)
    torch.save({**theirs, "model": wrapped(theirs["model"], prefix)}, tmp_path / "other" / detector.name)
    for snapshot in (plain, other):
        import_model(
            "deeplabcut", snapshot, snapshot.parent / "run", detector=snapshot.parent / detector.name
        )
    for part in ("", "stages/detector/"):
        files = [tmp_path / name / "run" / part / WEIGHTS for name in ("plain", "other")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_parts_wrapped_one_by_one_and_averaged_models_come_through(tmp_path: Path) -> None:
    content = description()
    state = weights(content)
    compiled = {name.replace("backbone.", "backbone._orig_mod."): tensor for name, tensor in state.items()}
    averaged = {"n_averaged": torch.tensor(5), **wrapped(compiled, "module.")}
    parallel = {name.replace("heads.bodypart.", "heads.bodypart.module."): t for name, t in state.items()}
    expected = None
    for number, variant in enumerate((state, compiled, averaged, parallel)):
        snapshot = save(tmp_path / str(number), content, variant)
        run = import_model("deeplabcut", snapshot, tmp_path / str(number) / "run").run
        content_of_run = (run.path / WEIGHTS).read_bytes()
        assert expected in (None, content_of_run)
        expected = content_of_run


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("part", ["pose", "detector"])
def test_weights_that_are_no_numbers_are_refused_with_their_file(
    value: float, part: str, tmp_path: Path
) -> None:
    content = description(top_down=True)
    content["detector"] = detector_description()
    state, network = dict(weights(content)), detector_network()
    snapshot = save(tmp_path / "train", content, state)
    detector = save_detector(tmp_path / "train", network)
    spoilt = snapshot if part == "pose" else detector
    saved = torch.load(spoilt, weights_only=True)
    name = list(saved["model"])[-1 if part == "pose" else 0]
    saved["model"][name] = saved["model"][name].clone().fill_(value)
    torch.save(saved, spoilt)
    with pytest.raises(RunError) as caught:
        import_model("deeplabcut", snapshot, tmp_path / "run", detector=detector)
    assert str(caught.value).startswith(f"{spoilt}: weight {name} holds values that are NaN or infinite")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_run_whose_weights_are_no_numbers_says_so(tmp_path: Path) -> None:
    content = description()
    run = import_model(
        "deeplabcut", save(tmp_path / "train", content, weights(content)), tmp_path / "run"
    ).run
    state = run.read_weights()
    name = next(iter(state))
    state[name] = state[name] * float("nan")
    digest = save_weights(run.path / WEIGHTS, state)
    run.update_metrics(weights_sha256=digest)
    with pytest.raises(RunError, match=rf"{WEIGHTS}: weight {name} holds values that are NaN or infinite"):
        Run.open(run.path).load_model()

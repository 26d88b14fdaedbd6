"""An imported model knows which images it was trained on, by the shuffle in whose folder it lies."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

from deeplabcut_shuffles import make_project, make_trained

from pose_core.data.projects import read_project
from pose_core.evaluation.run import evaluate
from pose_core.runs.importing import import_model
from pose_core.runs.split_images import find_learned, split_images

TRAIN, TEST = [5, 0, 1, 2, 4, 7], [3, 6]


def names(rows: list[int]) -> list[str]:
    return [f"labeled-data/clip/img{row}.png" for row in rows]


def test_the_test_images_of_the_shuffle_are_measured(tmp_path: Path) -> None:
    project = tmp_path / "project"
    model = make_trained(project, TRAIN, TEST)
    imported = import_model("deeplabcut", model.snapshot, tmp_path / "run")
    run = imported.run
    assert run.provenance["split"] == {"train": names(TRAIN), "validation": [], "test": names(TEST)}
    assert run.provenance["imported"]["shuffle"] == "iteration-0/trainset75shuffle1"
    assert any("trained on 6 images, 2 held out" in note for note in imported.notes)
    result = evaluate(run, device="cpu")
    assert result.split == "test"
    assert result.counts.images == 2
    assert any("which labels the network was trained on is not known" in note for note in result.notes)

    # In a copy of the project the same images are known again, in another with the same names none is.
    shutil.copytree(project, tmp_path / "copy")
    learned = find_learned(run, read_project(tmp_path / "copy"), tmp_path / "copy")
    assert sorted(learned) == sorted(TRAIN)
    other = make_project(tmp_path / "other", 8, seed=1)
    assert "trained on none of them" in split_images(run, "all", other).notes[0]


def test_a_shuffle_that_cannot_be_read_is_named_and_its_pickle_does_not_run(tmp_path: Path) -> None:
    project = tmp_path / "project"
    model = make_trained(project, TRAIN, TEST)
    (pickled,) = project.rglob("Documentation_data-*.pickle")
    pickled.write_bytes(pickle.dumps([[], Path("a"), [1], 0.75]))
    imported = import_model("deeplabcut", model.snapshot, tmp_path / "run")
    assert any("shuffle1 is not used" in note and "pathlib" in note for note in imported.notes)
    assert any("do not say which images" in note for note in imported.notes)
    assert imported.run.provenance["split"] == {"train": [], "validation": [], "test": []}

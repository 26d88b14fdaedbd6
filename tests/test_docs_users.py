"""What README and the pages for users type runs, line by line, in a folder where the names that they use are
real."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import docs_blocks
import numpy as np
import pytest
from docs_commands import commands
from slp_projects import Animal, SlpProject, media_video
from typer.testing import CliRunner

from pose_core.cli.main import app
from pose_core.formats.project_writing import Example, write_project
from pose_core.interfaces import PredictionsHeader
from pose_core.interfaces.prediction_files import make_writer
from pose_core.synthetic.crowd import Crowd, CrowdSpec
from pose_core.testing import Scene, SceneSpec, scene_examples

NOT_RUN = {
    "pose train DATA --model top_down_cspnext_s --out RUN --detector fasterrcnn": "downloads 170 MB of "
    "weights",
    "pose train mouse --model unet --out runs/two --devices 2": "starts further processes; "
    "tests/test_train.py does it",
    "pose predict RUN VIDEO --out shared --engine {type: slurm": "needs a cluster; plugins/slurm/tests do it with one "
    "that is played",
    **dict.fromkeys(
        (
            "pose predict RUN VIDEO --out shared --engine {type: dask",
            "pose predict RUN VIDEO --out shared --workers 20 --engine {type: dask",
        ),
        "needs a scheduler that is running, or a cluster; plugins/dask/tests start one",
    ),
    "pose demo --model unet": "trains for minutes; tests/test_cli_demo.py does it",
    "pose train mouse2 --weights runs/first --replay": "needs a model that is sure of something, which an epoch does "
    "not give; tests/test_train_replay.py does it",
    "pose adapt runs/first": "so does this; tests/test_adapt.py does it",
    "pose evaluate runs/adapted": "measures what the last one makes",
    **dict.fromkeys(
        ("pose predict superanimal", "pose licenses superanimal"),
        "is of a network of a zoo, which is downloaded; tests/test_zoo.py does it with files of the same form",
    ),
    **dict.fromkeys(
        (
            "pose compare runs/first --snapshot all",
            "pose predict runs/first clip.mp4 --out results --snapshot 25",
        ),
        "needs a run that kept snapshots; tests/test_train_snapshots.py does it",
    ),
    "pose predict runs/first video1.mp4 --out fastest --precision 8": "needs a model that was trained for more than an "
    "epoch, or keypoints move too far; tests/test_precision.py does it",
    "pose compare runs/unet": "needs two finished runs; tests/test_compare.py does it",
    "pose predict runs/first project.slp": "needs a model of its keypoints; the tests of plugins/sleapio do it",
    **dict.fromkeys(
        ("pose train DATA --model identity_unet", "pose train DATA --model top_down_identity_unet"),
        "needs animals that have names; tests/test_identity_models.py does it",
    ),
    **dict.fromkeys(
        ("pose import sleap", "pose predict runs/imported", "pose train project.slp --weights runs/imported"),
        "needs a model that SLEAP trained; tests/test_import_sleap.py makes some",
    ),
    **dict.fromkeys(
        ("pose train path/to/config.yaml --config start.yaml", "pose train project.slp --config start.yaml"),
        "needs what an import of settings writes; tests/test_import_deeplabcut_settings.py does it",
    ),
    "pose import deeplabcut": "needs a model that DeepLabCut trained; tests/helpers/deeplabcut_models.py "
    "makes some",
}
"""Beginnings of the command lines that this test does not carry out, and why. The fast tests look at them
all."""

SIZE = 96
NAMES = {"nose": "nose", "tail_base": "tail_base", "hip": "back"}
"""Keypoints of the DeepLabCut project, and what the scenes call them."""


def deeplabcut_project(folder: Path) -> None:
    """A labelled project of one animal, in DeepLabCut's own files."""
    scene = Scene(SceneSpec(size=(SIZE, SIZE)))
    images = folder / "labeled-data" / "clip"
    images.mkdir(parents=True)
    rows = [["scorer", "", "", *["Ada"] * 6], ["bodyparts", "", "", *[n for n in NAMES for _ in "xy"]]]
    rows.append(["coords", "", "", *["x", "y"] * 3])
    columns = [scene.skeleton.keypoints.index(name) for name in NAMES.values()]
    for number in range(0, 80, 5):
        frame = scene.frame(number)
        cv2.imwrite(str(images / f"img{number:03d}.png"), frame.image[..., ::-1])
        points = frame.instances.keypoints[0, columns].ravel()
        cells = ["" if np.isnan(v) else f"{v:.2f}" for v in points]
        rows.append(["labeled-data", "clip", f"img{number:03d}.png", *cells])
    with (images / "CollectedData_Ada.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    parts = "".join(f"- {name}\n" for name in NAMES)
    (folder / "config.yaml").write_text(
        f"Task: openfield\nscorer: Ada\ndate: Oct30\nmultianimalproject: false\nidentity: null\n"
        f"project_path: {folder}\nvideo_sets: {{}}\nbodyparts:\n{parts}skeleton: []\n"
    )


def video(path: Path) -> None:
    """Eight frames of the scene."""
    scene = Scene(SceneSpec(size=(SIZE, SIZE)))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (SIZE, SIZE))
    for number in range(8):
        writer.write(scene.frame(number).image[..., ::-1])
    writer.release()


def sleap_project(path: Path, clip: Path) -> None:
    """A labelled .slp project of the frames that :func:`video` writes, with two frames that are suggested."""
    scene = Scene(SceneSpec(size=(SIZE, SIZE)))
    frames = [(0, number, [Animal(scene.frame(number).instances.keypoints[0])]) for number in range(6)]
    SlpProject(
        nodes=list(scene.skeleton.keypoints),
        edges=[],
        pairs=[],
        videos=[media_video(str(clip), 8, SIZE, SIZE)],
        frames=frames,
        suggestions=[(0, 6), (0, 7)],
    ).write(path)


def predictions(folder: Path) -> None:
    """Poses of three animals without tracks, and the truth."""
    crowd = Crowd(CrowdSpec(frames=20, animals=3))
    (folder / "predictions").mkdir()
    for name, frames in (("predictions/clip", crowd.found()), ("truth", crowd.truth())):
        header = PredictionsHeader(crowd.skeleton, f"{name}.mp4", 20, 800, 800, 30.0, "model", "run")
        make_writer("parquet").write(folder / f"{name}.parquet", header, frames)
    (folder / "corrections.csv").write_text("frame,track,should_be\n12,0,1\n12,1,0\n")


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every project, video and folder that the pages name."""
    deeplabcut_project(tmp_path / "path" / "to")
    (tmp_path / "path" / "to" / "project").symlink_to(tmp_path / "path" / "to", target_is_directory=True)
    two = Scene(SceneSpec(size=(SIZE, SIZE), animals=2))
    write_project(tmp_path / "DATA", two.skeleton, scene_examples(two, range(0, 80, 5), "clip"), name="two")
    one = Scene(SceneSpec(size=(SIZE, SIZE)))
    write_project(
        tmp_path / "mouse", one.skeleton, scene_examples(one, range(0, 80, 5), "clip"), name="mouse"
    )
    write_project(
        tmp_path / "new-mice", one.skeleton, scene_examples(one, range(3, 40, 9), "other"), name="new-mice"
    )
    names = {"nose": "nose", "tail_base": "tailbase", "left_ear": "left_ear"}
    rows = [one.skeleton.keypoints.index(name) for name in names]

    def renamed() -> Iterator[Example]:
        for example in scene_examples(one, range(0, 80, 5), "clip"):
            chosen = replace(
                example.instances,
                keypoints=example.instances.keypoints[:, rows],
                keypoint_scores=example.instances.keypoint_scores[:, rows],
            )
            yield Example(example.name, example.image, chosen)

    write_project(tmp_path / "mouse2", type(one.skeleton)(tuple(names.values())), renamed(), name="mouse2")
    (tmp_path / "folder-of-videos").mkdir()
    for name in ("video1.mp4", "video2.mp4", "VIDEO", "folder-of-videos/other.mp4"):
        video(tmp_path / "clip.mp4")
        (tmp_path / "clip.mp4").rename(tmp_path / name)
    (tmp_path / "folder-of-images").symlink_to(
        tmp_path / "mouse" / "images" / "clip", target_is_directory=True
    )
    sleap_project(tmp_path / "project.slp", tmp_path / "video1.mp4")
    predictions(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POSE_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def quick(words: list[str]) -> list[str]:
    """A training of one epoch on the CPU, whatever the line says beyond."""
    added = ["--device", "cpu", "--set", "train.batch_size=4"]
    added += [] if "--epochs" in words else ["--epochs", "1"]
    return [*words, *added]


def type_line(words: list[str], problems: list[str]) -> str:
    """Carry out one command, within this process; what it prints. One that fails goes to the problems."""
    out = Path(words[words.index("--out") + 1]) if "--out" in words else None
    if words[1] == "train" and out is not None and out.exists() and "--resume" not in words:
        shutil.rmtree(out)  # the lines of a block are alternatives to one another
    arguments = quick(words)[1:] if words[1] == "train" else words[1:]
    result = CliRunner().invoke(app, arguments)
    if result.exit_code != 0:
        problems.append(f"{shlex.join(words)}\n{result.output}\n{result.exception!r}")
    return result.output


class Enough(Exception):
    """An endless example has shown what it should."""


def given(size: int) -> dict[str, Any]:
    """What the Python of the pages takes from its surroundings."""
    frames = [np.full((size, size, 3), 128, np.uint8)] * 3
    seen: list[Any] = []

    def react(keypoints: Any) -> None:
        seen.append(keypoints)
        if len(seen) == 3:
            raise Enough

    return {"images": np.stack(frames), "camera": frames, "grab": lambda: frames[0], "react": react}


def python(block: docs_blocks.Block, names: dict[str, Any], problems: list[str]) -> None:
    """Carry out a block of Python."""
    try:
        exec(compile(block.body, block.where, "exec"), names)
    except Enough:
        return
    # What a line before it should have made may be missing.
    except Exception as error:
        problems.append(f"{block.where}: {error!r}")


USE = re.findall(r"\buse/[\w-]+\.md", (docs_blocks.ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
PAGES = {"README": ["README.md"], "use": [f"docs/{page}" for page in USE if page != "use/settings.md"]}
"""Pages that are typed one after the other, in the order of the site: what one makes, the next may use."""


def test_every_page_for_users_is_run() -> None:
    assert sorted(PAGES["use"]) == sorted(
        f"docs/use/{page.name}" for page in docs_blocks.ROOT.glob("docs/use/*.md")
    )


@pytest.mark.slow
@pytest.mark.parametrize("pages", PAGES)
def test_what_the_pages_type_runs(pages: str, surroundings: Path) -> None:
    names, outputs, left_out = given(SIZE), {}, set()
    # All of them, since a page is mended in one go.
    problems: list[str] = []
    for block in (block for page in PAGES[pages] for block in docs_blocks.blocks(docs_blocks.ROOT / page)):
        if block.title and block.title.endswith((".yaml", ".csv")):
            Path(block.title).write_text(block.body)
        elif block.language == "sh":
            for words in commands(block.body):
                line = " ".join(words)
                reasons = {start for start in NOT_RUN if line.startswith(start)}
                left_out |= reasons
                if words[0] == "pose" and not reasons:
                    outputs[line] = type_line(words, problems)
        elif block.language == "python" and "hookimpl" not in block.body:
            python(block, names, problems)
        elif block.of and block.of not in docs_blocks.LISTINGS:
            # The line that was typed last: a page may show several of one command.
            output = [text for line, text in outputs.items() if line.startswith(block.of)][-1]
            docs_blocks.printed(block, output)
    assert not problems, "\n\n".join(problems)
    if pages == "use":
        assert left_out == set(NOT_RUN), "reasons for lines that are no longer there"
    assert len(outputs) >= 3

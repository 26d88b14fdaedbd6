"""Labelled SLEAP projects, hand-made as the GUI and sleap-io write them."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from pose_sleap.config import SlpReaderConfig
from pose_sleap.slp_reader import SlpReader
from slp_projects import Animal, SlpProject, embedded_video, image_video, media_video, old_video

from pose_core.data.images import read_image
from pose_core.data.projects import read_project, read_with
from pose_core.data.samples import PoseSamples
from pose_core.errors import DataError
from pose_core.specs.decided import Preprocess
from pose_core.structures import EmbeddedImage, ImageFile, LabelledDataset, VideoFrame
from pose_core.synthetic.videos import read_number, write_numbered_video

P = np.array([[10.0, 12.0], [20.5, 13.25], [22.0, 30.0], [40.0, 40.0]])


def read(path: Path, **options: Any) -> LabelledDataset:
    return read_project(path, SlpReaderConfig(type="sleap/sleap", **options))


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_numbered_video(path, 12)
    return path


@pytest.fixture
def project(video: Path) -> SlpProject:
    """Two tracked animals on frame 7, one on frame 3, of a video beside the file."""
    hole = P.copy()
    hole[2] = np.nan
    return SlpProject(
        tracks=["Ada", "Bea"],
        videos=[media_video(str(video))],
        frames=[(0, 7, [Animal(P, 0), Animal(hole + 1, 1)]), (0, 3, [Animal(P - 2, 1)])],
    )


def test_frames_of_a_video(project: SlpProject, tmp_path: Path, video: Path) -> None:
    dataset, name = read_with(project.write(tmp_path / "a.slp"))
    assert name == "sleap/sleap"
    assert dataset.name == "a"
    assert dataset.skeleton.keypoints == ("nose", "earR", "earL", "tail")
    assert dataset.skeleton.edges == (("nose", "tail"), ("nose", "earR"))
    assert dataset.skeleton.symmetry == (("earL", "earR"),)
    assert dataset.skeleton.individuals == ("animal1", "animal2")
    assert not dataset.skeleton.identified
    assert dataset.metadata == {"sleap.skeleton": "mouse"}
    assert [image.image for image in dataset.images] == [VideoFrame(video, 3), VideoFrame(video, 7)]
    assert [image.name for image in dataset.images] == ["clip.mp4 frame 3", "clip.mp4 frame 7"]
    assert {(image.width, image.height) for image in dataset.images} == {(64, 48)}
    first, second = (image.instances for image in dataset.images)
    np.testing.assert_array_equal(first.keypoints[0], P - 2)
    np.testing.assert_array_equal(second.keypoints[0], P)
    assert np.isnan(second.keypoints[1, 2]).all()
    assert second.keypoint_scores.tolist() == [[1, 1, 1, 1], [1, 1, 0, 1]]
    assert (first.track.tolist(), second.track.tolist()) == ([1], [0, 1])
    assert second.identity.tolist() == [-1, -1]
    np.testing.assert_array_equal(second.boxes[0], [10, 12, 40, 40])
    assert second.keypoints.dtype == second.scores.dtype == second.boxes.dtype == np.float32
    assert any("2 names of tracks in 1 video not taken for individuals" in note for note in dataset.notes)


def test_each_frame_is_the_one_that_was_labelled(project: SlpProject, tmp_path: Path) -> None:
    dataset = read(project.write(tmp_path / "a.slp"))
    assert [read_number(read_image(image.image)) for image in dataset.images] == [3, 7]


def test_images_in_a_list_and_old_json(project: SlpProject, tmp_path: Path, video: Path) -> None:
    (tmp_path / "rig").mkdir()
    for i in range(3):
        cv2.imwrite(str(tmp_path / "rig" / f"{i}.png"), np.full((40, 50, 3), 9 * i, np.uint8))
    project.videos = [old_video("C:\\data\\clip.mp4"), image_video([f"/gone/rig/{i}.png" for i in range(3)])]
    project.frames = [(1, 2, [Animal(P / 2)]), (0, 4, [Animal(P)])]
    project.pairs = [(1, 2), (2, 1)]
    dataset = read(project.write(tmp_path / "a.slp"))
    assert [image.image for image in dataset.images] == [
        VideoFrame(video, 4),
        ImageFile(tmp_path / "rig" / "2.png"),
    ]
    assert [image.name for image in dataset.images] == ["clip.mp4 frame 4", "2.png"]
    assert (dataset.images[1].width, dataset.images[1].height) == (50, 40)
    assert dataset.skeleton.symmetry == (("earL", "earR"),)
    assert any("found by the end of the name" in note for note in dataset.notes)


def test_videos_of_one_name_are_told_apart_by_their_folders(project: SlpProject, tmp_path: Path) -> None:
    for folder in ("mon", "tue"):
        (tmp_path / folder).mkdir()
        write_numbered_video(tmp_path / folder / "clip.mp4", 5)
    project.videos = [media_video(f"/rig/{folder}/clip.mp4") for folder in ("mon", "tue")]
    project.frames = [(0, 2, [Animal(P)]), (1, 2, [Animal(P)])]
    dataset = read(project.write(tmp_path / "a.slp"))
    assert [image.name for image in dataset.images] == ["mon/clip.mp4 frame 2", "tue/clip.mp4 frame 2"]
    assert [image.image.path.parent.name for image in dataset.images] == ["mon", "tue"]


def pictures(*colours: tuple[int, int, int]) -> list[np.ndarray]:
    return [np.broadcast_to(np.array(colour, np.uint8), (48, 64, 3)).copy() for colour in colours]


@pytest.mark.parametrize("padded", [True, False])
def test_embedded_images(project: SlpProject, tmp_path: Path, video: Path, padded: bool) -> None:
    red, blue = pictures((200, 10, 20), (1, 2, 250))
    project.padded = padded
    project.attributes = {"channel_order": "RGB"}
    project.embedded = {0: {7: red, 3: blue}}
    project.videos = [embedded_video(0, media_video("/gone/clip.mp4"), 2)]
    path = project.write(tmp_path / "labels.pkg.slp")
    video.unlink()
    dataset = read(path)
    assert dataset.name == "labels"
    assert [image.image for image in dataset.images] == [
        EmbeddedImage(path, "video0/video/1", "sleap/sleap"),
        EmbeddedImage(path, "video0/video/0", "sleap/sleap"),
    ]
    # As the frames of the video are called, so that a split serves both.
    assert [image.name for image in dataset.images] == ["clip.mp4 frame 3", "clip.mp4 frame 7"]
    np.testing.assert_array_equal(read_image(dataset.images[0].image), blue)
    np.testing.assert_array_equal(read_image(dataset.images[1].image), red)
    samples = PoseSamples(dataset, range(2), Preprocess(scale=1.0), 16, None, 0, 1 << 20)
    np.testing.assert_array_equal(samples[1].image[:48, :64], red)


@pytest.mark.parametrize(
    ("format", "order", "swapped"),
    [(1.4, "RGB", False), (1.4, "BGR", True), (1.4, None, False), (1.2, None, True), (1.2, "RGB", False)],
)
def test_order_of_channels(
    project: SlpProject, tmp_path: Path, format: float, order: str | None, swapped: bool
) -> None:
    (red,) = pictures((200, 10, 20))
    project.format, project.attributes = format, {} if order is None else {"channel_order": order}
    project.embedded, project.videos = {0: {7: red}}, [embedded_video(0, None)]
    project.frames = project.frames[:1]
    (image,) = read(project.write(tmp_path / "a.pkg.slp")).images
    np.testing.assert_array_equal(read_image(image.image), red[..., ::-1] if swapped else red)
    assert image.name == "video0 frame 7"


def test_pixels_that_are_stored_as_they_are(project: SlpProject, tmp_path: Path) -> None:
    project.videos, project.frames = [embedded_video(0, None)], [(0, 1, [Animal(P)])]
    path = project.write(tmp_path / "a.slp")
    pixels = np.random.default_rng(0).integers(0, 255, (3, 48, 64, 1)).astype(np.uint8)
    with h5py.File(path, "r+") as file:
        file["video0/video"] = pixels
    (image,) = read(path).images
    np.testing.assert_array_equal(read_image(image.image), np.repeat(pixels[1], 3, axis=2))


@pytest.mark.parametrize("damage", ["a byte", "the end"])
def test_a_damaged_image_is_named(project: SlpProject, tmp_path: Path, capfd: Any, damage: str) -> None:
    (red,) = pictures((200, 10, 20))
    project.embedded, project.videos = {0: {7: red}}, [embedded_video(0, None)]
    project.frames = project.frames[:1]
    path = project.write(tmp_path / "a.pkg.slp")
    (image,) = read(path).images
    with h5py.File(path, "r+") as file:
        data = file["video0/video"][()]
        if damage == "a byte":
            data[0, 60] ^= 1
        else:
            data[0, 60:] = 0
        file["video0/video"][...] = data
    with pytest.raises(DataError, match=r"a\.pkg\.slp: image video0/video/0 is damaged"):
        read_image(image.image)
    assert not capfd.readouterr().err


def test_images_in_another_package(project: SlpProject, tmp_path: Path) -> None:
    (red,) = pictures((200, 10, 20))
    project.attributes = {"channel_order": "RGB"}
    project.embedded, project.videos = {0: {7: red}}, [embedded_video(0, None)]
    project.frames = project.frames[:1]
    project.write(tmp_path / "images.pkg.slp")
    project.videos[0]["backend"]["filename"] = "/gone/images.pkg.slp"
    project.embedded = {}
    (image,) = read(project.write(tmp_path / "labels.slp")).images
    assert image.image == EmbeddedImage(tmp_path / "images.pkg.slp", "video0/video/0", "sleap/sleap")
    np.testing.assert_array_equal(read_image(image.image), red)


def test_what_a_user_placed_counts_and_corrections_count_once(project: SlpProject, tmp_path: Path) -> None:
    project.frames = [
        # The prediction is in the file, hidden, and another beside it.
        (0, 1, [Animal(P + 1, score=0.7), Animal(P, made_from=0), Animal(P + 5, score=3.5)]),
        # Corrected as to its track.
        (0, 2, [Animal(P + 1, 1, score=0.7), Animal(P, 1)]),
        (0, 3, [Animal(P, score=0.5)]),
        (0, 4, []),
    ]
    path = project.write(tmp_path / "a.slp")
    dataset = read(path)
    assert [len(image.instances) for image in dataset.images] == [1, 1]
    assert all((image.instances.keypoints[0] == P).all() for image in dataset.images)
    assert any("1 predicted instance beside those of users left out" in note for note in dataset.notes)
    assert any("2 frames with nothing that a user placed left out" in note for note in dataset.notes)
    everything = read(path, labels="all")
    assert [len(image.instances) for image in everything.images] == [2, 1, 1]
    np.testing.assert_array_equal(everything.images[0].instances.keypoints, [P, P + 5])
    np.testing.assert_allclose(everything.images[0].instances.keypoint_scores[1], [0.5, 0.51, 0.52, 0.53])
    assert any("2 predicted instances read as labels" in note for note in everything.notes)


def test_frames_without_animals_only_where_they_are_marked(project: SlpProject, tmp_path: Path) -> None:
    project.frames += [(0, 5, []), (0, 9, [])]
    # Frame 11 is marked and has no row; frame 3 is marked and labelled.
    project.negative = [(0, 9), (0, 11), (0, 3)]
    dataset = read(project.write(tmp_path / "a.slp"))
    assert [(image.name[-2:].strip(), len(image.instances)) for image in dataset.images] == [
        ("3", 1),
        ("7", 2),
        ("9", 0),
        ("11", 0),
    ]
    assert dataset.images[2].instances.keypoints.shape == (0, 4, 2)
    assert any("2 negative frames" in note for note in dataset.notes)
    # They are images for training, without an animal.
    samples = PoseSamples(dataset, range(4), Preprocess(scale=1.0), 16, None, 0, 1 << 20)
    assert read_number(samples[2].image[:48, :64]) == 9
    assert samples[2].labels.keypoints.shape[0] == 0


def test_suggestions_are_counted(project: SlpProject, tmp_path: Path) -> None:
    project.suggestions = [(0, 7), (0, 8), (0, 10)]
    notes = read(project.write(tmp_path / "a.slp")).notes
    assert any("2 suggested frames are not labelled yet" in note for note in notes)


def test_before_1_1_coordinates_count_from_the_corner(project: SlpProject, tmp_path: Path) -> None:
    project.format = 1.0
    dataset = read(project.write(tmp_path / "a.slp"))
    np.testing.assert_array_equal(dataset.images[1].instances.keypoints[0], P - 0.5)
    project.format = 1.1
    dataset = read(project.write(tmp_path / "b.slp"))
    np.testing.assert_array_equal(dataset.images[1].instances.keypoints[0], P)


def test_points_that_are_not_visible_and_instances_without_points(
    project: SlpProject, tmp_path: Path
) -> None:
    project.frames = [(0, 1, [Animal(P, hidden=(1,)), Animal(np.full((4, 2), np.nan))])]
    dataset = read(project.write(tmp_path / "a.slp"))
    (image,) = dataset.images
    assert np.isnan(image.instances.keypoints[:, 1]).all()
    assert np.isfinite(image.instances.keypoints[:, [0, 2, 3]]).all()
    assert any("1 point marked as not visible left out" in note for note in dataset.notes)
    assert any("1 instance without any point left out" in note for note in dataset.notes)


def two_videos(project: SlpProject, tmp_path: Path) -> SlpProject:
    write_numbered_video(tmp_path / "other.mp4", 12)
    project.videos.append(media_video("other.mp4"))
    # As SLEAP lists tracks: each video has its own, of whatever name.
    project.tracks = ["Ada", "Bea", "Bea", "Ada"]
    project.frames = [(0, 1, [Animal(P, 0), Animal(P + 3, 1)]), (1, 4, [Animal(P, 2), Animal(P + 3, 3)])]
    return project


def test_the_same_names_in_every_video_are_individuals(project: SlpProject, tmp_path: Path) -> None:
    path = two_videos(project, tmp_path).write(tmp_path / "a.slp")
    dataset = read(path)
    assert (dataset.skeleton.individuals, dataset.skeleton.identified) == (("Ada", "Bea"), True)
    assert [image.instances.identity.tolist() for image in dataset.images] == [[0, 1], [1, 0]]
    assert [image.instances.identity_scores.tolist() for image in dataset.images] == [[1, 1], [1, 1]]
    assert any("2 names of tracks in 2 videos taken for individuals" in note for note in dataset.notes)
    told = read(path, identified=False)
    assert (told.skeleton.individuals, told.skeleton.identified) == (("animal1", "animal2"), False)
    assert [image.instances.identity.tolist() for image in told.images] == [[-1, -1], [-1, -1]]
    assert [image.instances.identity_scores.tolist() for image in told.images] == [[0, 0], [0, 0]]


@pytest.mark.parametrize("why", ["one video", "other names", "names of a tracker", "one has no track"])
def test_else_tracks_are_none_unless_told(project: SlpProject, tmp_path: Path, why: str) -> None:
    project = two_videos(project, tmp_path)
    if why == "one video":
        project.frames.pop()
    elif why == "other names":
        project.tracks[3] = "Cleo"
    elif why == "names of a tracker":
        project.tracks = ["track_0", "track_1", "track_1", "track_0"]
    else:
        project.frames[1][2][1].track = -1
    path = project.write(tmp_path / "a.slp")
    assert not read(path).skeleton.identified
    assert any("not taken for individuals" in note for note in read(path).notes)
    assert read(path, identified=True).skeleton.identified


def test_points_that_do_not_lie_in_order_are_found(project: SlpProject, tmp_path: Path) -> None:
    path = project.write(tmp_path / "a.slp")
    wanted = [image.instances.keypoints for image in read(path).images]
    with h5py.File(path, "r+") as file:
        table, points = file["instances"][()], file["points"][()]
        del file["points"]
        # The last instance's points come first, after one that belongs to none.
        order = np.argsort(-table["point_id_start"])
        file["points"] = np.concatenate(
            [points[:1], *(points[r["point_id_start"] : r["point_id_end"]] for r in table[order])]
        )
        for place, row in enumerate(order):
            table["point_id_start"][row], table["point_id_end"][row] = 1 + 4 * place, 5 + 4 * place
        file["instances"][...] = table
    for image, points in zip(read(path).images, wanted, strict=True):
        np.testing.assert_array_equal(image.instances.keypoints, points)


def test_reading_leaves_the_collection_of_garbage_as_it_was(project: SlpProject, tmp_path: Path) -> None:
    path = project.write(tmp_path / "a.slp")
    read(path)
    assert gc.isenabled()
    gc.disable()
    try:
        read(path)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_one_name_for_two_animals_of_an_image_names_neither(project: SlpProject, tmp_path: Path) -> None:
    project.tracks = ["Ada", "Ada"]
    dataset = read(project.write(tmp_path / "a.slp"), identified=True)
    assert dataset.images[1].instances.identity.tolist() == [-1, -1]
    assert dataset.images[0].instances.identity.tolist() == [0]
    assert dataset.skeleton.individuals == ("Ada", "unknown1")
    assert any("2 animals share an individual's name" in note for note in dataset.notes)


def test_pairs_without_a_side(project: SlpProject, tmp_path: Path) -> None:
    project.nodes = ["snout", "paw_b", "paw_a", "tail"]
    dataset = read(project.write(tmp_path / "a.slp"))
    assert dataset.skeleton.symmetry == (("paw_b", "paw_a"),)
    assert any("whose names say no side" in note and "paw_b/paw_a" in note for note in dataset.notes)


def test_several_skeletons_need_a_choice(project: SlpProject, tmp_path: Path) -> None:
    skeletons = project.describe()["skeletons"]
    other = {**skeletons[0], "graph": {"name": "fly"}, "nodes": [{"id": 3}, {"id": 0}], "links": []}
    project.more = {"skeletons": [*skeletons, other]}
    dataset = read(project.write(tmp_path / "one.slp"))
    assert dataset.skeleton.num_keypoints == 4
    assert any("of 2 skeletons mouse is read" in note for note in dataset.notes)
    project.frames.append((0, 9, [Animal(P[:2], skeleton=1)]))
    path = project.write(tmp_path / "a.slp")
    message = refused(path)
    assert "several skeletons: mouse (3 instances), fly (1 instance); choose one with" in message
    assert "data.reader.skeleton" in message
    chosen = read(path, skeleton="fly")
    assert chosen.skeleton.keypoints == ("tail", "nose")
    assert [image.name for image in chosen.images] == ["clip.mp4 frame 9"]
    assert "0 skeletons are called 'bee'" in refused(path, skeleton="bee")


def test_a_missing_video_is_named_with_what_to_do(project: SlpProject, tmp_path: Path, video: Path) -> None:
    video.rename(tmp_path / "renamed.mp4")
    message = refused(project.write(tmp_path / "a.slp"))
    assert f"video {video} (2 frames) is missing, looked for in {tmp_path};" in message
    assert "with embedded images (.pkg.slp), which needs no video" in message
    assert "data.reader.videos" in message
    (tmp_path / "videos").mkdir()
    (tmp_path / "renamed.mp4").rename(tmp_path / "videos" / "clip.mp4")
    assert len(read(tmp_path / "a.slp", videos="videos").images) == 2
    assert "folder of its videos, nowhere, does not exist" in refused(tmp_path / "a.slp", videos="nowhere")


def test_a_video_without_labels_is_not_needed(project: SlpProject, tmp_path: Path) -> None:
    project.videos.append(media_video("/gone/other.mp4"))
    assert len(read(project.write(tmp_path / "a.slp")).images) == 2


def test_frames_that_are_not_embedded_are_counted(project: SlpProject, tmp_path: Path) -> None:
    (red,) = pictures((200, 10, 20))
    project.embedded, project.videos = {0: {7: red}}, [embedded_video(0, None)]
    dataset = read(project.write(tmp_path / "a.pkg.slp"))
    assert len(dataset.images) == 1
    assert any("1 labelled frames whose images are not embedded" in note for note in dataset.notes)


def _spoil_json(file: h5py.File) -> None:
    file["metadata"].attrs["json"] = np.bytes_(b'{"skeletons": [')


def _spoil_node(file: h5py.File) -> None:
    file["metadata"].attrs["json"] = np.bytes_(
        b'{"nodes": [{"name": "a"}], "skeletons": [{"nodes": [{"id": 4}], "links": []}]}'
    )


def _spoil_fields(file: h5py.File) -> None:
    del file["points"]
    file["points"] = np.zeros(12, [("x", "f8"), ("z", "f8")])


def _spoil_range(file: h5py.File) -> None:
    table = file["instances"][()]
    table["point_id_end"][0] += 10**6
    file["instances"][...] = table


def _spoil_end(file: h5py.File) -> None:
    table = file["frames"][()]
    table["instance_id_end"][0] = 99
    file["frames"][...] = table


def _spoil_video(file: h5py.File) -> None:
    table = file["frames"][()]
    table["video"] = 3
    file["frames"][...] = table


def _spoil_link(file: h5py.File) -> None:
    del file["points"]
    file["points"] = h5py.ExternalLink("other.h5", "/points")


def _newer(file: h5py.File) -> None:
    file["metadata"].attrs["format_id"] = 3.0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_spoil_json, "is damaged, or not a .slp file of SLEAP (Expecting value"),
        (_spoil_node, "a skeleton refers to node 4 of 1"),
        (_spoil_fields, "points has no y, visible"),
        (_spoil_range, "another number of points than the 4 nodes"),
        (_spoil_end, "frames holds instance_id_end 99, and the file has 4"),
        (_spoil_video, "frames holds video 3, and the file has 1"),
        (_spoil_link, "points is a link to elsewhere"),
        (_newer, "has format 3 of .slp, and formats before 3 are known"),
    ],
)
def test_spoilt_files_are_refused_in_one_line(
    project: SlpProject, tmp_path: Path, spoil: Any, message: str
) -> None:
    path = project.write(tmp_path / "a.slp")
    with h5py.File(path, "r+") as file:
        spoil(file)
    found = refused(path)
    assert found.startswith(f"{path}: ")
    assert message in found


@pytest.mark.parametrize("kept", [0, 8, 600, 0.3, 0.6, 0.9])
def test_truncated_files(project: SlpProject, tmp_path: Path, kept: float) -> None:
    path = project.write(tmp_path / "a.slp")
    data = path.read_bytes()
    path.write_bytes(data[: int(kept if kept > 1 else kept * len(data))])
    assert SlpReader.accepts(path)
    assert str(path) in refused(path)


def test_nodes_of_one_name_and_a_frame_beyond_the_video(project: SlpProject, tmp_path: Path) -> None:
    project.frames.append((0, 12, [Animal(P)]))
    assert "frame 12 of" in refused(project.write(tmp_path / "a.slp"))
    project.nodes[1] = "nose"
    assert "two nodes of a skeleton have one name" in refused(project.write(tmp_path / "a.slp"))


def test_nothing_of_a_user(project: SlpProject, tmp_path: Path) -> None:
    project.frames = [(0, 1, [Animal(P, score=0.5)])]
    assert "has predictions and no labels of a user" in refused(project.write(tmp_path / "a.slp"))
    project.frames = []
    assert "has no labelled instances" in refused(project.write(tmp_path / "a.slp"))

"""Finding the reader of a project, and what every project must fulfil."""

from __future__ import annotations

import dataclasses
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_core.catalog import Catalog
from pose_core.data.projects import check_project, read_project
from pose_core.errors import ConfigError, DataError, PluginError, PoseError
from pose_core.hooks import ComponentSpec
from pose_core.interfaces import Reader
from pose_core.plugins import ACTIVE, PluginRecord
from pose_core.specs import ReaderConfig
from pose_core.structures import ImageFile, Instances, LabelledDataset, LabelledImage, Skeleton

SKELETON = Skeleton(("nose", "tail"), individuals=("a", "b"), unique_keypoints=("corner",))


def image(
    folder: Path, name: str, keypoints=((1.0, 2.0), (3.0, 4.0)), unique=(np.nan, np.nan)
) -> LabelledImage:
    path = folder / name
    if not path.exists():
        cv2.imwrite(str(path), np.zeros((48, 64, 3), np.uint8))
    return LabelledImage.create(
        ImageFile(path),
        name,
        64,
        48,
        Instances.from_keypoints([keypoints]),
        unique_keypoints=np.array([unique]),
    )


def project(folder: Path, *images: LabelledImage) -> LabelledDataset:
    return LabelledDataset(SKELETON, images, folder, "project", notes=("a note of the reader",))


class DotReader(Reader):
    """Reads folders that hold a file named dots."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return (path / "dots").exists()

    def read(self, path: Path) -> LabelledDataset:
        return project(path, image(path, "0.png"))


class DashReader(DotReader):
    @classmethod
    def accepts(cls, path: Path) -> bool:
        return (path / "dashes").exists()


class RaisingReader(DotReader):
    @classmethod
    def accepts(cls, path: Path) -> bool:
        raise RuntimeError("two\nlines")


class ListReader(DotReader):
    def read(self, path: Path) -> LabelledDataset:
        return []  # type: ignore[return-value]


class DemandingConfig(ReaderConfig):
    category: str


class CountingConfig(ReaderConfig):
    images: int = 1


class CountingReader(DotReader):
    def read(self, path: Path) -> LabelledDataset:
        assert isinstance(self.config, CountingConfig)
        return project(path, *(image(path, f"{n}.png") for n in range(self.config.images)))


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    """Makes a catalogue of throw-away readers: name -> (config class, reader class)."""

    def install(**readers: tuple[type, type]) -> None:
        module = types.ModuleType("throwaway_readers")
        specs = []
        for name, (config, reader) in readers.items():
            setattr(module, f"{name}_config", config)
            setattr(module, f"{name}_reader", reader)
            target = f"throwaway_readers:{name}_"
            specs.append(
                ComponentSpec("reader", name, f"{target}config", f"{target}reader", f"folders with {name}")
            )
        specs.append(
            ComponentSpec("reader", "broken", "no_such_module:C", "no_such_module:R", "nothing, it is broken")
        )
        monkeypatch.setitem(sys.modules, "throwaway_readers", module)
        record = PluginRecord(
            "toy", "pose-toy", "1", "toy", ACTIVE, definitions={"pose_components": tuple(specs)}
        )
        catalog = Catalog([record])
        monkeypatch.setattr("pose_core.data.projects.get_catalog", lambda: catalog)

    return install


def refused(call, *arguments) -> str:
    with pytest.raises(PoseError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_reader_that_accepts_is_found_and_a_broken_one_is_noted(tmp_path, install):
    install(dots=(ReaderConfig, DotReader), dashes=(ReaderConfig, DashReader))
    (tmp_path / "dots").touch()
    found = read_project(tmp_path)
    assert len(found.images) == 1
    assert found.notes[-1] == "a note of the reader"
    assert any(note.startswith("reader toy/broken could not look at") for note in found.notes)


def test_a_reader_that_raises_is_noted_in_one_line(tmp_path, install):
    install(dots=(ReaderConfig, DotReader), raising=(ReaderConfig, RaisingReader))
    (tmp_path / "dots").touch()
    notes = read_project(tmp_path).notes
    assert any("toy/raising could not look at" in note and note.endswith("two lines") for note in notes)


def test_a_named_reader_is_used_with_its_settings(tmp_path, install):
    install(counting=(CountingConfig, CountingReader), dashes=(ReaderConfig, DashReader))
    assert len(read_project(tmp_path, CountingConfig(type="toy/counting", images=3)).images) == 3
    with pytest.raises(ConfigError, match="no reader 'toy/countin'"):
        read_project(tmp_path, CountingConfig(type="toy/countin"))


def test_a_path_that_does_not_exist(tmp_path):
    assert refused(read_project, tmp_path / "nowhere") == f"{tmp_path / 'nowhere'} does not exist"


def test_nothing_that_a_reader_knows(tmp_path, install):
    install(dots=(ReaderConfig, DotReader), dashes=(ReaderConfig, DashReader))
    message = refused(read_project, tmp_path)
    assert "toy/dots (folders with dots)" in message
    assert "toy/dashes (folders with dashes)" in message


def test_two_readers_for_one_project(tmp_path, install):
    install(dots=(ReaderConfig, DotReader), dashes=(ReaderConfig, DashReader))
    (tmp_path / "dots").touch()
    (tmp_path / "dashes").touch()
    message = refused(read_project, tmp_path)
    assert "toy/dashes and by toy/dots" in message
    assert 'settings={"data.reader": "toy/dashes"}' in message


def test_a_reader_that_must_be_told_something(tmp_path, install):
    install(dots=(DemandingConfig, DotReader))
    (tmp_path / "dots").touch()
    assert "needs to be told category" in refused(read_project, tmp_path)


def test_a_reader_that_returns_something_else(tmp_path, install):
    install(dots=(ReaderConfig, ListReader))
    (tmp_path / "dots").touch()
    with pytest.raises(PluginError, match="toy/dots' returned list"):
        read_project(tmp_path)


def check(data: LabelledDataset) -> LabelledDataset:
    return check_project(data, "toy/dots")


def test_a_sound_project_passes_unchanged(tmp_path):
    data = project(
        tmp_path, image(tmp_path, "0.png"), image(tmp_path, "1.png", ((np.nan, np.nan), (63.5, 47.5)))
    )
    assert check(data) is data


def test_images_without_any_label_are_allowed_beside_labelled_ones(tmp_path):
    nothing = ((np.nan, np.nan), (np.nan, np.nan))
    check(project(tmp_path, image(tmp_path, "0.png"), image(tmp_path, "1.png", nothing)))
    check(project(tmp_path, image(tmp_path, "0.png", nothing, unique=(3.0, 3.0))))
    assert "no keypoint is labelled in any of 2 images" in refused(
        check, project(tmp_path, image(tmp_path, "0.png", nothing), image(tmp_path, "1.png", nothing))
    )
    assert "holds no labelled images" in refused(check, project(tmp_path))


def test_missing_images_are_counted_and_the_first_is_named(tmp_path):
    data = project(tmp_path, *(image(tmp_path, f"{n}.png") for n in range(4)))
    (tmp_path / "1.png").unlink()
    (tmp_path / "3.png").unlink()
    message = refused(check, data)
    assert "2 of 4 labelled images are missing" in message
    assert str(tmp_path / "1.png") in message


@pytest.mark.parametrize(
    ("point", "said"), [((66.0, 2.0), "(66, 2)"), ((-1.6, 5.0), "(-1.6, 5)"), ((3.0, -40.0), "(3, -40)")]
)
def test_a_label_outside_its_image(tmp_path, point, said):
    data = project(
        tmp_path,
        image(tmp_path, "0.png"),
        image(tmp_path, "1.png", ((1, 1), point)),
        image(tmp_path, "2.png", (point,) * 2),
    )
    message = refused(check, data)
    assert f"image '1.png': keypoint 'tail' at {said} is outside the 64 x 48 image" in message
    assert "3 of 6 labels" in message


def test_a_unique_keypoint_outside_its_image(tmp_path):
    data = project(tmp_path, image(tmp_path, "0.png"), image(tmp_path, "1.png", unique=(10.0, 100.0)))
    with pytest.raises(DataError, match=r"image '1\.png': keypoint 'corner' at \(10, 100\) is outside"):
        check_project(data, "toy/dots", strict=True)
    (note,) = set(check(data).notes) - set(data.notes)
    assert note == "1 label outside its image left out, the first is 1.png corner at (10, 100) of 64 x 48"


def test_an_infinite_label(tmp_path):
    data = project(tmp_path, image(tmp_path, "0.png"), image(tmp_path, "1.png", ((np.inf, 1), (2, 2))))
    assert "image '1.png': keypoint 'nose' at (inf, 1) is infinite" in refused(check, data)


def test_labels_just_beyond_the_edge_are_moved_onto_it(tmp_path):
    data = project(
        tmp_path,
        image(tmp_path, "0.png"),
        image(tmp_path, "1.png", ((64.0, 5.0), (-1.5, 48.5)), unique=(5.0, -1.0)),
    )
    checked = check(data)
    np.testing.assert_array_equal(checked.images[1].instances.keypoints, [[[63.5, 5], [-0.5, 47.5]]])
    np.testing.assert_array_equal(checked.images[1].unique_keypoints, [[5, -0.5]])
    assert checked.images[0] is data.images[0]
    assert checked.notes == (
        "a note of the reader",
        "3 labels up to 1 px outside their image were moved onto its edge",
    )


def test_an_image_listed_twice(tmp_path):
    one = image(tmp_path, "0.png")
    assert "image '0.png' is listed twice" in refused(
        check, project(tmp_path, one, image(tmp_path, "1.png"), one)
    )


def test_more_animals_than_the_project_knows(tmp_path):
    one = image(tmp_path, "0.png")
    crowd = LabelledImage.create(
        one.image,
        "0.png",
        64,
        48,
        Instances.from_keypoints(np.ones((3, 2, 2))),
        unique_keypoints=[[np.nan] * 2],
    )
    assert "'0.png' has 3 labelled animals" in refused(check, project(tmp_path, crowd))


def test_arrays_that_do_not_fit_the_skeleton_are_the_readers_fault(tmp_path):
    one = image(tmp_path, "0.png")
    without_unique = dataclasses.replace(one, unique_keypoints=np.zeros((0, 2), np.float32))
    three = LabelledImage.create(one.image, "0.png", 64, 48, Instances.from_keypoints(np.ones((1, 3, 2))))
    for wrong in (without_unique, three, dataclasses.replace(one, width=0)):
        with pytest.raises(PluginError, match="toy/dots"):
            check(project(tmp_path, wrong))


def test_missing_images_are_refused_by_type(tmp_path):
    data = project(tmp_path, image(tmp_path, "0.png"))
    (tmp_path / "0.png").unlink()
    with pytest.raises(DataError):
        check(data)

"""What pictures of networks show is where it is: maps, offsets, distributions, targets, candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tiny_run import make_run
from torch import Tensor, nn

import pose_core
from pose_core import register
from pose_core.catalog import get_catalog, session
from pose_core.data.palette import keypoint_colours
from pose_core.errors import ConfigError, DataError
from pose_core.inspection import show_maps
from pose_core.interfaces import BuildContext, Grid, Head, Labels, MapView, Predictions
from pose_core.model.build import build_model
from pose_core.pictures.colours import colour_maps
from pose_core.pictures.describe import ShownOutput, describe_outputs, guess_view, show_output
from pose_core.pictures.network import NetworkLook, record_networks
from pose_core.pictures.outputs import draw_output
from pose_core.runs.run_folder import Run
from pose_core.specs import HeadConfig, RunSpec
from pose_core.structures import Skeleton

SKELETON = Skeleton(("red", "green"), edges=(("red", "green"),), individuals=("ann", "bob", "cleo"))


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    session.clear()
    get_catalog.cache_clear()


class Stranger(Head):
    """A head that says nothing of its outputs: random maps, and the two keypoints at fixed places."""

    def __init__(self, config: HeadConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.layer = nn.Conv2d(context.features[0].channels, 2, 1)

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        maps = self.layer(features[0])
        return {
            "heat": maps,
            "shift": maps.repeat(1, 2, 1, 1),
            "along_y": maps.mean(-1),
            "odd": maps.mean((1, 2, 3)),
        }

    def loss(self, outputs: Mapping[str, Tensor], labels: Labels) -> dict[str, Tensor]:
        return {"heat": outputs["heat"].square().mean()}

    def decode(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        batch = len(outputs["heat"])
        points = torch.tensor([[10.0, 20.0], [30.0, 5.0]]).expand(batch, 1, 2, 2)
        return found.with_animals(points, torch.full((batch, 1, 2), 0.5))


def paint(
    shown: ShownOutput, size: int = 40, label: int | None = None
) -> tuple[np.ndarray[Any, Any], Any, str]:
    """The pixels of a panel, a function from pixels of the input to those of the panel, and its second line."""
    figure = Figure(figsize=(4, 4), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    about = draw_output(axes, np.full((size, size, 3), 100, np.uint8), shown, {shown.name: shown}, label)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)

    def at(x: float, y: float) -> np.ndarray[Any, Any]:
        column, row = axes.transData.transform((x, y))
        return pixels[round(pixels.shape[0] - 1 - row), round(column)]

    return pixels, at, about


def coloured(pixel: np.ndarray[Any, Any]) -> bool:
    """Whether it is not grey."""
    return bool(pixel.max() - pixel.min() > 40)


@pytest.mark.parametrize(
    ("name", "shape", "meaning", "labels"),
    [
        ("heatmap", (2, 8, 8), "score", SKELETON.keypoints),
        ("anything", (2, 8, 8), "score", SKELETON.keypoints),
        ("locref", (4, 8, 8), "offset", SKELETON.keypoints),
        ("anything", (4, 8, 8), "offset", SKELETON.keypoints),
        ("heatmap", (4, 8, 8), "score", ()),
        ("affinity", (2, 8, 8), "vector", ("red–green",)),
        ("identity", (3, 8, 8), "class", ("ann", "bob", "cleo")),
        ("identity", (3,), "class", ("ann", "bob", "cleo")),
        ("x", (2, 64), "distribution", SKELETON.keypoints),
        ("position", (2, 2), "point", SKELETON.keypoints),
        ("heatmap", (5, 8, 8), "score", ()),
    ],
)
def test_an_output_is_known_by_its_shape_and_name(
    name: str, shape: tuple[int, ...], meaning: str, labels: tuple[str, ...]
) -> None:
    view = guess_view(name, (1, *shape), SKELETON)
    assert view is not None
    assert (view.meaning, view.labels) == (meaning, labels)


def test_of_other_shapes_nothing_is_drawn() -> None:
    assert guess_view("volume", (1, 2, 8, 8, 8), SKELETON) is None
    assert guess_view("number", (1,), SKELETON) is None


@settings(max_examples=25)
@given(
    st.integers(0, 15),
    st.integers(0, 15),
    st.sampled_from([1.0, 2.5, 4.0]),
    st.floats(-1, 3),
    st.integers(0, 1),
)
def test_the_highest_cell_is_where_the_grid_says(
    column: int, row: int, stride: float, offset: float, label: int
) -> None:
    maps = np.zeros((2, 16, 16), np.float32)
    maps[label, row, column] = 1.0
    shown = ShownOutput("heatmap", MapView("score", SKELETON.keypoints), maps, (Grid(stride, offset),) * 2)
    x, y = column * stride + offset, row * stride + offset
    # A cell that lies before the first pixel is on no picture.
    assume(min(x, y) >= 0)
    _, at, about = paint(shown, size=70)
    assert about == "0 to 1"
    assert np.abs(at(x, y) - np.array(keypoint_colours(2)[label])).max() < 40
    # Half a cell and a little beside it there is nothing.
    for dx, dy in ((0.7, 0), (-0.7, 0), (0, 0.7), (0, -0.7)):
        beside = x + dx * stride, y + dy * stride
        if all(0 < value < 69 for value in beside):
            assert not coloured(at(*beside))


def test_a_panel_of_one_map_shows_no_other() -> None:
    maps = np.zeros((2, 10, 10), np.float32)
    maps[0, 2, 2], maps[1, 7, 7] = 1.0, 1.0
    shown = ShownOutput("heatmap", MapView("score", SKELETON.keypoints), maps, (Grid.cells(4),) * 2)
    _, at, _ = paint(shown, label=1)
    assert coloured(at(29.5, 29.5))
    assert not coloured(at(9.5, 9.5))


def test_values_that_are_no_probabilities_are_shown_from_their_smallest_to_their_largest() -> None:
    maps = np.full((1, 10, 10), -8.0, np.float32)
    maps[0, 2, 2] = 3.0
    maps[0, 5, 5] = np.nan
    shown = ShownOutput("energy", MapView("score", ("0",)), maps, (Grid.cells(4),) * 2)
    _, at, about = paint(shown)
    assert about == "-8 to 3"
    assert coloured(at(9.5, 9.5))
    assert not coloured(at(21.5, 21.5))


def test_offsets_point_from_their_cells_to_the_place() -> None:
    values = np.zeros((4, 10, 10), np.float32)
    weight = np.zeros((4, 10, 10), np.float32)
    # From the cell at (9.5, 9.5) to (29.5, 9.5), for the first keypoint.
    values[0, 2, 2], weight[:2, 2, 2] = 20.0, 1.0
    # A way that is not learned is not drawn.
    values[2, 8, 2] = 20.0
    shown = ShownOutput("locref", MapView("offset", SKELETON.keypoints), values, (Grid.cells(4),) * 2, weight)
    _, at, about = paint(shown)
    assert about == "where they are learned; longest 20.0 px"
    for x in (12, 20, 27):
        assert coloured(at(x, 9.5))
    for x, y in ((5, 9.5), (34, 9.5), (20, 15), (20, 33.5)):
        assert not coloured(at(x, y))


def test_vectors_are_coloured_where_they_are_long() -> None:
    values = np.zeros((2, 10, 10), np.float32)
    values[1, 3:7, 5] = 1.0
    shown = ShownOutput("paf", MapView("vector", ("red–green",)), values, (Grid.cells(4),) * 2)
    _, at, about = paint(shown)
    assert about == "length to 1"
    assert coloured(at(20.2, 14))
    assert not coloured(at(5, 14))


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_distribution_is_highest_at_its_place(axis: Any) -> None:
    values = np.zeros((1, 80), np.float32)
    values[0, 38:43] = [0.5, 0.9, 1.0, 0.9, 0.5]
    shown = ShownOutput("x", MapView("distribution", ("0",), axis=axis), values, (Grid.cells(0.5),) * 2)
    _, at, about = paint(shown)
    assert about == f"0 to 1, along {axis}"
    place = 40 * 0.5 - 0.25
    assert coloured(at(place, 30) if axis == "x" else at(8, place))
    assert not coloured(at(place + 8, 30) if axis == "x" else at(8, place + 8))


def test_what_is_ignored_is_grey_and_lighter_than_the_image() -> None:
    weight = np.ones((2, 10, 10), np.float32)
    weight[:, :, :5] = 0
    shown = ShownOutput(
        "heatmap", MapView("score", SKELETON.keypoints), np.zeros((2, 10, 10), np.float32), (Grid.cells(4),) * 2,
        weight,
    )  # fmt: skip
    _, at, _ = paint(shown)
    assert at(10, 20).min() > at(30, 20).max() + 30


def test_maps_without_a_finite_number_are_drawn_as_nothing() -> None:
    assert (colour_maps(np.full((2, 3, 3), np.nan, np.float32), 0, 1, keypoint_colours(2))[..., 3] == 0).all()


def looks_of(run: Path, image: Tensor) -> list[NetworkLook]:
    model = Run.open(run, RunSpec).load_model()
    looks: list[NetworkLook] = []
    with record_networks(looks):
        model.predict(image)
    model.predict(image)  # no longer recorded
    return looks


def test_what_a_head_of_a_stranger_puts_out_is_drawn_by_its_form(tmp_path: Path) -> None:
    register("stranger", Stranger)
    run = make_run(tmp_path / "run", model={"heads": {"keypoints": {"type": "stranger"}}})
    images = torch.randint(0, 255, (2, 3, 32, 64), dtype=torch.uint8)
    looks = looks_of(run, images)
    assert len(looks) == 2
    for look, image in zip(looks, images, strict=True):
        assert np.array_equal(look.image, image.permute(1, 2, 0).numpy())
        outputs = look.outputs["keypoints"]
        assert [(name, shown.view.meaning) for name, shown in outputs.items()] == [
            ("heat", "score"), ("shift", "offset"), ("along_y", "distribution"),
        ]  # fmt: skip
        assert outputs["shift"].view.read_at == "heat"
        assert outputs["along_y"].view.axis == "y"
        assert look.not_shown == {"keypoints.odd": ""}
        # Cells of stride 4 fill the input of 64 x 32.
        assert outputs["heat"].grids == (Grid.cells(4), Grid.cells(4))
        assert look.found[-1].keypoints.tolist() == [[[10, 20], [30, 5]]]
    picture = tmp_path / "maps.png"
    cv2.imwrite(str(tmp_path / "image.png"), np.zeros((64, 128, 3), np.uint8))
    assert pose_core.draw_maps(run, tmp_path / "image.png", picture) == [picture]
    assert cv2.imread(str(picture)).shape[1] > 1000


def test_a_head_says_what_its_outputs_are(tmp_path: Path) -> None:
    class Told(Stranger):
        def describe_maps(self) -> Mapping[str, MapView]:
            return {"heat": MapView("score", ("one", "two"), Grid(4, 1.5), "sigmoid", scale=2.0)}

    register("told", Told)
    run = make_run(tmp_path / "run", model={"heads": {"keypoints": {"type": "told"}}})
    model = Run.open(run, RunSpec).load_model()
    outputs = model(model.normalise(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)))["keypoints"]
    head = model.heads["keypoints"]
    assert isinstance(head, Head)
    views, left = describe_outputs(head, {k: v.shape for k, v in outputs.items()}, model.skeleton)
    assert left == ["odd"]
    shown = show_output("heat", views["heat"], head, outputs["heat"][0], (32, 32))
    assert shown.view.labels == ("one", "two")
    assert shown.values == pytest.approx((2 * outputs["heat"][0]).sigmoid().detach().numpy())
    assert shown.grids == (Grid(4, 1.5), Grid(4, 1.5))


def test_logits_of_the_heatmap_head_are_shown_as_probabilities_on_its_grid(tmp_path: Path) -> None:
    head_config = {"type": "heatmap/heatmap", "losses": {"heatmap": {"type": "heatmap/bce"}}}
    run = make_run(tmp_path / "run", model={"heads": {"keypoints": head_config}})
    (look,) = looks_of(run, torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    heatmap = look.outputs["keypoints"]["heatmap"]
    head = build_model(Run.open(run, RunSpec).spec).heads["keypoints"]
    assert heatmap.grids == (head.grid, head.grid)
    assert (heatmap.values >= 0).all()
    assert (heatmap.values <= 1).all()
    assert look.outputs["keypoints"]["locref"].view.read_at == "heatmap"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "frame.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    return path


def test_show_maps_writes_a_picture_a_frame_and_one_a_map(pose: Any, tmp_path: Path, image: Path) -> None:
    run = make_run(tmp_path / "run")
    process = pose("show-maps", run, image, "--out", tmp_path / "maps", "--each")
    assert process.returncode == 0, process.stderr
    names = ["frame.png", "frame.stage1.keypoints.heatmap.png", "frame.stage1.keypoints.locref.png"]
    assert process.stdout.splitlines() == [str(tmp_path / "maps" / name) for name in names]
    assert sorted(p.name for p in (tmp_path / "maps").iterdir()) == names
    one, each = (cv2.imread(str(tmp_path / "maps" / name)) for name in names[:2])
    # The frame after its stage, and a row of three panels; a row of two keypoints.
    assert one.shape[0] > 1.5 * each.shape[0]
    assert each.shape[1] < one.shape[1]


def test_show_maps_of_a_video_takes_the_frames_that_are_named(tmp_path: Path) -> None:
    video = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for number in range(12):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    run = make_run(tmp_path / "run")
    drawn = pose_core.draw_maps(run, video, tmp_path / "maps", frames=[7, 2, 7])
    assert [path.name for path in drawn] == ["clip_000007.png", "clip_000002.png"]
    drawn = pose_core.draw_maps(run, video, tmp_path / "maps")
    assert [path.name for path in drawn] == [f"clip_{n:06d}.png" for n in (1, 4, 7, 10)]
    with pytest.raises(DataError, match=r"clip.avi: has no frame 12; it has 12 frames, numbered from 0"):
        pose_core.draw_maps(run, video, tmp_path / "maps", frames=[12])


def test_what_show_maps_cannot_do_is_one_line(pose: Any, tmp_path: Path, image: Path) -> None:
    run = make_run(tmp_path / "run")
    assert "must be numbers of frames" in pose.refuses("show-maps", run, image, "--frames", "a", "--out", "m")
    with pytest.raises(ConfigError, match="is one picture, not one picture an output; name a folder"):
        pose_core.draw_maps(run, image, tmp_path / "a.png", each=True)
    file = tmp_path / "file"
    file.write_text("here")
    with pytest.raises(ConfigError, match="is a file; choose another name"):
        pose_core.draw_maps(run, image, file)


SEVERAL = {"keypoints": ["nose", "tail"], "edges": [["nose", "tail"]], "individuals": ["ann", "bob"]}


def make_model(heads: dict[str, Any], preprocess: dict[str, Any] | None = None, **skeleton: Any) -> Any:
    """A tiny network with these heads, and random weights."""
    torch.manual_seed(0)
    backbone = {"type": "unet/unet", "filters": 4, "max_stride": 8, "output_stride": 4}
    model = {
        "name": "tiny",
        "preprocess": {"scale": 1.0, **(preprocess or {})},
        "backbone": backbone,
        "heads": heads,
    }
    several = {"method": "bottom_up"} if "individuals" in skeleton else {}
    spec = {"skeleton": skeleton, "data": {"source": "nowhere"}, "model": {**model, **several}}
    return build_model(RunSpec.model_validate(spec)).eval()


def looks_at(model: Any, size: int = 64) -> NetworkLook:
    looks: list[NetworkLook] = []
    with record_networks(looks):
        model.predict(torch.full((1, 3, size, size), 90, dtype=torch.uint8))
    (look,) = looks
    return look


def test_the_candidates_of_affinity_fields_are_drawn_before_the_animals() -> None:
    head = {"type": "paf/paf", "predictor": {"type": "paf/assembly", "threshold": 0.0}}
    look = looks_at(make_model({"keypoints": head}, **SEVERAL))
    assert look.outputs["keypoints"]["paf"].view == MapView("vector", ("nose–tail",))
    candidates, animals = look.found
    assert (candidates.name, candidates.candidates) == ("keypoints: candidates", True)
    assert (np.isfinite(candidates.keypoints).all(-1).sum(-1) <= 1).all()
    assert len(candidates.keypoints) > len(animals.keypoints)
    assert [panel.title for panel in look.panels()][-1] == "keypoints: candidates"


def test_candidates_of_one_head_that_another_groups_are_crosses() -> None:
    heads = {
        "keypoints": {"type": "heatmap/heatmap", "predictor": {"type": "heatmap/peaks", "threshold": 0.0}},
        "fields": {"type": "paf/fields"},
    }
    look = looks_at(make_model(heads, **SEVERAL))
    first = look.found[0]
    assert (first.name, first.candidates) == ("after keypoints", True)


def test_offsets_of_dekr_point_from_the_centre_to_the_keypoint() -> None:
    model = make_model({"keypoints": {"type": "dekr/dekr"}}, **SEVERAL)
    look = looks_at(model)
    offset, heatmap = (look.outputs["keypoints"][name] for name in ("offset", "heatmap"))
    assert heatmap.view.labels[-1] == offset.view.read_label == "centre of the animal"
    assert heatmap.colours[:2] == offset.colours
    outputs = model(model.normalise(torch.full((1, 3, 64, 64), 90, dtype=torch.uint8)))["keypoints"]
    # Where the head says (in cells, backwards) and where the arrow of its first cell ends (in pixels).
    ends = 1.5 - 4 * outputs["offset"][0, :, 0, 0]
    assert offset.grids[0].offset + offset.values[:, 0, 0] == pytest.approx(ends.detach().numpy(), abs=1e-4)


def test_distributions_of_simcc_sum_to_one_over_the_input() -> None:
    head = {"type": "rtmpose/simcc"}
    model = make_model({"keypoints": head}, {"size": [64, 64]}, keypoints=["nose", "tail"])
    look = looks_at(model)
    for axis in ("x", "y"):
        shown = look.outputs["keypoints"][axis]
        assert shown.view.axis == axis
        assert shown.values.sum(-1) == pytest.approx(1, abs=1e-4)
        grid = shown.grids[0]
        assert grid.stride * shown.values.shape[-1] == 64
        last = grid.offset + grid.stride * (shown.values.shape[-1] - 1)
        assert (grid.offset, last) == pytest.approx((-0.25, 63.25), abs=0.01)


def test_individuals_of_identity_maps_compete() -> None:
    heads = {"keypoints": {"type": "paf/paf"}, "identity": {"type": "heatmap/identity"}}
    look = looks_at(make_model(heads, **SEVERAL, identified=True))
    shown = look.outputs["identity"]["identity"]
    assert (shown.view.meaning, shown.view.labels) == ("class", ("ann", "bob"))
    assert shown.values.sum(0) == pytest.approx(1, abs=1e-5)


def test_a_crop_around_a_box_of_a_file_is_an_input_of_its_own(tmp_path: Path, image: Path) -> None:
    preprocess = {"scale": 1.0, "size": [32, 32], "min_box": 16.0}
    run = make_run(tmp_path / "run", model={"method": "top_down", "preprocess": preprocess})
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("image,x1,y1,x2,y2\nother.png,0,0,9,9\nframe.png,5,5,30,30\n")
    rows: list[Any] = []
    original = show_maps.draw_sheet

    def watch(title: str, drawn: Any, *more: Any) -> Any:
        rows.extend(drawn)
        return original(title, drawn, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(show_maps, "draw_sheet", watch)
        pose_core.draw_maps(run, image, tmp_path / "maps.png", boxes=boxes)
    assert [row.title for row in rows] == ["frame", "stage 2"]  # a project of one animal
    assert [panel.title for panel in rows[0].panels] == ["stage 1: boxes", "stage 2: crops", "result"]
    assert [panel.shape for panel in rows[1].panels] == [1.0] * 3

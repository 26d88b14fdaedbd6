"""The head with its codec and its loss."""

import pytest
import torch
from pose_core.interfaces import BuildContext, Head, Labels, Predictions
from pose_core.specs import AnyHead, Feature
from pose_core.structures import Skeleton
from pydantic import TypeAdapter, ValidationError

HEAD, LOSS = "{{ cookiecutter.namespace }}/integral", "{{ cookiecutter.namespace }}/integral_huber"
SKELETON = Skeleton(("nose", "tail"))


def make() -> Head:
    config = TypeAdapter(AnyHead).validate_python({"type": HEAD})
    head: Head = BuildContext(SKELETON, features=(Feature(8, 4),)).build("head", config)
    return head


def labels(*points: list[list[float]]) -> Labels:
    keypoints = torch.tensor(points)[:, None]
    return Labels.from_keypoints(keypoints)


NAN = float("nan")
LABELS = labels([[3.0, 4.0], [20.5, 9.25]], [[30.0, 1.0], [NAN, NAN]], [[NAN, NAN], [NAN, NAN]])


def test_a_map_with_one_high_cell_gives_its_centre() -> None:
    head = make()
    with torch.no_grad():
        head.where.weight.fill_(1.0)  # type: ignore[union-attr, operator]
    feature = torch.zeros(1, 8, 6, 10)
    feature[:, :, 2, 7] = 100.0
    (position,) = head([feature])["position"]
    torch.testing.assert_close(position, torch.tensor([[7.0, 2.0]] * 2))


def test_what_is_encoded_is_decoded() -> None:
    head = make()
    targets = head.target_generator(LABELS, {})
    found = head.decode({name: target.value for name, target in targets.items()}, Predictions.none(3, SKELETON))
    seen = torch.isfinite(LABELS.keypoints).all(-1)
    torch.testing.assert_close(found.keypoints[seen], LABELS.keypoints[seen])
    assert not found.keypoint_scores[~seen].any()


def test_what_is_not_labelled_has_no_influence() -> None:
    head = make()
    outputs = {"position": torch.randn(3, 2, 2), "confidence": torch.rand(3, 2)}
    before = head.loss(outputs, LABELS)
    outputs["position"][1, 1], outputs["confidence"][1, 1] = 1e6, 0.0
    for name, value in head.loss(outputs, LABELS).items():
        torch.testing.assert_close(value, before[name])


def test_nothing_labelled_is_no_error() -> None:
    head = make()
    nothing = labels([[NAN, NAN], [NAN, NAN]])
    losses = head.loss({"position": torch.randn(1, 2, 2), "confidence": torch.rand(1, 2)}, nothing)
    assert losses["position"] == 0
    assert torch.isfinite(losses["confidence"])


def test_mistakes_are_named() -> None:
    with pytest.raises(ValidationError, match="no output angle"):
        TypeAdapter(AnyHead).validate_python({"type": HEAD, "losses": {"angle": {"type": LOSS}}})

"""What a user can write about these trackers. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pose_core.specs import TrackerConfig


class MotionTrackerConfig(TrackerConfig):
    """What trackers share that predict where an animal goes."""

    track_high_threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Animals from this score on are matched first. Scores of all thresholds are relative to the "
        "video's own: 1 is what 5 % of the animals so far exceed.",
    )
    track_low_threshold: float = Field(
        0.1, ge=0, le=1, description="Animals from this score on may continue a track that is left."
    )
    new_track_threshold: float = Field(
        0.5, ge=0, le=1, description="Animals from this score on may start a track."
    )
    min_match_similarity: float = Field(
        0.2, ge=0, lt=1, description="Similarity up to which an animal is not the one of a track, in no case."
    )
    second_match_similarity: float = Field(
        0.3, ge=0, lt=1, description="The same for animals below track_high_threshold."
    )
    duplicate_similarity: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Similarity from which on an animal without a track is taken for a second detection of one "
        "that has one, and starts none.",
    )
    track_buffer: int = Field(
        30, ge=0, description="Frames after which a track that is not seen ends (0: with the first)."
    )
    gate: float = Field(
        1.0,
        gt=0,
        description="Farthest from where it is expected that an animal is looked for, in its sizes; more, the "
        "longer it was not seen.",
    )
    measurement_noise: float = Field(
        0.05, gt=0, description="Kalman filter: standard deviation of a measured centre, in sizes."
    )
    position_noise: float = Field(
        0.05, gt=0, description="Kalman filter: standard deviation that a frame adds to the centre, in sizes."
    )
    velocity_noise: float = Field(
        0.03,
        gt=0,
        description="Kalman filter: standard deviation that a frame adds to the velocity, in sizes.",
    )
    velocity_decay: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Factor of the velocity in each frame in which an animal is not seen, from the third on.",
    )


class OksConfig(MotionTrackerConfig):
    """Object keypoint similarity to where the keypoints of a track are expected."""

    oks_stddev: float = Field(
        0.13,
        gt=0,
        description="Tolerance of keypoints (sigma of the object keypoint similarity) between frames, relative to "
        "size.",
    )
    centre_weight: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share of the similarity of centres, which still tells near from far where no keypoint agrees.",
    )
    track_window: int = Field(
        5, ge=1, description="Frames for which a keypoint that is not found is expected where it was last."
    )

    def needs(self) -> tuple[str, ...]:
        """Places of keypoints."""
        return ("keypoints",)


class BoxesConfig(MotionTrackerConfig):
    """Overlap with where the box of a track is expected, with the corrections of OC-SORT."""

    min_match_similarity: float = Field(
        0.3, ge=0, lt=1, description="Overlap up to which an animal is not the one of a track, in no case."
    )
    box_padding: float = Field(
        0.1, ge=0, description="Added to boxes on each side, in sizes: a thin animal has a box without area."
    )
    inertia: float = Field(
        0.2, ge=0, description="Weight of the direction that a match would mean, against the one so far."
    )
    delta_t: int = Field(3, ge=1, description="Frames over which the direction so far is measured.")
    use_byte: bool = Field(
        True, description="Whether animals with low scores may continue tracks that are left (ByteTrack)."
    )

    def needs(self) -> tuple[str, ...]:
        """Boxes; those around keypoints will do."""
        return ("boxes",)


class FlowConfig(TrackerConfig):
    """Poses of the last frames, moved by optical flow, beside those of the new one."""

    track_window: int = Field(
        5,
        ge=1,
        description="Frames from which animals are moved to the new one; a track that is not seen in any ends.",
    )
    similarity: Literal["oks", "centroid", "iou"] = Field(
        "oks",
        description="What is compared: keypoints (object keypoint similarity), the mean of the keypoints, or the "
        "overlap of the boxes around them.",
    )
    match: Literal["hungarian", "greedy"] = Field(
        "hungarian",
        description="All animals of a frame together, or one after another, the most similar first.",
    )
    robust: float = Field(
        0.95,
        ge=0,
        le=1,
        description="Quantile of the similarities of an animal with the moved poses of a track that counts; 1: the "
        "highest.",
    )
    min_match_similarity: float = Field(
        0.1, ge=0, lt=1, description="Similarity up to which an animal is not the one of a track, in no case."
    )
    oks_stddev: float = Field(
        0.13,
        gt=0,
        description="Tolerance of keypoints (sigma of the object keypoint similarity), relative to size.",
    )
    min_match_points: int = Field(
        0, ge=0, description="Keypoints that the flow must find of a moved pose for it to count."
    )
    min_new_track_points: int = Field(0, ge=0, description="Keypoints that an animal needs to start a track.")
    duplicate_similarity: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Similarity of keypoints from which on an animal without a track is taken for a second detection "
        "of one that has one, and starts none.",
    )
    img_scale: float = Field(
        1.0, gt=0, le=1, description="Factor by which images are made smaller before the flow is computed."
    )
    of_window_size: int = Field(
        21,
        ge=3,
        description="Side of the square around a keypoint that the flow compares, in pixels of the scaled image.",
    )
    of_max_levels: int = Field(
        3, ge=0, description="Times that images are halved to follow fast animals (levels of the pyramid)."
    )

    def needs(self) -> tuple[str, ...]:
        """Keypoints, and the images in which they were found."""
        return ("keypoints", "images")


class IdentityConfig(TrackerConfig):
    """Names that the model stored, and nothing else."""

    min_identity_score: float = Field(
        0.0, ge=0, le=1, description="Names with a lower score are not believed."
    )
    track_buffer: int = Field(
        0,
        ge=0,
        description="Frames after which the track of a name ends when it is not seen, and a new one begins; 0: never.",
    )

    def needs(self) -> tuple[str, ...]:
        """Names."""
        return ("identities",)

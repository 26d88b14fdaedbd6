"""Level 0: features that configs of backbones declare. No torch."""

from __future__ import annotations

from pose_core.specs import BackboneConfig, Feature
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.targets import ComponentSubject


@check(0, "backbone")
def check_backbone_states_its_features(subject: ComponentSubject) -> None:
    """features() says channels and stride of each map, from fine to coarse, and size_multiple() suits the
    strides."""
    config = subject.config
    assert isinstance(config, BackboneConfig)
    features = config.features()
    demand(features, "features() is empty")
    demand(all(isinstance(f, Feature) for f in features), "features() must hold pose_core.specs.Feature")
    strides = [f.stride for f in features]
    demand(strides == sorted(strides), f"features() must go from fine to coarse, not by strides {strides}")
    demand(
        all(f.channels > 0 and f.stride > 0 for f in features),
        f"channels and strides must be positive: {features}",
    )
    multiple = config.size_multiple()
    # Images are padded to this multiple, so that every map has a whole number of cells.
    odd = [s for s in strides if multiple % s]
    demand(not odd, f"size_multiple() {multiple} is no multiple of the strides {odd}")


CHECKS = (check_backbone_states_its_features,)

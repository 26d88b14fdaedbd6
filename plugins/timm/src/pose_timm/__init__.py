"""The networks of timm as backbones for pose_core."""

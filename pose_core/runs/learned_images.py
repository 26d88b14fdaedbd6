"""List the images that the weights of a run have learned from."""

from __future__ import annotations

from pose_core.data.split import LEARNED
from pose_core.runs.run_folder import Run
from pose_core.specs import RunBase

EARLIER = "learned"
"""Entry of ``weights`` in the provenance: hashes of the images that the run which these come from has learned."""


def list_learned(run: Run[RunBase]) -> list[str]:
    """List the images that a run was trained on or chosen by, and those of the run that it started from.

    Returns:
        hashes, see :func:`pose_core.data.fingerprint.hash_image`; none for runs that do not say.
    """
    own, weights = run.provenance.get("image_hashes"), run.provenance.get("weights")
    lists = [own.get(part) for part in LEARNED] if isinstance(own, dict) else []
    lists.append(weights.get(EARLIER) if isinstance(weights, dict) else None)
    return list(dict.fromkeys(str(value) for found in lists if isinstance(found, list) for value in found))

import tempfile
from pathlib import Path

import torch

from pose_core.errors import RunError
from pose_core.interfaces import Imported, ImportedNetwork, Importer
from pose_core.specs import ImporterConfig


class Plain(Importer):
    """Weights of a tool that keeps a U-Net's tensors in NumPy's format, under our names."""

    def read(
        self,
        snapshot: Path,
        config: Path | None = None,
        detector: Path | None = None,
        data: Path | None = None,
    ) -> Imported:
        import numpy as np

        try:
            arrays = dict(np.load(snapshot, allow_pickle=False))  # never run code from a file
        except (OSError, ValueError) as error:
            raise RunError(f"{snapshot}: cannot be read ({error})") from None
        weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return Imported(ImportedNetwork({"model": {"backbone": {"type": "unet/unet"}}}, weights, snapshot))


with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "old.npz")
    import numpy as np

    np.savez(file, **{"backbone.stem.weight": np.zeros((1, 3, 3, 3), np.float32)})
    assert list(Plain(ImporterConfig()).read(file).network.weights) == ["backbone.stem.weight"]

from collections.abc import Iterable

from pose_core.hooks import SupplierSpec, hookimpl


@hookimpl
def pose_suppliers() -> Iterable[SupplierSpec]:
    yield SupplierSpec(
        "arena",
        gives="boxes",
        stage={"type": "toy/arena"},
        takes=("file",),
        metavar="FILE",
        help="A YAML file with the box of the arena, in the place of a detector.",
    )

"""The spec of the optimiser: those of torch by name, with their own options."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from pose_core.specs.base import Spec

Rate = Annotated[float, Field(gt=0)]
"""A learning rate."""

OPTIMIZERS: Mapping[str, tuple[str, ...]] = {
    "adadelta": ("rho", "eps"),
    "adafactor": ("beta2_decay", "eps", "d"),
    "adagrad": ("lr_decay", "initial_accumulator_value", "eps"),
    "adam": ("betas", "eps", "amsgrad", "decoupled_weight_decay"),
    "adamax": ("betas", "eps"),
    "adamw": ("betas", "eps", "amsgrad"),
    "asgd": ("lambd", "alpha", "t0"),
    "nadam": ("betas", "eps", "momentum_decay", "decoupled_weight_decay"),
    "radam": ("betas", "eps", "decoupled_weight_decay"),
    "rmsprop": ("alpha", "eps", "momentum", "centered"),
    "rprop": ("etas", "step_sizes"),
    "sgd": ("momentum", "dampening", "nesterov"),
}
"""Options of the optimisers of ``torch.optim`` that train any network: the names that a training may ask for.

A table, since configurations are read without torch; a test compares it with the torch that is installed. Options
that say how torch computes (``foreach``, ``fused``) are none of a training's. LBFGS asks for the loss several times
a step, SparseAdam takes sparse gradients only, and Muon matrices only.
"""

WITHOUT_WEIGHT_DECAY = ("rprop",)
"""Optimisers that know no weight decay."""

Option = bool | int | float | None | tuple[float | None, ...]


def _check_name(name: object) -> object:
    if isinstance(name, str) and name not in OPTIMIZERS:
        near = difflib.get_close_matches(name.lower(), OPTIMIZERS, n=3, cutoff=0.5)
        advice = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(OPTIMIZERS)}"
        raise PydanticCustomError(
            "optimizer", "there is no optimiser {name}; {advice}", {"name": repr(name), "advice": advice}
        )
    return name


class OptimizerSpec(Spec):
    """Optimiser of all parameters."""

    name: Annotated[
        Literal[
            "adadelta",
            "adafactor",
            "adagrad",
            "adam",
            "adamax",
            "adamw",
            "asgd",
            "nadam",
            "radam",
            "rmsprop",
            "rprop",
            "sgd",
        ],
        BeforeValidator(_check_name),
    ] = Field("adamw", description="Which optimiser of torch.optim, in lower case.")
    BASE_BATCH: ClassVar[int] = 8
    """Images a step that ``base_lr`` is for."""

    lr: Rate | Literal["auto"] = Field(
        "auto",
        description="Highest learning rate; auto: base_lr, more for larger batches and less for smaller ones "
        "(by the square root of their size; sgd: in proportion).",
    )
    base_lr: Rate = Field(
        1e-3, description="The learning rate for batches of 8, from which lr: auto goes out."
    )
    weight_decay: float = Field(1e-4, ge=0, description="Not applied to biases and normalisation parameters.")
    options: dict[str, Option] = Field(
        default_factory=dict,
        description="Options of the optimiser as torch names them, such as {betas: [0.9, 0.99]}; those that "
        "are left out are torch's, of sgd momentum 0.9 with nesterov.",
    )
    lr_factors: dict[str, Rate] = Field(
        default_factory=dict,
        description="Learning rates of parts as fractions of lr, by the beginning of their names: "
        "{backbone: 0.1}, {heads.keypoints: 2}; the longest that fits counts.",
    )
    layer_decay: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Factor of the learning rate from each stage of the backbone to the one before it, the "
        "last stage beside what follows it included; null: none. For backbones that give an order of stages.",
    )

    @model_validator(mode="after")
    def _options_are_known(self) -> OptimizerSpec:
        known = OPTIMIZERS[self.name]
        for option in self.options:
            if option in known:
                continue
            near = difflib.get_close_matches(option, known, n=2, cutoff=0.6)
            advice = f"did you mean {' or '.join(near)}?" if near else f"its options are {', '.join(known)}"
            if option in ("lr", "weight_decay"):
                advice = f"it is train.optimizer.{option}"
            raise PydanticCustomError(
                "optimizer",
                "options: {name} has no option {option}; {advice}",
                {"name": self.name, "option": repr(option), "advice": advice},
            )
        if self.name in WITHOUT_WEIGHT_DECAY and self.weight_decay:
            raise PydanticCustomError(
                "optimizer", "{name} has no weight decay; set weight_decay: 0", {"name": self.name}
            )
        return self


class DecidedOptimizerSpec(OptimizerSpec):
    """The same with a learning rate that is decided."""

    lr: Rate

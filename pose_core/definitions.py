"""Definitions that hooks return: frozen dataclasses that name classes by strings. Imported from
:mod:`pose_core.hooks`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Any: what YAML can hold is known only after validation, and each consumer indexes what it knows of it.
Content = Mapping[str, Any]
"""Keys and values as a YAML file holds them: a partial configuration, or a section of one."""

# In the order in which heads are added: identity comes last, for it names what other heads found.
NEEDS: Mapping[str, str] = {
    "unique_keypoints": "the skeleton has keypoints that exist once a frame",
    "identity": "the skeleton has several individuals, and each is the same animal in every frame",
}
"""Features of some skeletons that only some heads learn; see :class:`ExtraHead` and :class:`ModelRecipe`."""


RECOMMENDED: Mapping[str, str] = {
    "cpu": "learns within minutes on a CPU, from random weights and a hundred images",
    "gpu": "needs a GPU, and pretrained weights or a thousand images; more exact then",
}
"""Situations in which a backbone preset is a good choice for somebody who names no model."""


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """Who a plugin is.

    Attributes:
        namespace: prefix of its full names (``namespace/name``); equals the name of its entry point.
        summary: one line.
        license: SPDX identifier of the code.
        hook_api: version of this page the plugin was written for, ``"major.minor"``.
        citations: the works whose methods it implements: keys of entries in ``citations.bib``, a BibTeX file
            beside the module of the plugin's entry point. Those of definitions below are keys of the same
            file.
    """

    namespace: str
    summary: str
    license: str
    hook_api: str
    citations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of component: one row of :data:`pose_core.kinds.KINDS`, or of a plugin.

    Classes and modules are named by strings, so that listing kinds imports none of them.

    Attributes:
        name: bare name; a kind that a plugin opens is called ``namespace/name``.
        summary: one line: what goes in and what comes out.
        config: ``"package.module:Class"``, the base of the configs of its components; imports no torch.
            ``""``: its components have no config, and no YAML file names them.
        interface: ``"package.module:Class"``, what the factories of its components are subclasses of; ``""``
            where they may be anything that can be called.
        checks: modules whose ``CHECKS`` are conformance checks of its components. They may import torch.
        config_checks: modules of checks of level 0, which import no torch.
        harness: ``"package.module:Class"``, a harness that builds and runs its components as networks, so
            that the checks of all networks apply; ``""`` for what has no parameters.
        keys: keys of a configuration that hold components of this kind, beside its own name: ``("heads",)``.
        listing: the command that lists its components (``detectors``); ``""`` without one.
    """

    name: str
    summary: str
    # Strings instead of classes, here and below: importing the class would import torch or the plugin's
    # networks.
    config: str = "pose_core.specs:ComponentConfig"
    interface: str = ""
    checks: tuple[str, ...] = ()
    config_checks: tuple[str, ...] = ()
    harness: str = ""
    keys: tuple[str, ...] = ()
    listing: str = ""


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """One component that a YAML file can name.

    Attributes:
        kind: one of :data:`pose_core.kinds.KINDS`, or ``namespace/kind`` for one that a plugin opened.
        name: bare name, unique within kind and plugin.
        config: ``"package.module:Class"``, a subclass of the config base of the kind. The module imports no
            torch. ``""`` in kinds whose components have no config.
        factory: ``"package.module:Class"``, called as ``factory(config, context)``; see
            ``pose_core.interfaces``.
        summary: one line, shown by ``pose show``.
        tags: free words for filtering.
        citations: works beyond those that the plugin cites.
        requires: namespaces of other plugins whose components its settings name by default, also those that
            these name in turn, ``("other",)``. Without these plugins the named models that use it are not
            offered.
        weights_license, weights_source: licence (SPDX, or its name) of pretrained weights that it fetches by
            itself, and one line on what they were trained on and by whom; where ``pose_weights`` describes
            them they may be left out.
    """

    kind: str
    name: str
    config: str
    factory: str
    summary: str
    tags: tuple[str, ...] = ()
    citations: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    weights_license: str = ""
    weights_source: str = ""


@dataclass(frozen=True, slots=True)
class BackbonePreset:
    """A named, configured backbone. Every recipe turns it into a model.

    Attributes:
        name: bare name (``mynet_50``), by which models are called.
        family: the group it is listed under.
        backbone: the component as YAML would have it, ``{"type": "mynet/mynet", "depth": 50}``.
        summary: one line.
        spec: defaults it wants in any model, a partial run spec (``{"train": {...}}``); also the neck that
            joins its maps, ``{"model": {"neck": {...}}}``.
        overrides: further defaults by method, ``{"single_animal": {"model": {...}}}``.
        citations: works beyond those that its plugin and its component cite.
        recommended: where it is taken when a user names no model, words of :data:`RECOMMENDED`.
    """

    name: str
    family: str
    backbone: Content
    summary: str
    spec: Content = field(default_factory=dict)
    overrides: Mapping[str, Content] = field(default_factory=dict)
    citations: tuple[str, ...] = ()
    recommended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """Recipe that makes a model of one method of any backbone.

    Attributes:
        name: template of the model's name, containing ``{backbone}``.
        method: name of a :class:`MethodSpec`.
        summary: template of one line, may contain ``{backbone}``.
        spec: partial run spec without the backbone, ``{"model": {"heads": {...}}}``.
        wrapper: a backbone component that has the named backbone within it, under the key ``backbone`` of its
            config and as attribute ``backbone``; empty: the named backbone is used as it is.
        citations: works of the method beyond those that plugins and components cite.
        needs: what the skeleton must have, one of :data:`NEEDS`, for a model whose heads learn nothing else of
            use; other projects are refused, and no such model is chosen for a user who names none. Empty: it
            is for all projects.
    """

    name: str
    method: str
    summary: str
    spec: Content
    wrapper: Content = field(default_factory=dict)
    citations: tuple[str, ...] = ()
    needs: str = ""


@dataclass(frozen=True, slots=True)
class ModelPreset:
    """A complete named architecture that is not simply recipe times backbone.

    Attributes:
        name: bare name.
        method: name of a :class:`MethodSpec`.
        family: the group it is listed under.
        summary: one line.
        spec: partial run spec, ``{"model": {...}, "train": {...}}``.
        citations: works beyond those that its plugin and its components cite.
        backbone: full name of a :class:`BackbonePreset` that it is built on, ``"mynet/mynet_50"``, which
            gives the component and its defaults; ``spec`` overrides them. Empty: ``spec`` says the backbone
            itself.
        wrapper: with ``backbone``: a backbone component around it, as in :class:`ModelRecipe`.
    """

    name: str
    method: str
    family: str
    summary: str
    spec: Content
    citations: tuple[str, ...] = ()
    backbone: str = ""
    wrapper: Content = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExtraHead:
    """A head that named models get by themselves where the project's skeleton calls for it and they have none
    of the kind. The user says no with ``model.heads.NAME: null``.

    Attributes:
        name: of the head within the model; one plugin offers one for each need and method.
        needs: what the skeleton must have, one of :data:`NEEDS`.
        head: the component as YAML would have it, ``{"type": "mynet/corners"}``. Its config's
            ``predicts_unique`` or ``predicts_identity`` says that it does what is needed. A key ``feature``
            that it lacks is taken from the heads that the model has.
        methods: names of the methods of the models that get it.
        summary: one line.
    """

    name: str
    needs: str
    head: Content
    methods: tuple[str, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class WeightSpec:
    """Pretrained weights that can be named on the command line.

    Attributes:
        name: bare name.
        model: full name of the backbone preset, model or detector they fit.
        url: where they are downloaded from.
        sha256: of the file, or its first digits (8 at least); checked after download.
        license: SPDX identifier or name of the licence of the weights.
        source: what they were trained on and by whom, one line.
        keypoints: names of the keypoints in output order, for weights of whole models.
        converter: ``"package.module:function"``, from the tensors of the file by name to those of the part
            that ``model`` names (backbone, detector or whole network); none needed where the names agree.
        inert: beginnings of the full names of classes (``numpy.``) whose objects the file holds beside its
            tensors; they are left out, and none of their code is run. Files with others are refused.
    """

    name: str
    model: str
    url: str
    sha256: str
    license: str
    source: str
    keypoints: tuple[str, ...] = ()
    converter: str = ""
    inert: tuple[str, ...] = ()


LEARNED = ("poses", "boxes")


@dataclass(frozen=True, slots=True)
class ZooNetwork:
    """A trained network that is published, and is used by its name wherever a run is.

    Its file is downloaded once, and a run is made of it in the user's cache. It is called ``project/network``.

    Attributes:
        project: what the networks of a zoo have in common that find the same keypoints, and the detectors for
            them; a word.
        network: within the project; a word.
        url: where its file is downloaded from.
        license: SPDX identifier or name of the licence of the weights.
        source: what it was trained on and by whom, one line.
        description: what a file of weights alone does not say, as keys and values: with an importer what its tool
            writes beside its weights; without one the ``config.yaml`` of a run, which may leave out what has a
            default.
        description_file: a YAML file within a package that holds the description, ``"package:folder/file.yaml"``,
            where that is easier.
        keypoints: names of the keypoints in output order; of a detector none.
        importer: the importer component that reads the file, as YAML has it, ``{"type": "mytool/mytool"}``;
            empty where the file holds the weights of a run.
        trains: what it has learned: ``poses`` or ``boxes``.
        sha256: of the file, or its first digits (8 at least). Empty where none is published: then the checksum of
            the first download is kept, and compared from then on.
        size: of the file in bytes; 0 where it is not known.
        converter: without an importer, ``"package.module:function"``, from the tensors of the file by name to those
            of the network (of a detector, those of its component); none needed where the file is the
            ``weights.safetensors`` of a run.
        citations: works that describe it, keys in the plugin's ``citations.bib``.
    """

    project: str
    network: str
    url: str
    license: str
    source: str
    description: Content = field(default_factory=dict)
    description_file: str = ""
    keypoints: tuple[str, ...] = ()
    importer: Content = field(default_factory=dict)
    trains: str = "poses"
    sha256: str = ""
    size: int = 0
    converter: str = ""
    citations: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``project/network``."""
        return f"{self.project}/{self.network}"


VIEWS = ("frame", "animal")
ANIMALS = ("one", "several")
HEADS = ("one", "several", "any")
LEARNS = ("keypoints", "centres")
TAKES = ("run", "file", "memory", "labels")


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """A way of predicting: what the network sees, and which stages predict with it.

    Attributes:
        name: bare name, ``model.method`` of a configuration.
        summary: one line.
        view: what the network sees: the whole ``frame``, or a crop around one ``animal``.
        animals: ``one`` or ``several`` of a frame are found.
        heads: how many animals the heads find in one input of the network: ``one``, ``several``, or ``any``.
        stages: name -> component of the kind ``stage`` as YAML would have it, in order. Users change their
            settings at ``inference.stages.NAME``.
        inputs: names of the extra inputs of the network (``model.inputs``) that the stages fill.
        learns: what of an animal its network learns and finds: all its ``keypoints``, or ``centres``, one point
            an animal (``model.preprocess.centre`` says which) whatever the keypoints of the project are.
    """

    name: str
    summary: str
    view: str
    animals: str
    heads: str
    stages: Content
    inputs: tuple[str, ...] = ()
    learns: str = "keypoints"


@dataclass(frozen=True, slots=True)
class SupplierSpec:
    """A source of what a stage needs: a stage that is put ahead of it where a user asks for it by name.

    Attributes:
        name: a word: the option (``--detector``), the argument (``detector=``) and the folder within a run
            (``stages/detector``).
        gives: the need that it answers: ``boxes``, ``poses``, ``centres``, or a word of the plugin.
        stage: the component of the kind ``stage`` as YAML would have it.
        takes: what it may be given: the ``run`` of a network, a ``file``, poses that come with each image in
            ``memory`` (in Python), or nothing but the ``labels`` of the images that are evaluated.
        metavar: of the option, ``RUN|FILE``.
        help: of the option, one line.
        trains: what the network of a run that it takes has learned: ``boxes`` or ``poses``; empty: either.
    """

    name: str
    gives: str
    stage: Content
    takes: tuple[str, ...]
    metavar: str
    help: str
    trains: str = ""


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A command that a plugin adds to ``pose``.

    Attributes:
        name: the word after ``pose``; not that of another command.
        app: ``"package.module:app"``, a typer application. It is imported when the command is called, and not
            for ``pose --help``. One with a single command is called as ``pose NAME``, one with several as
            ``pose NAME COMMAND``.
        summary: one line, shown by ``pose --help``.
    """

    name: str
    app: str
    summary: str


@dataclass(frozen=True, slots=True)
class FormerName:
    """A name by which users of another tool or version ask for what has another name here.

    It is no second name: asking for it fails, and the message says what is meant.

    Attributes:
        name: what they write, ``fasterrcnn_resnet50_fpn``; upper and lower case, ``-`` and ``_`` are the same.
        kind: of what it stands for: ``model``, ``weights`` or a kind of component.
        now: what it is called here, one name or several that it may mean.
        of: where it is called so, ``TOOL 2``.
    """

    name: str
    kind: str
    now: tuple[str, ...]
    of: str

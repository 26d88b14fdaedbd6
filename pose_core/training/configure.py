"""Build the configuration of a training from names, a file and options.

Values may still be ``auto``.

What is said of a network under ``stages`` stands above what is said of the whole command: a component's or
preset's defaults < keys of ``train`` that are meant for the machine < options < ``stages.NAME``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pose_core.catalog import Model, get_catalog
from pose_core.catalog.merge import merge
from pose_core.errors import ConfigError, argument, command, setting
from pose_core.model.device import choose_device
from pose_core.runs.run_folder import Run
from pose_core.runs.start import NONE, run_of
from pose_core.specs import CUSTOM, AnyRunSpec, DetectorConfig, DetectorRunSpec, parse_component
from pose_core.specs.resolve import Layer, choose_model, read_section, resolve
from pose_core.specs.run import CENTRES, RunSpec, find_supplier, find_unneeded, stage_of_run
from pose_core.specs.validation_errors import Loc
from pose_core.specs.yaml_file import validate_as
from pose_core.structures import LabelledDataset
from pose_core.training.default_model import choose_default_model
from pose_core.training.written import Content, Written, check_skeleton, make_project_layer, read_component

OF_THE_MACHINE = ("seed", "device", "workers", "cache", "loggers", "precision")
"""Keys of ``train`` that hold for the networks under ``stages`` too, unless they say otherwise."""


@dataclass(frozen=True)
class Configured:
    """The configuration of a training before ``auto`` is decided.

    Attributes:
        spec: the configuration.
        trained: the trained networks that the model builds on, which are copied, by the name of what they
            supply.
        notes: what the user should know, a line each.
    """

    spec: AnyRunSpec
    trained: Mapping[str, Run[AnyRunSpec]]
    notes: tuple[str, ...]


def configure(
    written: Written, dataset: LabelledDataset, source: Path, model: str | None, networks: Mapping[str, str]
) -> Configured:
    """Make one configuration of all that is known.

    Args:
        written: by the user.
        dataset, source: the labelled project and where it is.
        model: name of a model.
        networks: by the name of what they supply, the name of a network to train or the folder of a trained
            one.

    Raises:
        ConfigError: a name, key or value is wrong.
        RunError: the folder of a trained network cannot be used.
    """
    project = make_project_layer(dataset, source)
    alone = _trained_alone(written, model, networks)
    if alone is not None:
        return _detector(written, dataset, project, alone)
    notes: list[str] = []
    layers = list(written.layers)
    if model is None and (layer := _model_of_weights(written.content)) is not None:
        layers.insert(0, layer)
    elif model is None and not networks and not _describes_model(written.content):
        chosen = choose_default_model(dataset, _device_kind(written.content), _method(written.content))
        model = chosen.model.full_name
        if chosen.weights is not None:
            layers.insert(0, Layer({"train": {"weights": chosen.weights}}))
        notes.append(
            f"model: {chosen.model.name} ({chosen.model.method}), since {chosen.reason}; "
            f"{argument('model', 'NAME')} takes another"
        )
    preset = _preset(model, layers, dataset)
    named = dict.fromkeys((*networks, *read_section(written.content.get("stages"), "stages")))
    method = preset.method if preset is not None else _method(written.content)
    crops = method is not None and get_catalog().method(method).view == "animal"
    centres = any(find_supplier(name).gives == CENTRES for name in named)
    if crops and centres and not _says_extent(preset, layers):
        # Below what the user writes: centres say nothing of the animals' size, so crops cannot follow it.
        layers.insert(0, Layer({"model": {"preprocess": {"extent": "auto"}}}))
        notes.append(
            f"model.preprocess.extent=auto, since centres have no size; {setting('model.preprocess.extent=SIDE')} "
            "takes another"
        )
    # First without the networks that it builds on: whether it needs them comes before what is wrong in them.
    alone_spec = resolve(preset, project, layers, stages={})
    for name in named:
        if problem := find_unneeded(name, alone_spec):
            called = argument(name) if name in networks else f"stages.{name}"
            raise ConfigError(
                f"{called}: {problem}{'' if name in networks else written.place('stages', name)}"
            )
    stages, trained = {}, {}
    for name in named:
        given = networks.get(name)
        if given is not None and Path(given).is_dir():
            stages[name], trained[name] = _trained_stage(written, name, Path(given))
        else:
            stages[name] = _stage(written, project, dataset, name, given, notes)
    spec = resolve(preset, project, layers, notes, stages)
    check_skeleton(spec.skeleton, dataset)
    if dataset.multi_animal and get_catalog().method(spec.model.method).animals == "one":
        raise ConfigError(
            f"model.method: {spec.model.method} finds one animal a frame, but the project has several "
            "individuals"
        )
    for name, run in trained.items():
        _check_trained(run.spec, spec, argument(name, networks[name]))
        notes += _note_centres(run.spec, spec, argument(name, networks[name]))
    return Configured(spec, trained, tuple(notes))


def _says_extent(preset: Model | None, layers: Sequence[Layer]) -> bool:
    """Whether the model or the user says anything of the extent of crops."""
    contents = [*(preset.layers if preset is not None else ()), *(layer.content for layer in layers)]
    models = [read_section(content.get("model"), "model") for content in contents]
    return any("extent" in read_section(m.get("preprocess"), "model.preprocess") for m in models)


def _check_trained(trained: AnyRunSpec, spec: RunSpec, origin: str) -> None:
    """Refuse a trained pose network that finds other keypoints; one of centres may be of any."""
    if not isinstance(trained, RunSpec) or trained.model.learns_centres():
        return
    if trained.skeleton.keypoints != spec.skeleton.keypoints:
        raise ConfigError(
            f"{origin}: finds {', '.join(trained.skeleton.keypoints)}; the project has "
            f"{', '.join(spec.skeleton.keypoints)}"
        )


def _note_centres(trained: AnyRunSpec, spec: RunSpec, origin: str) -> list[str]:
    """Note that a trained network finds other centres than the crops of the model have."""
    if spec.model.preprocess.extent is None:
        return []
    wanted = spec.model.preprocess.centre
    if isinstance(trained, RunSpec):
        # Of a project with one keypoint an animal all centres are that keypoint.
        if not trained.model.learns_centres() or trained.skeleton.num_keypoints == 1:
            return []
        found = trained.model.preprocess.centre
    else:
        found = trained.centre
    if found == wanted:
        return []
    note = (
        f"{origin}: learned the centre {found}, and crops are cut around the centre {wanted} in training: what "
        "lies between them is taken from the room that crops leave"
    )
    return [note]


def _describes_model(content: Content) -> bool:
    """Whether a file or assignments name a model, say what one is made of, or give weights of one."""
    model = read_section(content.get("model"), "model")
    weights = read_section(content.get("train"), "train").get("weights")
    named = any(key in model for key in ("name", "backbone", "heads"))
    return named or "stages" in content or weights not in (None, NONE)


def _device_kind(content: Content) -> str:
    name = read_section(content.get("train"), "train").get("device", "auto")
    # Anything but a text is refused later, when all is validated.
    return choose_device(name).type if isinstance(name, str) else "cpu"


def _method(content: Content) -> str | None:
    method = read_section(content.get("model"), "model").get("method")
    return method if isinstance(method, str) else None


def _trained_alone(written: Written, model: str | None, networks: Mapping[str, str]) -> str | None:
    """The detector that is trained by itself: its name, "" where a file describes it; None where a model is
    trained."""
    content = written.content
    if model is not None or "model" in content or content.get("trains") == "poses":
        return None
    boxes = [name for name in networks if find_supplier(name).trains == "boxes"]
    if "network" not in content and content.get("trains") != "boxes" and not boxes:
        return None
    if others := [name for name in networks if name not in boxes]:
        raise ConfigError(f"{argument(others[0])}: a detector builds on no other network; leave it out")
    if "stages" in content:
        raise ConfigError(
            "stages: where a detector is trained alone, its settings stand at the top: write train.epochs or "
            f"network.size, without 'stages.detector.'{written.place('stages')}"
        )
    name = networks[boxes[0]] if boxes else ""
    known = get_catalog().components("detector")
    if name and Path(name).is_dir() and not any(name in (c.name, c.full_name) for c in known):
        raise ConfigError(
            f"{argument(boxes[0], name)}: is a folder; add {argument('model', 'NAME')} to "
            f"train a pose network with that detector, or name "
            f"a detector to train and start it with {argument('weights', name)}"
        )
    return name


def _detector(written: Written, dataset: LabelledDataset, project: Layer, name: str) -> Configured:
    """The configuration of a detector by itself."""
    content, origin = _detector_content(written.layers, name, {})
    _check_detector_is_named(content, "", "detector")
    content = merge(project.content, content)
    spec = validate_as(content, origin, "", DetectorRunSpec)
    _check_name(spec.name, name, "detector")
    check_skeleton(spec.skeleton, dataset)
    return Configured(spec, {}, ())


def _detector_content(
    layers: Sequence[Layer], name: str | None, shared: Content
) -> tuple[Content, dict[Loc, str]]:
    """Merge a detector's settings: its own, those of all networks, the user's."""
    wanted: Content = {}
    origin: dict[Loc, str] = {}
    for layer in layers:
        wanted = merge(wanted, layer.content)
        origin.update(layer.origin)
    network = read_component(wanted.get("network"), "network")
    network = merge({"type": name} if name else {}, network)
    content = merge(merge(_wants(network), shared), {**wanted, **({"network": network} if network else {})})
    return content, origin


def _stage(
    written: Written, project: Layer, dataset: LabelledDataset, name: str, given: str | None, notes: list[str]
) -> Content:
    """Build the section of a network that is trained for the model."""
    own = written.below("stages", name)
    # The centres that crops are cut around are those that are to be found.
    model = read_section(written.content.get("model"), "model")
    preprocess = read_section(model.get("preprocess"), "model.preprocess")
    centre: Content = {"centre": preprocess["centre"]} if "centre" in preprocess else {}
    train = read_section(written.content.get("train"), "train")
    shared: Content = {"train": {key: train[key] for key in OF_THE_MACHINE if key in train}}
    # Any other weights are of the model alone, but "none" means that nothing is downloaded at all.
    if train.get("weights") == NONE:
        shared["train"]["weights"] = NONE
    shared = merge(shared, written.options.stage_layer().content)
    wanted: Content = {}
    for layer in own:
        wanted = merge(wanted, layer.content)
    if find_supplier(name).trains == "boxes":
        content, _ = _detector_content(own, given, merge(shared, centre))
        _check_detector_is_named(content, f"stages.{name}.", name)
        _check_name(content["network"]["type"], given, name)
        return {"trains": "boxes", **content}
    preset = _preset(given, own, dataset)
    if preset is None and "backbone" not in read_section(wanted.get("model"), f"stages.{name}.model"):
        raise ConfigError(
            f"stages.{name}: no model is named: use {argument(name, 'NAME')} ({command('models')} lists "
            "them) or write "
            f"stages.{name}.model.name"
        )
    if centre and preset is not None and get_catalog().method(preset.method).learns == "centres":
        shared = merge(shared, {"model": {"preprocess": centre}})
    inner: list[str] = []
    try:
        spec = resolve(preset, project, [Layer(shared), *own], inner)
    except ConfigError as error:
        raise ConfigError(f"stages.{name}.{error}") from None
    notes += [f"{name}: {note}" for note in inner]
    return stage_of_run(spec)


def _trained_stage(written: Written, name: str, folder: Path) -> tuple[Content, Run[AnyRunSpec]]:
    """Build the section of a trained network."""
    if name in read_section(written.content.get("stages"), "stages"):
        raise ConfigError(
            f"stages.{name}: cannot be changed, {folder} is trained; leave the section out"
            f"{written.place('stages', name)}"
        )
    run = Run.open(folder)
    return stage_of_run(run.spec), run


def _check_detector_is_named(content: Content, section: str, option: str) -> None:
    network = content.get("network")
    # Anything else that is no mapping is refused by key.
    if network is None or (isinstance(network, dict) and "type" not in network):
        raise ConfigError(
            f"{section}network: no detector is named: use {argument(option, 'NAME')} ({command('detectors')} "
            f"lists them) or write {section}network.type"
        )


def _preset(named: str | None, layers: Sequence[Layer], dataset: LabelledDataset) -> Model | None:
    """Find the named model of a network; None where the layers describe one."""
    wanted: Content = {}
    for layer in layers:
        wanted = merge(wanted, layer.content)
    model = wanted.get("model")
    part: Content = model if isinstance(model, dict) else {}
    if named is None and isinstance(part.get("name"), str) and part["name"] != CUSTOM:
        named = part["name"]
    return choose_model(named, dataset.multi_animal, part.get("method")) if named is not None else None


def _wants(network: Content) -> Content:
    """Collect the training defaults of a detector's config."""
    # A wrong config is reported later, with all layers merged and the place where it was written.
    try:
        return dict(parse_component("detector", DetectorConfig, network).defaults())
    except ConfigError:
        return {}


def _check_name(used: object, asked: str | None, option: str) -> None:
    """Refuse a file that names another network than the option."""
    if not asked or not isinstance(used, str):
        return
    # A full name (plugin/name) and a bare one may mean the same component.
    bare = "/" not in used or "/" not in asked
    if used != asked and not (bare and used.rpartition("/")[2] == asked.rpartition("/")[2]):
        raise ConfigError(
            f"{argument(option, asked)}: the configuration file names {used}; leave one of them out"
        )


def _model_of_weights(wanted: Content) -> Layer | None:
    """Take the model of the run that weights come from, if none is named."""
    weights = read_section(wanted.get("train"), "train").get("weights")
    # Anything but a text is refused later, when all is validated.
    folder = run_of(weights) if isinstance(weights, str) else None
    model = read_section(wanted.get("model"), "model")
    if folder is None or "name" in model or "type" in read_component(model.get("backbone"), "model.backbone"):
        return None
    return Layer({"model": Run.open(folder, RunSpec).spec.model.model_dump(mode="json")})

"""Find all that a configuration or a run uses: components with their defaults, models, plugins, pretrained weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from pose_core.catalog import Component, Model, Weights, ZooEntry, get_catalog
from pose_core.catalog.citations import Citation, read_entries
from pose_core.catalog.composition import components_in
from pose_core.catalog.distributions import required_by
from pose_core.catalog.merge import ContentDict, merge
from pose_core.definitions import Content
from pose_core.errors import ConfigError, RunError, command
from pose_core.io.files import parse_json
from pose_core.plugins import PluginRecord
from pose_core.specs.model import CUSTOM
from pose_core.specs.resolve import choose_model
from pose_core.specs.run_plugins import check_plugins
from pose_core.specs.yaml_file import read_yaml


@dataclass
class Used:
    """Used components, models, plugins and weights, once each, in the order of the configuration.

    Attributes:
        models: named models.
        components: all components, those by default too.
        networks: published ones that it is, or started from.
        weights: for each set of pretrained weights what is known: ``name``, ``license``, ``source``.
    """

    models: list[Model] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    networks: list[ZooEntry] = field(default_factory=list)
    weights: list[dict[str, str]] = field(default_factory=list)

    def third_party(self) -> dict[str, list[str]]:
        """List the direct requirements of the core and the used plugins, with who requires them."""
        ours = list(dict.fromkeys(["pose-core", *(plugin.distribution for plugin in self.plugins())]))
        found: dict[str, list[str]] = {}
        for distribution in ours:
            for required in required_by(distribution):
                if required not in ours:
                    found.setdefault(required, []).append(distribution)
        return dict(sorted(found.items()))

    def plugins(self) -> list[PluginRecord]:
        """The plugins that they come from."""
        owners = [
            *(model.plugin for model in self.models),
            *(component.plugin for component in self.components),
            *(network.plugin for network in self.networks),
        ]
        # A dict keeps the order and each plugin once; records are not hashable.
        return list({plugin.name: plugin for plugin in owners}.values())

    def citations(self) -> list[str]:
        """BibTeX entries, each key once: of the plugins, the models, the components, published networks.

        Raises:
            PluginError: a plugin cites what its citations.bib does not have.
        """
        cited = [Citation(p, key) for p in self.plugins() if p.info is not None for key in p.info.citations]
        cited += [citation for model in self.models for citation in model.citations]
        cited += [Citation(c.plugin, key) for c in self.components for key in c.definition.citations]
        cited += [Citation(n.plugin, key) for n in self.networks for key in n.definition.citations]
        return list(read_entries(cited).values())


def find_used(path: Path) -> Used:
    """Collect what a configuration file or a run uses; of a published network by its name, what its zoo says.

    Raises:
        ConfigError: the file cannot be read, or names what is not installed.
        RunError: the folder holds no run.
    """
    used = Used()
    if not path.exists() and (entry := get_catalog().zoo_network(path.as_posix())) is not None:
        # Its licence matters before it is downloaded, and what its network is made of is not known then.
        about = entry.definition
        if about.importer:
            used.components.append(get_catalog().component("importer", str(about.importer["type"])))
        used.networks.append(entry)
        used.weights.append({"name": entry.full_name, "license": about.license, "source": about.source})
    elif path.is_dir():
        if not (path / "config.yaml").is_file():
            raise RunError(
                f"{path}: not a run folder (no config.yaml in it); name a YAML file or a run folder"
            )
        # Networks that the run builds on are runs of their own below it.
        for config in sorted(path.glob("config.yaml")) + sorted(path.glob("stages/**/config.yaml")):
            # First, for it names all plugins that are missing; looking components up would stop at the
            # first.
            check_plugins(config.parent)
            _collect(config, read_yaml(config)[0], used)
            _collect_provenance(config.with_name("provenance.json"), used)
    else:
        _collect(path, read_yaml(path)[0], used)
    return used


def _collect(path: Path, content: Content, used: Used) -> None:
    """Collect what a configuration, or a section under ``stages``, uses."""
    model = content.get("model")
    if not isinstance(model, Mapping | None):
        raise ConfigError(
            f"{path}: model: must hold keys and values, such as {{name: {model}}}, not {model!r}"
        )
    name = model.get("name", CUSTOM) if isinstance(model, Mapping) else CUSTOM
    if isinstance(model, Mapping) and isinstance(name, str) and name != CUSTOM:
        preset = choose_model(name, multi_animal=False, method=model.get("method"))
        if preset not in used.models:
            used.models.append(preset)
        # A run says everything; a file that names a model says what differs from it.
        if "skeleton" not in content:
            content = merge(preset.spec(), content)
    # A network that is trained with the model has weights of its own to start from.
    stages, own = content.get("stages"), {key: value for key, value in content.items() if key != "stages"}
    train = content.get("train")
    start = train.get("weights") if isinstance(train, Mapping) else None
    for kind, config in components_in(own, get_catalog().kinds):
        _add(path, kind, config, used, fetches=start is None)
    # With a provenance, that says which weights were really used.
    if isinstance(start, str) and not path.with_name("provenance.json").is_file():
        _add_weights(start, used)
    for stage in stages.values() if isinstance(stages, Mapping) else ():
        if isinstance(stage, Mapping):
            _collect(path, {"skeleton": None, **stage} if "skeleton" in content else stage, used)


def _add(path: Path, kind: str, config: ContentDict, used: Used, *, fetches: bool) -> None:
    component = get_catalog().component(kind, config["type"])
    try:
        # Validated for its defaults: components within, and whether weights are fetched, often stand only
        # there.
        whole = component.config_class().model_validate({**config, "type": component.full_name}).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, (kind, *first["loc"])))
        raise ConfigError(
            f"{path}: {where}: {first['msg']}; {command('show', component.name)} lists the settings"
        ) from None
    if component not in used.components:
        used.components.append(component)
    if fetches and whole.get("pretrained", False):
        _add_pretrained(component, used)
    for inner, part in components_in(whole, get_catalog().kinds):
        _add(path, inner, part, used, fetches=fetches)


def _add_pretrained(component: Component, used: Used) -> None:
    """Weights that a component fetches by itself: those that are offered for it by name, or what it says of
    them."""
    for weights in get_catalog().weights():
        # Offered by name is said more exactly than by the component itself.
        if weights.definition.model == component.full_name and weights.part == component.definition.kind:
            _remember(weights, used)
            return
    about = {
        "name": f"pretrained weights of {component.full_name}",
        "license": component.definition.weights_license or "unknown",
        "source": component.definition.weights_source or f"see the README of {component.plugin.distribution}",
    }
    if about not in used.weights:
        used.weights.append(about)


def _add_weights(name: str, used: Used) -> None:
    if name == "none":
        return
    if any(name in (w.name, w.full_name) for w in get_catalog().weights()):
        _remember(get_catalog().named_weights(name), used)
    else:
        used.weights.append({"name": name, "license": "unknown", "source": "a file or run"})


def _remember(weights: Weights, used: Used) -> None:
    spec = weights.definition
    about = {"name": weights.full_name, "license": spec.license, "source": spec.source}
    if about not in used.weights:
        used.weights.append(about)


def _collect_provenance(path: Path, used: Used) -> None:
    """Read what a run remembers: the weights that it started from, more exactly than its configuration, and what
    read its data or made it of another tool's model."""
    if not path.is_file():
        return
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        about, imported = content.get("weights"), content.get("imported")
        part = {
            "reader": content.get("reader"),
            "importer": imported.get("by") if imported is not None else None,
        }
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(f"{path}: damaged ({error}); restore it or train again") from None
    for kind, name in part.items():
        if isinstance(name, str) and (found := get_catalog().component(kind, name)) not in used.components:
            used.components.append(found)
    if isinstance(about, dict):
        name = str(about.get("name", about.get("weights", "")))
        entry = get_catalog().zoo_network(name)
        if entry is not None and entry not in used.networks:
            used.networks.append(entry)
        row = {
            "name": name,
            "license": str(about.get("license", "unknown")),
            "source": str(about.get("source", "")),
        }
        if row not in used.weights:
            used.weights.append(row)

"""Level 0: a plugin's description of itself and its offers. No torch."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pose_core import hooks
from pose_core.catalog.citations import Citation, read_bibliography, read_entries
from pose_core.catalog.known_names import known_names
from pose_core.errors import ConfigError, PluginError, PoseError
from pose_core.plugins import ACTIVE
from pose_core.specs import ComponentConfig, HeadConfig, ImporterConfig, StageConfig, parse_component
from pose_core.specs.run import LEARNS, RUN_SPECS, find_trained
from pose_core.specs.yaml_file import validate_as
from pose_core.specs.zoo import read_description
from pose_core.testing.checks.check import (
    COMMAND,
    COMPONENT,
    EXTRA_HEAD,
    KIND,
    MODEL,
    PLUGIN,
    RECIPE,
    WEIGHTS,
    ZOO,
    check,
    demand,
)
from pose_core.testing.checks.project import resolved
from pose_core.testing.checks.targets import (
    ComponentSubject,
    DefinitionSubject,
    ModelSubject,
    Subject,
    answers_for,
    skip,
)


@check(0, PLUGIN)
def check_plugin_is_active(subject: Subject) -> None:
    """The plugin loads and its hooks return what their page says; 'pose plugins' tells why one does not."""
    record = subject.plugin
    demand(record.status == ACTIVE, f"{record.name} is {record.status}: {record.reason}")


@check(0, PLUGIN)
def check_names_are_free(subject: Subject) -> None:
    """No name is that of another plugin, installed or known; choose names of your own, so that users need no
    prefix."""
    record = subject.plugin
    # Active, its note says that one of its names is taken, and that users must write the prefix.
    note = subject.catalog.notes().get(record.name, "")
    demand(not note, f"{note}, as users would have to; choose other names")
    known = known_names().distributions.get(record.name)
    # The known names are those of the authors' distributions; installed from elsewhere, one of them would
    # get advice that is meant for another.
    taken = known is not None and not record.first_party
    demand(
        not taken,
        f"the namespace {record.name!r} is that of {known}, by the authors of the core; choose another",
    )
    # A name that stands for something would never be answered with what else was meant by it.
    for former in record.definitions.get("pose_former_names", ()):
        here = subject.catalog.kinds_of(former.name)
        demand(
            f"a {former.kind}" not in here,
            f"former name {former.name!r} is the name of a {former.kind} that is there; leave it out",
        )


@check(0, PLUGIN)
def check_summaries_are_one_line(subject: Subject) -> None:
    """Plugin, components, presets and recipes each say in one line what they are, for the listings."""
    info = subject.plugin.info
    if info is None:
        raise skip("the plugin did not load")
    summaries: list[tuple[str, object]] = [("the plugin", info.summary)]
    for definitions in subject.plugin.definitions.values():
        # hasattr: weights and suppliers are no entries of a listing and have no summary.
        summaries += [(d.name, d.summary) for d in definitions if hasattr(d, "summary")]
    for name, summary in summaries:
        demand(
            isinstance(summary, str) and summary.strip() and "\n" not in summary and len(summary) <= 120,
            f"the summary of {name} must be one line of at most 120 characters, not {summary!r}",
        )


@check(0, PLUGIN)
def check_citations_are_bibtex(subject: Subject) -> None:
    """Citations name entries of citations.bib, each with title and year; a plugin with networks cites at
    least one."""
    info = subject.plugin.info
    if info is None:
        raise skip("the plugin did not load")
    given = list(info.citations)
    for definitions in subject.plugin.definitions.values():
        # Definitions of networks cite, others (kinds, commands, suppliers) have no such field.
        given += [key for d in definitions for key in getattr(d, "citations", ())]
    try:
        read_entries(Citation(subject.plugin, key) for key in given)
        entries = read_bibliography(subject.plugin)
    except PluginError as error:
        raise AssertionError(str(error)) from None
    for key, entry in entries.items():
        for field in ("title", "year"):
            demand(
                re.search(rf"\b{field}\s*=", entry, re.IGNORECASE),
                f"the entry {key} of citations.bib has no {field}",
            )
    kinds = subject.catalog.kinds
    offered = subject.plugin.definitions.get("pose_components", ())
    # Only what has a harness has parameters, and with them a publication; readers and writers need none.
    networks = [d.name for d in offered if d.kind in kinds and kinds[d.kind].row.harness]
    demand(
        given or not networks,
        f"it offers {', '.join(networks)}: cite in PluginInfo where the idea comes from",
    )


@check(0, COMPONENT)
def check_strings_lead_to_code(subject: ComponentSubject) -> None:
    """The config string leads to a class, and the factory's module has that name; correct the
    'package.module:Name'."""
    definition = subject.component.definition
    try:
        subject.config_class  # noqa: B018
    except PoseError as error:
        raise AssertionError(str(error)) from None
    problem = _find_problem(definition.factory)
    demand(not problem, f"factory {definition.factory!r}: {problem}")


def _find_problem(target: str) -> str:
    """Find what is wrong with a ``package.module:Name``, without importing the module; empty where nothing is."""
    module, _, name = target.partition(":")
    try:
        # This imports the packages above the module, not the module: those of networks import torch.
        found = importlib.util.find_spec(module)
    except ImportError as error:
        return f"{error}"
    if found is None or found.origin is None:
        return f"there is no module {module}"
    # A compiled module has no source to look into, and importing it is left to level 1.
    if not found.origin.endswith(".py"):
        return ""
    bound: set[str] = set()
    for node in ast.walk(ast.parse(Path(found.origin).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            bound.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name) for alias in node.names}
    # A star import may bind any name.
    return "" if name in bound or "*" in bound else f"{module} defines no {name}"


@check(0, MODEL)
def check_model_resolves(subject: ModelSubject) -> None:
    """The preset gives a valid configuration with an ordinary project; the message names the key to
    correct."""
    subject.skip_incomplete()
    try:
        resolved(subject.model)
    except PoseError as error:
        raise AssertionError(str(error)) from None


@check(0, RECIPE)
def check_recipe_fits_backbones(subject: DefinitionSubject) -> None:
    """The recipe makes a valid model of the backbone presets of plugins that are required or first-party."""
    recipe = subject.definition
    made = [
        (m, p)
        for m in subject.catalog.models()
        for p in m.plugin.definitions.get("pose_backbones", ())
        if m.method == recipe.method
        and m.name == recipe.name.replace("{backbone}", p.name)
        # A stranger's backbone may not fit for reasons that the author of the recipe cannot mend.
        and answers_for(subject.plugin, m.needs, subject.catalog)
    ]
    if not made:
        raise skip("no backbone preset is installed")
    for model, preset in made:
        try:
            resolved(model)
        except PoseError as error:
            raise AssertionError(f"with {preset.name}: {error}") from None


@check(0, EXTRA_HEAD)
def check_extra_head_serves_its_need(subject: DefinitionSubject) -> None:
    """The head's config is valid and says by predicts_unique or predicts_identity that it does what is
    needed."""
    extra = subject.definition
    try:
        config = parse_component("head", HeadConfig, extra.head)
    except ConfigError as error:
        raise AssertionError(f"head {dict(extra.head)} is not valid: {error}") from None
    serves = {"unique_keypoints": config.predicts_unique(), "identity": config.predicts_identity()}
    demand(
        serves[extra.needs],
        f"{config.type} is offered for {extra.needs}, but its config says it does not serve it",
    )


@check(0, PLUGIN)
def check_methods_and_suppliers_name_stages(subject: Subject) -> None:
    """Stages of methods and suppliers are installed and their settings valid; a supplier's stage gives what
    it says."""

    def config(stage: Mapping[str, Any], where: str) -> StageConfig:
        try:
            return parse_component("stage", StageConfig, stage)
        except ConfigError as error:
            raise AssertionError(f"{where}: {error}") from None

    for method in subject.plugin.definitions.get("pose_methods", ()):
        configs = [config(stage, f"method {method.name!r}") for stage in method.stages.values()]
        # A method without such a stage trains well, and only prediction would find out.
        finds = any("poses" in c.gives() for c in configs)
        demand(finds, f"no stage of method {method.name!r} gives poses, as its config's gives() says")
    for supplier in subject.plugin.definitions.get("pose_suppliers", ()):
        given = config(supplier.stage, f"supplier {supplier.name!r}").gives()
        demand(
            supplier.gives in given,
            f"supplier {supplier.name!r} gives {supplier.gives}, and its stage {', '.join(given)}",
        )


@check(0, WEIGHTS)
def check_weights_are_described(subject: DefinitionSubject) -> None:
    """Weights name a fitting part that exists, an https address, a checksum, their licence and their
    source."""
    weights = subject.definition
    fitting = {
        *(m.full_name for m in subject.catalog.models()),
        *(c.full_name for c in subject.catalog.components("detector")),
        *(
            f"{r.name}/{b.name}"
            for r in subject.catalog.plugins
            for b in r.definitions.get("pose_backbones", ())
        ),
    }
    demand(
        weights.model in fitting,
        f"model {weights.model!r} is no installed backbone preset, model or detector",
    )
    demand(weights.url.startswith("https://"), f"url must begin with https://, not {weights.url!r}")
    demand(
        # By torch's convention file names carry the first 8 digits or more, so publishers often give no
        # others.
        re.fullmatch(r"[0-9a-f]{8,64}", weights.sha256),
        f"sha256 must be 8 to 64 hexadecimal digits, not {weights.sha256!r}",
    )
    demand(weights.license.strip(), "license is empty: say under which licence the weights were published")
    demand(
        weights.source.strip() and "\n" not in weights.source, "source must say in one line what trained them"
    )
    if weights.converter:
        problem = _find_problem(weights.converter)
        demand(not problem, f"converter {weights.converter!r}: {problem}")


@check(0, ZOO)
def check_zoo_is_described(subject: DefinitionSubject) -> None:
    """Published networks name an https address, licence, source and keypoints, and describe what can be made here."""
    network = subject.definition
    entry = subject.catalog.zoo_network(f"{subject.plugin.name}/{network.name}")
    assert entry is not None
    demand(network.url.startswith("https://"), f"url must begin with https://, not {network.url!r}")
    demand(
        re.fullmatch(r"[0-9a-f]{8,64}|", network.sha256),
        f"sha256 must be 8 to 64 hexadecimal digits or empty, not {network.sha256!r}",
    )
    demand(network.license.strip(), "license is empty: say under which licence the weights were published")
    demand(
        network.source.strip() and "\n" not in network.source, "source must say in one line what trained it"
    )
    demand(
        bool(network.keypoints) == (network.trains == "poses"),
        "keypoints must list the keypoints of a pose network in the order of its outputs, and of a detector none",
    )
    try:
        content = read_description(entry)
        if network.importer:
            parse_component("importer", ImporterConfig, network.importer)
            return
        spec = validate_as(content, {}, "description", RUN_SPECS[find_trained(content)])
    except PoseError as error:
        raise AssertionError(str(error)) from None
    demand(
        spec.trains == network.trains,
        f"the description is of {LEARNS[spec.trains]}, and trains says otherwise",
    )
    if network.keypoints:
        demand(
            spec.finds.keypoints == tuple(network.keypoints),
            f"keypoints are not those of the description, {', '.join(spec.finds.keypoints)}",
        )
    if network.converter:
        problem = _find_problem(network.converter)
        demand(not problem, f"converter {network.converter!r}: {problem}")


@check(0, KIND)
def check_kind_leads_to_code(subject: DefinitionSubject) -> None:
    """The strings of a kind lead to code: a config base of ComponentConfig, an interface, and modules of
    checks."""
    row = subject.catalog.kinds[f"{subject.plugin.name}/{subject.name}"].row
    if row.config:
        try:
            base = subject.catalog.kinds[row.name].config_base()
        except PoseError as error:
            raise AssertionError(str(error)) from None
        demand(
            issubclass(base, ComponentConfig), f"config {row.config!r} is not pose_core.specs.ComponentConfig"
        )
    targets = [
        row.interface,
        row.harness,
        *(f"{module}:CHECKS" for module in (*row.config_checks, *row.checks)),
    ]
    for target in filter(None, targets):
        problem = _find_problem(target)
        demand(not problem, f"{target!r}: {problem}")


@check(0, COMMAND)
def check_command_leads_to_code(subject: DefinitionSubject) -> None:
    """The app of a command is a name in a module that exists; correct the 'package.module:app'."""
    problem = _find_problem(subject.definition.app)
    demand(not problem, f"app {subject.definition.app!r}: {problem}")


# Fails on import, so that a hook cannot be added without a decision on what is checked of its returns.
assert set(hooks.HOOKS) == {
    "pose_plugin_info",
    "pose_components",
    "pose_backbones",
    "pose_recipes",
    "pose_models",
    "pose_extra_heads",
    "pose_weights",
    "pose_zoo",
    "pose_methods",
    "pose_suppliers",
    "pose_kinds",
    "pose_commands",
    "pose_former_names",
}, "a hook was added: check what it returns here"

CHECKS = (
    check_plugin_is_active,
    check_names_are_free,
    check_summaries_are_one_line,
    check_citations_are_bibtex,
    check_strings_lead_to_code,
    check_model_resolves,
    check_recipe_fits_backbones,
    check_extra_head_serves_its_need,
    check_methods_and_suppliers_name_stages,
    check_weights_are_described,
    check_zoo_is_described,
    check_kind_leads_to_code,
    check_command_leads_to_code,
)

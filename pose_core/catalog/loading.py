"""Import what a plugin names by a string."""

from __future__ import annotations

import importlib
from typing import Any

from pose_core.errors import PluginError, described

# Any: a class of a plugin; who asks for it knows the base that it must have.
PluginClass = type[Any]


def load_target(target: str, where: str, distribution: str) -> Any:
    """Import the class, function or other thing that ``"package.module:name"`` stands for.

    Args:
        target: the string.
        where: what a message calls it.
        distribution: the one to correct where the string leads nowhere.

    Raises:
        PluginError: one line that names the distribution.
    """
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except AttributeError:
        raise PluginError(
            f"{where} does not exist; correct the string in the plugin {distribution}"
        ) from None
    except ImportError as error:
        raise PluginError(
            f"{where} cannot be imported ({error}); correct the string in {distribution}, or install that "
            "again"
        ) from error
    # Whatever the module does when it is imported; some scripts call sys.exit().
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {described(error)}"
        raise PluginError(
            f"{where} cannot be imported ({why}); the plugin {distribution} is broken"
        ) from error


def load_callable(target: str, where: str, distribution: str) -> Any:
    """Import a class or function by its string.

    Raises:
        PluginError: one line that names the distribution.
    """
    found = load_target(target, where, distribution)
    if not callable(found):
        raise PluginError(f"{where} is not callable; the plugin {distribution} is broken")
    return found

"""What a class must be like to be registered: of its kind, complete, with a frozen config."""

import inspect
from typing import Any, get_args

from fdmo_core.errors import PluginError
from fdmo_core.interfaces import ComponentConfig
from fdmo_core.kinds import Kind


def checked_name(component: type[Any], kind: Kind) -> str:
    """Return the name of a component class that keeps to its interface.

    Args:
        component: What a plugin registered, whatever it is.
        kind: Of the hook that registered it.

    Raises:
        PluginError: It is no class of the kind, or its config class is not as it must be.
    """
    expected = f"a complete subclass of fdmo_core.{kind.interface.__name__}"
    if not (inspect.isclass(component) and issubclass(component, kind.interface)):
        remedy = (
            f"Derive it from fdmo_core.{kind.interface.__name__}, or use the hook of its kind"
            if inspect.isclass(component)
            else "Register the class itself"
        )
        raise PluginError(f"{kind.hook} got {component!r}. Expected {expected}. {remedy}.")
    if inspect.isabstract(component):
        missing = ", ".join(sorted(component.__abstractmethods__))
        raise PluginError(
            f"{path_of(component)} does not define {missing}. Expected {expected}. Define what is "
            f"missing."
        )
    config = getattr(component, "config_class", None)
    if not (inspect.isclass(config) and issubclass(config, ComponentConfig)):
        found = "no config class" if config is None else f"the config class {config!r}"
        raise PluginError(
            f"{path_of(component)} has {found}. Expected config_class to be a subclass of "
            f"fdmo_core.ComponentConfig. Derive it from that, and set it on the class."
        )
    name_field = config.model_fields.get("name")
    if name_field is None or get_args(name_field.annotation) != (name_field.default,):
        raise PluginError(
            f"{path_of(config)} does not fix a name. Expected a first field such as "
            f'name: Literal["mine"] = "mine". Add it.'
        )
    if not config.model_config.get("frozen") or config.model_config.get("extra") != "forbid":
        raise PluginError(
            f"{path_of(config)} is not frozen or allows unknown keys. Expected the model_config of "
            f"fdmo_core.ComponentConfig. Do not override frozen and extra."
        )
    return str(name_field.default)


def path_of(item: type[Any]) -> str:
    """Return module and name of a class."""
    return f"{item.__module__}.{item.__qualname__}"

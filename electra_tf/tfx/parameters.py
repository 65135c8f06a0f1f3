"""Exec properties of the components: declared once, checked when built and when executed.

A component lists its properties as a table of `Property`. `specification` turns the table into
the PARAMETERS of its ComponentSpec, `checked` checks what its constructor was given, `read` what
its executor gets. All three know only the types that every orchestrator can carry: str, int, float
and, as JSON text, a config.
"""

import dataclasses
import json
import math
import types
from collections.abc import Callable, Mapping
from typing import Any

from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.component_spec import ExecutionParameter

from electra_tf.checks import one_of
from electra_tf.config import JsonConfig

_TYPE_NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}


@dataclasses.dataclass(frozen=True)
class Property:
    """One exec property.

    Attributes:
        kind: str, int, float, or a subclass of JsonConfig with `validate`, whose JSON it holds.
        description: what it does, one sentence.
        check: called as check(name, value) on a known value; raises ValueError if it is impossible.
        optional: None, or leaving it out, is allowed.
    """

    kind: type
    description: str
    check: Callable[[str, Any], None] | None = None
    optional: bool = False

    @property
    def is_config(self) -> bool:
        """Whether it holds the JSON of a config."""
        return issubclass(self.kind, JsonConfig)


def specification(properties: Mapping[str, Property]) -> dict[str, ExecutionParameter]:
    """The PARAMETERS of a ComponentSpec."""
    return {name: ExecutionParameter(type=str if item.is_config else item.kind,
                                     optional=item.optional)
            for name, item in properties.items()}


def runtime_parameter(name: str, default: str | int | float,
                      description: str = "") -> RuntimeParameter:
    """An input of the compiled pipeline, in place of a value: set anew for every run of it.

    Args:
        name: of the pipeline's input.
        default: its value in a run that does not set it; its type is the parameter's.
        description: for whoever reads the pipeline.
    """
    return RuntimeParameter(name, ptype=type(default), default=default,
                            description=description or None)


def truth(name: str, value: int) -> None:
    """The check of a property that is true or false: TFX carries no bool, so 1 or 0."""
    one_of(name, str(value), ("0", "1"))


def checked(component: str, properties: Mapping[str, Property], values: Mapping[str, Any]) -> dict:
    """Checks what the constructor of a component was given.

    Args:
        component: its name, for errors.
        properties: its table.
        values: by name; None where not given. Of a RuntimeParameter the default is checked, the
            value itself only when the component runs. A config is a JsonConfig or its JSON.

    Returns:
        The arguments of its ComponentSpec: configs as JSON text, without what is None.

    Raises:
        ValueError: "COMPONENT: what must be. Received: value".
    """
    try:
        return {name: _to_specification(name, properties[name], value)
                for name, value in _complete(properties, values).items() if value is not None}
    except ValueError as error:
        raise ValueError(f"{component}: {error}") from error


def read(properties: Mapping[str, Property], exec_properties: Mapping[str, Any]
         ) -> types.SimpleNamespace:
    """Checks what an executor gets.

    Returns:
        Every property of the table as an attribute: configs as validated objects of their class,
        None for what was not given.

    Raises:
        ValueError: "what must be. Received: value". The runner adds the component's name.
    """
    values = _complete(properties, exec_properties)
    return types.SimpleNamespace(**{
        name: None if value is None else _value(name, properties[name], value)
        for name, value in values.items()})


def _complete(properties, values):
    unknown = sorted(set(values) - set(properties))
    if unknown:
        raise ValueError(f"Exec properties must be among {', '.join(properties)}. "
                         f"Received: {', '.join(unknown)}")
    complete = {name: values.get(name) for name in properties}
    for name, value in complete.items():
        if value is None and not properties[name].optional:
            raise ValueError(f"{name} must be given. Received: nothing")
    return complete


def _to_specification(name, item, value):
    if isinstance(value, RuntimeParameter):
        if value.ptype is not item.kind:
            raise ValueError(f"{name} must be {_type_name(item.kind)}. Received: the runtime "
                             f"parameter {value.name}, {_type_name(value.ptype)}")
        if value.default is not None:
            _value(name, item, value.default)
        return value
    if not item.is_config:
        return _value(name, item, value)
    text = value.to_json() if isinstance(value, JsonConfig) else value
    return _value(name, item, text).to_json()


def _value(name, item, value):
    """The value in its own type, after all checks."""
    if item.is_config:
        value = _config(name, item.kind, value)
    else:
        value = _typed(name, item.kind, value)
    if item.check is not None:
        item.check(name, value)
    return value


def _config(name, kind, text):
    try:
        fields = json.loads(_typed(name, str, text))
    except json.JSONDecodeError as error:
        raise ValueError(f"{name} must be the JSON of a {kind.__name__}. Received: "
                         f"{text[:80]!r} ({error})") from error
    _check_fields(name, kind, fields)
    return kind.from_json(text).validate()


def _check_fields(name, kind, values):
    """Raises ValueError for a field that the dataclass lacks and for a value of another type."""
    if not isinstance(values, dict):
        raise ValueError(f"{name} must be a JSON object. Received: {values!r}")
    known = {field.name: field.type for field in dataclasses.fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{name} must have only the fields {', '.join(known)}. "
                             f"Received: {name}.{key}={value!r}")
        if dataclasses.is_dataclass(known[key]):
            _check_fields(f"{name}.{key}", known[key], value)
        else:
            _typed(f"{name}.{key}", known[key], value)


def _type_name(kind):
    return _TYPE_NAMES.get(kind, f"a {kind.__name__}" if kind else "untyped")


def _typed(name, kind, value):
    """The value as `kind`: a whole number may stand for a float, nothing else is converted."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind or (kind is float and math.isnan(value)):
        raise ValueError(f"{name} must be {_type_name(kind)}. Received: {value!r}")
    return value

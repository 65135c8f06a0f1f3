"""Exec properties of the components: declared once, checked when built and when executed.

A component lists its properties as a table of `Property`. `specification` turns the table into
the PARAMETERS of its ComponentSpec, `checked` checks what its constructor was given, `read` what
its executor gets. All three know only the types that every orchestrator can carry: str, int, float
and, as 1 or 0, a bool and, as JSON text, a config.
"""

import dataclasses
import json
import math
import types
from collections.abc import Callable, Mapping
from typing import Any

from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.component_spec import ExecutionParameter

from electra_tf.config import JsonConfig
from electra_tf.errors import UserError

_TYPE_NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}


@dataclasses.dataclass(frozen=True)
class Property:
    """One exec property.

    Attributes:
        kind: str, int, float, bool, or a subclass of JsonConfig with `validate`, whose JSON it
            holds.
        description: what it does, one sentence.
        check: called as check(name, value) on a known value; raises UserError if it is impossible.
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

    @property
    def carried(self) -> type:
        """The type in which orchestrators carry it."""
        return str if self.is_config else int if self.kind is bool else self.kind


def specification(properties: Mapping[str, Property]) -> dict[str, ExecutionParameter]:
    """The PARAMETERS of a ComponentSpec."""
    return {
        name: ExecutionParameter(type=item.carried, optional=item.optional)
        for name, item in properties.items()
    }


def runtime_parameter(
    name: str, default: str | int | float, description: str = ""
) -> RuntimeParameter:
    """An input of the compiled pipeline, in place of a value: set anew for every run of it.

    Args:
        name: of the pipeline's input.
        default: its value in a run that does not set it; its type is the parameter's.
        description: for whoever reads the pipeline.
    """
    return RuntimeParameter(
        name, ptype=type(default), default=default, description=description or None
    )


def field_of(kind: Callable[[], Any], field: str) -> Callable[[str, Any], None]:
    """The check of a property that stands in place of a config's field: what the field may be.

    Args:
        kind: the config's class.
        field: such as train.num_steps.
    """

    def check(name, value):
        config = kind()
        section, _, last = field.rpartition(".")
        setattr(getattr(config, section) if section else config, last, value)
        try:
            config.validate()
        except UserError as error:
            raise UserError(str(error).replace(f"config.{field}", name)) from error

    return check


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
        UserError: "COMPONENT: what must be. Received: value".
    """
    try:
        return {
            name: _to_specification(name, properties[name], value)
            for name, value in _complete(properties, values).items()
            if value is not None
        }
    except UserError as error:
        raise UserError(f"{component}: {error}") from error


def read(
    properties: Mapping[str, Property], exec_properties: Mapping[str, Any]
) -> types.SimpleNamespace:
    """Checks what an executor gets.

    Returns:
        Every property of the table as an attribute: configs as validated objects of their class,
        None for what was not given.

    Raises:
        UserError: "what must be. Received: value". The runner adds the component's name.
    """
    values = _complete(properties, exec_properties)
    return types.SimpleNamespace(
        **{
            name: None if value is None else _value(name, properties[name], value)
            for name, value in values.items()
        }
    )


def _complete(properties, values):
    unknown = sorted(set(values) - set(properties))
    if unknown:
        raise UserError(
            f"Exec properties must be among {', '.join(properties)}. Received: {', '.join(unknown)}"
        )
    complete = {name: values.get(name) for name in properties}
    for name, value in complete.items():
        if value is None and not properties[name].optional:
            raise UserError(f"{name} must be given. Received: nothing")
    return complete


def _to_specification(name, item, value):
    if isinstance(value, RuntimeParameter):
        if value.ptype is not item.carried or item.is_config:
            raise UserError(
                f"{name} must be {_type_name(item.kind)}. Received: the runtime "
                f"parameter {value.name}, {_type_name(value.ptype)}"
            )
        if value.default is not None:
            _value(name, item, value.default)
        return value
    if item.kind is bool:
        return int(_typed(name, bool, value))
    if not item.is_config:
        return _value(name, item, value)
    text = value.to_json() if isinstance(value, JsonConfig) else value
    return _config_of(name, item, text).to_json()


def _value(name, item, value):
    """The value in its own type, after all checks."""
    if item.is_config:
        return _config_of(name, item, value)
    value = _typed(name, item.carried, value)
    if item.kind is bool:
        if value not in (0, 1):
            raise UserError(f"{name} must be 1 or 0, for true or false. Received: {value}")
        return bool(value)
    if item.check is not None:
        item.check(name, value)
    return value


def _config_of(name, item, text) -> JsonConfig:
    config = _config(name, item.kind, text)
    if item.check is not None:
        item.check(name, config)
    return config


def _config(name, kind, text):
    try:
        fields = json.loads(str(_typed(name, str, text)))
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{name} must be the JSON of a {kind.__name__}. Received: {text[:80]!r} ({error})"
        ) from error
    _check_fields(name, kind, fields)
    return kind.from_json(text).validate()


def _check_fields(name, kind, values):
    """Raises UserError for a field that the dataclass lacks and for a value of another type."""
    if not isinstance(values, dict):
        raise UserError(f"{name} must be a JSON object. Received: {values!r}")
    known = {field.name: field.type for field in dataclasses.fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise UserError(
                f"{name} must have only the fields {', '.join(known)}. "
                f"Received: {name}.{key}={value!r}"
            )
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
        raise UserError(f"{name} must be {_type_name(kind)}. Received: {value!r}")
    return value

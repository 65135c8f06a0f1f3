"""Keras's own optimizers inside our step: `config.optimizer.name=keras:Lion`.

Keras's optimizers own their variables and are applied to all weights at once. Here the rule of one
variable, `update_step`, runs in a `keras.StatelessScope`, with our slots in the place of its
variables, our step as its iterations and our schedule's learning rate: a pure function like the
optimizers beside it, so replicas, resume and JAX need nothing special. Weight decay (decoupled, as
in Keras), layer-wise decay, clipping and accumulation are ours; `config.optimizer.keras_arguments`
sets the rest, and beta_1, beta_2, epsilon and bias_correction of the config are not used.
"""

import contextlib
import inspect
import json

import keras
import numpy as np

from electra_tf.config.checks import between
from electra_tf.config.sections import MAX_FACTOR
from electra_tf.errors import UserError
from electra_tf.train.optimizers.base import Optimizer, Slot

PREFIX = "keras:"
# Exact: the update of a variable needs its own value, gradient, slots and the step, nothing else.
NAMES = (
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Muon",
    "RMSprop",
    "SGD",
)
# Arguments that are the share of an average that stays.
_SHARES = ("adam_beta_1", "adam_beta_2", "beta_1", "beta_2", "momentum", "rho")
REFUSED = {
    "Nadam": "it keeps a product over all steps beside the variables' own slots",
    "ScheduleFreeAdamW": "it is evaluated with other weights than it trains",
    "LossScaleOptimizer": "config.runtime.precision=mixed_float16 scales the loss",
    "MultiOptimizer": "networks have optimizers of their own, by their paths",
    "OptimizerMap": "it is no optimizer",
}


class KerasOptimizer(Optimizer):
    """An optimizer of `keras.optimizers`, exact under replicas and resume."""

    def __init__(self, config, num_steps, num_layers):
        """As `Optimizer`.

        Raises:
            UserError: Keras has no such optimizer, it cannot be exact, or an argument is not its
                own.
        """
        super().__init__(config, num_steps, num_layers)
        self._class = _pure(_named(config.name.removeprefix(PREFIX)))
        self._arguments = _arguments(self._class, config.keras_arguments)
        self._rules: dict[str, _Rule] = {}

    def slots(self, path, shape):
        if path not in self._rules:
            self._rules[path] = _Rule(self._class(**self._arguments), path, shape)
        return self._rules[path].slots

    def update(self, path, value, gradient, slots, step, learning_rate):
        rate = self.scaled(learning_rate, path)
        if self.decays(path):
            value = value - value * self.config.weight_decay * rate
        return self._rules[path].update(value, gradient, slots, step, rate)


class _Rule:
    """A Keras optimizer that knows one variable.

    Attributes:
        slots: declarations by name.
    """

    def __init__(self, optimizer, path, shape):
        with contextlib.ExitStack() as scopes:
            # Muon goes by paths. A name cannot have slashes, so each part is a scope.
            *parts, name = path.split("/")
            for part in parts:
                scopes.enter_context(keras.name_scope(part))
            self._weight = keras.Variable(np.zeros(shape), dtype="float32", name=name)
        first = len(optimizer.variables)  # iterations and learning rate
        optimizer.build([self._weight])
        self._optimizer = optimizer
        # Adafactor has integers in the place of what a vector does not need.
        own = [variable for variable in optimizer.variables[first:] if "float" in variable.dtype]
        names = [each.name.removeprefix(path.replace("/", "_") + "_") for each in own]
        self._variables = {
            name if name != self._weight.name else f"slot_{number}": variable
            for number, (name, variable) in enumerate(zip(names, own, strict=True))
        }
        self.slots = {
            name: Slot(tuple(variable.shape), _constant(variable), variable.dtype)
            for name, variable in self._variables.items()
        }
        # From here on they only have names, shapes and dtypes: memory holds the slots once.
        for variable in (self._weight, *self._variables.values()):
            variable._value = None

    def update(self, value, gradient, slots, step, learning_rate):
        mapping = [(self._weight, value), (self._optimizer.iterations, step)]
        mapping += [(variable, slots[name]) for name, variable in self._variables.items()]
        with keras.StatelessScope(mapping, initialize_variables=False) as scope:
            self._optimizer.update_step(gradient, self._weight, learning_rate)
        new = {name: scope.get_current_value(it) for name, it in self._variables.items()}
        return scope.get_current_value(self._weight), new


def _named(name):
    if name in REFUSED:
        raise UserError(
            f"A Keras optimizer must be a function of the variable, its gradient, its slots and "
            f"the step. Received: keras:{name}; {REFUSED[name]}"
        )
    if name not in NAMES:
        raise UserError(
            f"config.optimizer.name=keras:NAME must name one of {', '.join(NAMES)}. "
            f"Received: {name!r}"
        )
    return getattr(keras.optimizers, name)


def _neutral(optimizer_class):
    """The base class that all of Keras's backends share."""
    return next(base for base in optimizer_class.__mro__ if base.__name__ == "BaseOptimizer")


def _pure(optimizer_class):
    """The class with assignments that a StatelessScope sees; TensorFlow's need a tf.Variable."""
    names = ("assign", "assign_add", "assign_sub", "add_variable_from_reference", "_var_key")
    methods = {name: vars(_neutral(optimizer_class))[name] for name in names}
    return type(optimizer_class.__name__, (optimizer_class,), methods)


def _arguments(optimizer_class, text):
    """The constructor's arguments from JSON, without those that the step has in its own way."""
    common = inspect.signature(_neutral(optimizer_class).__init__).parameters
    known = [name for name in inspect.signature(optimizer_class).parameters if name not in common]
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise UserError(
            "config.optimizer.keras_arguments must be a JSON object, such as "
            f'{{"beta_2": 0.98}}. Received: {text!r}'
        )
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise UserError(
            f"config.optimizer.keras_arguments may contain only {', '.join(known)}. "
            f"Received: {', '.join(unknown)}"
        )
    try:
        optimizer_class(**arguments)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"config.optimizer.keras_arguments: {error} Received: {text!r:.200}"
        ) from error
    defaults = inspect.signature(optimizer_class).parameters
    for name, value in arguments.items():
        if type(defaults[name].default) in (int, float):
            full = f"{name} in config.optimizer.keras_arguments"
            if type(value) not in (int, float):
                raise UserError(f"{full} must be a number. Received: {value!r:.60}")
            if name in _SHARES:
                between(full, value, 0, 1, closed=(True, False))
            else:
                between(full, value, -MAX_FACTOR, MAX_FACTOR, closed=(True, True))
    return arguments


def _constant(variable):
    """The number that a slot starts with."""
    value = np.asarray(keras.ops.convert_to_numpy(variable))
    first = value.flat[0]
    assert (value == first).all(), f"{variable.path} does not start with one number"
    return first.item()

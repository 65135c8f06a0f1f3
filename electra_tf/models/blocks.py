"""How work is cut: blocks that a compiler makes one pass over memory, and parts done in turn.

TensorFlow runs a plain graph operation by operation, and each reads and writes whole tensors. On a
CPU the matrix products between them are best left to its library, so what is compiled there is not
the step but blocks of element-wise work. On GPUs, on TPUs and in JAX the whole step is one program,
and a block nothing but a function.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator

import keras
from keras import ops, tree

_COMPILER = contextvars.ContextVar[Callable | None]("compiler", default=None)


@contextlib.contextmanager
def compiled_by(compiler: Callable | None) -> Iterator[None]:
    """Blocks that are traced in this `with` are compiled.

    Args:
        compiler: makes a compiled function of a function of tensors, as `jax.jit` does. Its
            results are kept: give the same one each time. None: they are not compiled.
    """
    token = _COMPILER.set(compiler)
    try:
        yield
    finally:
        _COMPILER.reset(token)


def are_compiled() -> bool:
    """Whether what is traced now becomes one pass, by itself or as part of a whole program."""
    return _COMPILER.get() is not None or keras.backend.backend() != "tensorflow"


def block(function: Callable) -> Callable:
    """Makes a function of tensors a block.

    Args:
        function: takes tensors (or None) by position and settings by keyword, each hashable;
            gives tensors. It is not differentiated: what needs gradients defines them, by
            another block.
    """

    @functools.cache
    def compiled(compiler, settings):
        return compiler(functools.partial(function, **dict(settings)))

    @functools.wraps(function)
    def call(*tensors, **settings):
        compiler = _COMPILER.get()
        if compiler is None:
            return function(*tensors, **settings)
        return compiled(compiler, tuple(sorted(settings.items())))(*tensors)

    return call


def in_turn(function: Callable, parts: tuple):
    """`ops.map` one part after the other, so that there is memory for one of them.

    Left to itself TensorFlow runs up to ten of them at once.

    Args:
        function: of one part, a tuple, to a tuple of tensors.
        parts: arrays [K, ...].

    Returns:
        Results [K, ...], a tuple.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.map(function, parts)
    # For its shapes alone: what computes it is no part of a graph in the end.
    shapes = function(tuple(array[0] for array in parts))

    def step(_, part):
        results = function(part)
        return results, results

    start = tree.map_structure(ops.zeros_like, shapes)
    return ops.scan(step, start, parts, length=parts[0].shape[0])[1]

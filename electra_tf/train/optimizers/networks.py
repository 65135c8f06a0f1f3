"""All variables of a run updated together, each network by its own optimizer."""

from collections.abc import Iterator, Mapping
from typing import Any

from electra_tf.train.optimizers.base import Optimizer, Slot
from electra_tf.train.optimizers.clipping import clip_by_global_norm, global_norm


class NetworkOptimizers:
    """Optimizers by prefix of the variable path; of several that fit, the longest prefix decides.

    Each has its own schedule, weight decay and `clip_norm`. Gradients are clipped by the norm of
    all that one optimizer updates: with a single optimizer, the norm over all networks.

    Args:
        optimizers: by prefix, such as `{"": one, "generator": other}`; prefixes of the
            same object form one group.
    """

    def __init__(self, optimizers: Mapping[str, Optimizer]):
        self._optimizers = dict(optimizers)

    def of(self, path: str) -> Optimizer:
        """The optimizer of a variable.

        Raises:
            ValueError: no prefix fits.
        """
        prefixes = [prefix for prefix in self._optimizers if path.startswith(prefix)]
        if not prefixes:
            raise ValueError(
                f"Every variable must have an optimizer, by the prefixes {list(self._optimizers)}. "
                f"Received: {path!r}"
            )
        return self._optimizers[max(prefixes, key=len)]

    def slots(self, path: str, shape: tuple[int, ...]) -> dict[str, Slot]:
        """The accumulators of a variable by name."""
        return self.of(path).slots(path, shape)

    def learning_rates(self, step: int) -> dict[str, float]:
        """Rates of update number `step`, by their names in the metrics.

        `learning_rate` is that of the first optimizer; other ones add their prefix.
        """
        rates, seen = {}, []
        for prefix, optimizer in self._optimizers.items():
            if optimizer not in seen:
                name = f"learning_rate/{prefix}" if seen else "learning_rate"
                rates[name] = float(optimizer.learning_rate(step))
                seen.append(optimizer)
        return rates

    def apply(
        self,
        weights: Mapping[str, Any],
        gradients: Mapping[str, Any],
        slots: Mapping[str, Mapping[str, Any]],
        step,
        norm,
        idle_steps: Mapping[str, int] | None = None,
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """One update of all variables.

        Args:
            weights: float32 tensors by path.
            gradients: float32 tensors by path, dense, not yet clipped.
            slots: tensors by path and name.
            step: int scalar, updates completed so far.
            norm: float32 scalar, global norm of all gradients.
            idle_steps: how many of the completed steps have not updated a variable, by path.

        Returns:
            (new weights, new slots), by path.
        """
        new_weights, new_slots = {}, {}
        for path, optimizer, *given in self.clipped(gradients, step, norm, idle_steps):
            gradient, of_step, rate = given
            new_weights[path], new_slots[path] = optimizer.update(
                path, weights[path], gradient, slots[path], of_step, rate
            )
        return new_weights, new_slots

    def clipped(
        self,
        gradients: Mapping[str, Any],
        step,
        norm,
        idle_steps: Mapping[str, int] | None = None,
    ) -> Iterator[tuple[str, Optimizer, Any, Any, Any]]:
        """What each variable's update takes: path, optimizer, gradient, its own step, the rate.

        Args:
            gradients, step, norm, idle_steps: as `apply` takes them.
        """
        idle_steps = idle_steps or {}
        groups: dict[Optimizer, list[str]] = {}
        for path in gradients:
            groups.setdefault(self.of(path), []).append(path)
        for optimizer, paths in groups.items():
            own = [gradients[path] for path in paths]
            own_norm = norm if len(groups) == 1 else global_norm(own)
            clipped = clip_by_global_norm(own, optimizer.config.clip_norm, own_norm)
            rate = optimizer.learning_rate(step + 1)
            for path, gradient in zip(paths, clipped, strict=True):
                idle = idle_steps.get(path, 0)
                yield path, optimizer, gradient, step - idle if idle else step, rate

"""One training step over all replicas.

Everything random is drawn from (seed, step, row of the global batch); what comes back are
additive counts. Losses are divided once, by loss weights summed over replicas and micro-batches.
"""

import functools

import keras
import tensorflow as tf

from electra_tf.config import TrainConfig
from electra_tf.models import blocks
from electra_tf.models.randomness import Draws, Dropout
from electra_tf.objectives.phases import Timeline
from electra_tf.train import in_place
from electra_tf.train.optimizers import NetworkOptimizers, global_norm
from electra_tf.train.state import TrainState
from electra_tf.train.strategy import Runtime
from electra_tf.train.task import TrainedObjective

SCALE_WINDOW = 2000  # finite steps after which the float16 loss scale is doubled

_compile = functools.partial(tf.function, jit_compile=True, autograph=False)


def _part_of_the_program(block):
    return block


class TrainStep:
    """forward and backward -> all-reduce -> clip and update, on each replica.

    With one replica and XLA the whole step is one program; with several, what lies between
    the reductions is compiled. Or only blocks are, and the update: see `Runtime`.

    Args:
        objective: what is learnt.
        model: the objective's; its weights are in `state`.
        optimizers: map gradients to new weights.
        state: variables that the step changes.
        runtime: strategy, XLA.
        train: TrainConfig; batch_size, accumulation_steps, seed.
        first_step: a step of the phase whose steps these are.
    """

    def __init__(
        self,
        objective: TrainedObjective,
        model: keras.Model,
        optimizers: NetworkOptimizers,
        state: TrainState,
        runtime: Runtime,
        train: TrainConfig,
        first_step: int = 0,
    ):
        self._objective, self._model, self._optimizers = objective, model, optimizers
        self._state, self._runtime, self._train = state, runtime, train
        timeline = Timeline(objective.phases())
        phase = timeline.at(first_step)[0]
        self._terms = [
            term for term in objective.terms if phase.terms is None or term in phase.terms
        ]
        self._trained = {
            path: weight for path, weight in state.weights.items() if phase.is_trained(path)
        }
        self._slots = {path: state.slots[path] for path in self._trained}
        self._idle = {path: timeline.idle_steps(path, first_step) for path in self._trained}
        self._rows = train.batch_size // runtime.num_replicas
        compiled = tf.function(jit_compile=True) if runtime.xla else lambda function: function
        self._updated = functools.partial(optimizers.apply, idle_steps=self._idle)
        self._norm = global_norm
        self._compiler = _part_of_the_program if runtime.xla else None
        self._in_place = None
        if not (runtime.xla or runtime.compiles_blocks):
            self._norm = in_place.global_norm
            self._in_place = in_place.InPlace(optimizers, self._idle)
        if runtime.compiles_blocks:
            self._compiler = _compile
            self._updated, self._norm = _compile(self._updated), _compile(self._norm)
        several = runtime.num_replicas > 1
        self._part = compiled if several else lambda function: function
        self._replica_step = self._step if several else compiled(self._step)

    def __call__(self, batch) -> tuple[dict, dict]:
        """Runs one step; call inside a tf.function.

        Args:
            batch: per-replica int32 features [batch_size / replicas, L].

        Returns:
            (counts summed over replicas, report), as a `HostLoop` takes them; the report has `ok`
            bool (False: not finite, nothing was updated) and `gradient_norm` float32.
        """
        outputs = self._runtime.strategy.run(self._replica_step, args=(batch,))
        return tf.nest.map_structure(self._first, outputs)

    def _step(self, batch):
        local = Local(self._runtime)
        step = tf.cast(local(self._state.step), tf.int32)
        first_row = local.replica * self._rows
        draws = Draws(self._train.seed, step, self._train.batch_size, first_row)

        batch, loss_weights = self._part(self._prepare)(batch, draws)
        loss_weights = self._sum(loss_weights, local)
        gradients, sums, counts = self._part(self._gradients)(batch, loss_weights, step, local)
        gradients, sums, counts = self._sum((gradients, sums, counts), local)
        factors = self._objective.factors(step)
        loss = tf.add_n([factors[term] * sums[term] / loss_weights[term] for term in self._terms])
        ok, norm = self._part(self._update)(gradients, loss, step, local)
        return counts, {"ok": ok, "gradient_norm": norm}

    def _sum(self, values, local):
        """Sums over replicas; apart, so that a measurement can leave it out."""
        return local.sum(values)

    def _prepare(self, batch, draws):
        batch = self._objective.prepare(batch, draws)
        return batch, self._objective.loss_weights(batch)

    def _gradients(self, batch, loss_weights, step, local):
        """Gradients of the global loss, summed over this replica's micro-batches."""
        micro_rows = self._rows // self._train.accumulation_steps
        variables = [local(weight) for weight in self._trained.values()]
        scale = local(self._state.loss_scale)
        factors = self._objective.factors(step)
        words = self._state.dropout_words
        seed = self._train.seed if words is None else tf.convert_to_tensor(local(words))

        def micro_batch(index):
            first = index * micro_rows
            rows = {
                name: tf.slice(value, [first, 0], [micro_rows, -1]) for name, value in batch.items()
            }
            first_row = local.replica * self._rows + first
            draws = Draws(self._train.seed, step, self._train.batch_size, first_row)
            dropout = Dropout(seed, step, first_row, micro_rows)
            with blocks.compiled_by(self._compiler):
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch(variables)
                    sums, counts = self._objective.loss_sums(self._model, rows, draws, dropout)
                    loss = tf.add_n(
                        [factors[term] / loss_weights[term] * sums[term] for term in self._terms]
                    )
                    loss *= scale
                gradients = tape.gradient(loss, variables)
            return [tf.convert_to_tensor(gradient) for gradient in gradients], sums, counts

        total = micro_batch(0)
        if self._train.accumulation_steps > 1:
            # One after the other: left to itself TensorFlow runs up to ten of them at once.
            with tf.control_dependencies(tf.nest.flatten(total)):
                first = tf.constant(1)
            _, total = tf.while_loop(
                lambda index, _: index < self._train.accumulation_steps,
                lambda index, sums: (
                    index + 1,
                    tf.nest.map_structure(tf.add, sums, micro_batch(index)),
                ),
                (first, total),
                parallel_iterations=1,
            )
        return total

    def _update(self, gradients, loss, step, local):
        """Changes weights and slots, unless the gradient is not finite."""
        scale = local(self._state.loss_scale)
        norm = self._norm(gradients) / scale
        finite = tf.math.is_finite(norm)

        def apply():
            variables = tf.nest.map_structure(local, (self._trained, self._slots))
            unscaled = [gradient / scale for gradient in gradients] if local.scales else gradients
            named = dict(zip(self._trained, unscaled, strict=True))
            if self._in_place:
                weights, slots = variables
                self._in_place(weights, named, slots, step, norm)
            else:
                weights, slots = tf.nest.map_structure(tf.convert_to_tensor, variables)
                new = self._updated(weights, named, slots, step, norm)
                tf.nest.map_structure(
                    lambda variable, value: variable.assign(value), variables, new
                )
            if self._state.averages:
                self._average(step, local)
            return True

        ok = tf.math.is_finite(loss)
        tf.cond(finite & ok, apply, lambda: False)
        if local.scales:
            ok &= finite | (scale > 1.0)
            self._rescale(finite, local)
        else:
            ok &= finite
        local(self._state.step).assign_add(tf.cast(ok, tf.int64))
        return ok, norm

    def _average(self, step, local):
        """Moves the averages towards the new weights: slowly, once there have been many."""
        for path, weight in self._trained.items():
            own_step = tf.cast(step - self._idle[path], tf.float32)
            decay = tf.minimum(self._train.average_decay, (1.0 + own_step) / (10.0 + own_step))
            average = local(self._state.averages[path])
            new = local(weight).read_value()
            average.assign_add((1.0 - decay) * (new - average.read_value()))

    def _rescale(self, finite, local):
        """Halves the loss scale on overflow, doubles it after SCALE_WINDOW good steps."""
        scale, good = local(self._state.loss_scale), local(self._state.good_steps)
        grown = tf.where(good + 1 >= SCALE_WINDOW, scale * 2.0, scale)
        scale.assign(tf.where(finite, grown, tf.maximum(scale / 2.0, 1.0)))
        good.assign(tf.where(finite, (good + 1) % SCALE_WINDOW, 0))

    def _first(self, value):
        return self._runtime.strategy.experimental_local_results(value)[0]


class Local:
    """The present replica's view: its number, its part of each variable, sums over all."""

    def __init__(self, runtime: Runtime):
        self._context = tf.distribute.get_replica_context()
        self._strategy = runtime.strategy
        self._is_tpu = isinstance(runtime.strategy, tf.distribute.TPUStrategy)
        self.replica = tf.cast(self._context.replica_id_in_sync_group, tf.int32)
        self.scales = runtime.precision == "mixed_float16"

    def __call__(self, variable: tf.Variable) -> tf.Variable:
        """The component of a mirrored variable on this replica's device."""
        components = getattr(variable, "values", None)
        if components is None or self._is_tpu or len(components) == 1:
            return variable
        replica = tf.get_static_value(self._context.replica_id_in_sync_group)
        return components[replica % len(components)]

    def sum(self, values):
        """Sums a structure of tensors over all replicas; free with one."""
        if self._strategy.num_replicas_in_sync == 1:
            return values
        flat = self._context.all_reduce(tf.distribute.ReduceOp.SUM, tf.nest.flatten(values))
        return tf.nest.pack_sequence_as(values, flat)

"""One training step over all replicas.

Everything random is drawn from (seed, step, row of the global batch); what comes back are
additive counts. Losses are divided once, by weights summed over replicas and micro-batches.
"""

import tensorflow as tf

from electra_tf.models.randomness import BatchRandom, DropoutRandom
from electra_tf.train import optimizer as optimization
from electra_tf.train.optimizer import Optimizer
from electra_tf.train.state import TrainState
from electra_tf.train.strategy import Runtime

SCALE_WINDOW = 2000  # finite steps after which the float16 loss scale is doubled


class TrainStep:
    """forward and backward -> all-reduce -> clip and update, on each replica.

    With one replica and XLA the whole step is one program; with several, what lies between
    the reductions is compiled.

    Args:
        task: gives `prepare`, `weights`, `loss_sums` and `terms`.
        model: the task's model; its weights are in `state`.
        optimizer: maps gradients to new weights.
        state: variables that the step changes.
        runtime: strategy, XLA.
        train: TrainConfig; batch_size, accumulation_steps, seed.
        clip_norm: largest global norm of the gradient; 0 for none.
    """

    def __init__(self, task, model, optimizer: Optimizer, state: TrainState, runtime: Runtime,
                 train, clip_norm: float):
        self._task, self._model, self._optimizer = task, model, optimizer
        self._state, self._runtime, self._train = state, runtime, train
        self._clip_norm = clip_norm
        self._rows = train.batch_size // runtime.num_replicas
        compiled = tf.function(jit_compile=True) if runtime.xla else lambda function: function
        several = runtime.num_replicas > 1
        self._part = compiled if several else lambda function: function
        self._replica_step = (self._step if several else compiled(self._step))

    def __call__(self, batch) -> dict:
        """Runs one step; call inside a tf.function.

        Args:
            batch: per-replica int32 features [batch_size / replicas, L].

        Returns:
            `counts` (summed over replicas), `ok` bool (False: not finite, nothing was updated),
            `gradient_norm` float32.
        """
        outputs = self._runtime.strategy.run(self._replica_step, args=(batch,))
        return tf.nest.map_structure(self._first, outputs)

    def _step(self, batch):
        local = Local(self._runtime)
        step = tf.cast(local(self._state.step), tf.int32)
        first_row = local.replica * self._rows
        random = BatchRandom(self._train.seed, step, self._train.batch_size, first_row)

        batch, weights = self._part(self._prepare)(batch, random)
        weights = self._sum(weights, local)
        gradients, sums, counts = self._part(self._gradients)(batch, weights, step, local)
        gradients, sums, counts = self._sum((gradients, sums, counts), local)
        loss = tf.add_n([self._task.terms[term] * sums[term] / weights[term] for term in sums])
        ok, norm = self._part(self._update)(gradients, loss, step, local)
        return {"counts": counts, "ok": ok, "gradient_norm": norm}

    def _sum(self, values, local):
        return local.sum(values)

    def _prepare(self, batch, random):
        batch = self._task.prepare(batch, random)
        return batch, self._task.weights(batch)

    def _gradients(self, batch, weights, step, local):
        """Gradients of the global loss, summed over this replica's micro-batches."""
        micro_rows = self._rows // self._train.accumulation_steps
        variables = [local(variable) for variable in self._state.weights.values()]
        scale = local(self._state.loss_scale)

        def micro_batch(index):
            first = index * micro_rows
            rows = {name: tf.slice(value, [first, 0], [micro_rows, -1])
                    for name, value in batch.items()}
            first_row = local.replica * self._rows + first
            random = BatchRandom(self._train.seed, step, self._train.batch_size, first_row)
            # The first row tells the micro-batches of all replicas apart.
            rng = DropoutRandom(self._train.seed, step, offset=first_row)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                sums, counts = self._task.loss_sums(self._model, rows, random, rng)
                loss = tf.add_n([self._task.terms[term] / weights[term] * sums[term]
                                 for term in sums])
                loss *= scale
            gradients = tape.gradient(loss, variables)
            return [tf.convert_to_tensor(gradient) for gradient in gradients], sums, counts

        total = micro_batch(0)
        if self._train.accumulation_steps > 1:
            for index in tf.range(1, self._train.accumulation_steps):
                total = tf.nest.map_structure(tf.add, total, micro_batch(index))
        return total

    def _update(self, gradients, loss, step, local):
        """Changes weights and slots, unless the gradient is not finite."""
        scale = local(self._state.loss_scale)
        norm = optimization.global_norm(gradients) / scale
        finite = tf.math.is_finite(norm)

        def apply():
            rate = self._optimizer.learning_rate(step + 1)
            clipped = optimization.clip_by_global_norm(
                [gradient / scale for gradient in gradients] if local.scales else gradients,
                self._clip_norm, norm)
            for (path, weight), gradient in zip(self._state.weights.items(), clipped,
                                                strict=True):
                weight, slots = local(weight), [local(slot) for slot in self._state.slots[path]]
                value, new_slots = self._optimizer.update(
                    path, tf.convert_to_tensor(weight), gradient,
                    tuple(tf.convert_to_tensor(slot) for slot in slots), step, rate)
                weight.assign(value)
                for slot, new in zip(slots, new_slots, strict=True):
                    slot.assign(new)
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

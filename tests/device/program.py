"""The project's training step on JAX: many steps in one call, on data that lies on the device."""

import functools

import jax
import jax.numpy as jnp
import keras
import numpy as np
import packed

from electra_tf.config import Config
from electra_tf.models.randomness import Draws, Dropout
from electra_tf.objectives import build_objective
from electra_tf.objectives.phases import Phase
from electra_tf.speed.jax_step import resolve_precision
from electra_tf.train import optimizers

MAX_STEPS = 512  # of one call of the device in train.py
EVAL_ROWS = 32  # as electra_tf/train/evaluation.py, so that masks depend on it alone


class Program:
    """Model, objective and optimizer of a config as functions of arrays.

    Attributes:
        variables: the model's, in the order of `state["weights"]`.
        optimizers: those of the networks, each once.
        micro_batches: into how many parts a batch is cut to save memory.

    Args:
        config: validated, with `model.vocab_size` set.
        vocabulary: anything with the ids of the special tokens and a length.
        max_steps: largest number of steps of one call.
    """

    def __init__(self, config: Config, vocabulary, max_steps: int):
        resolve_precision(config)
        if config.runtime.precision == "mixed_float16":
            raise ValueError(
                "config.runtime.precision must be float32 or mixed_bfloat16 here: "
                "there is no loss scaling. Received: mixed_float16"
            )
        self.config, self.max_steps = config, max_steps
        self.objective = build_objective(config, vocabulary)
        if self.objective.phases() != (Phase(),):
            raise ValueError(
                "An objective must train all of its networks in one phase here. "
                f"Received: {config.objective.name} with "
                f"config.objective.generator={config.objective.generator}"
            )
        self.model = self.objective.new_model(config.train.seed, config.runtime.precision)
        self.variables = self.model.trainable_variables
        self.paths = [variable.path for variable in self.variables]
        networks = optimizers.build_network_optimizers(
            self.objective.optimizers(), config.train.num_steps, self.objective.num_layers()
        )
        self._groups = {}
        for place, path in enumerate(self.paths):
            self._groups.setdefault(networks.of(path), []).append(place)
        self.optimizers = list(self._groups)
        scopes = [path.split("/")[0] for path in self.paths]
        self._scopes = {
            scope: [place for place, its in enumerate(scopes) if its == scope]
            for scope in dict.fromkeys(scopes)
        }
        self.micro_batches = config.train.accumulation_steps

    def fresh_state(self) -> dict:
        """Weights as the model has them, empty slots, step 0: new arrays, to be donated."""
        weights = [jnp.array(variable.value, copy=True) for variable in self.variables]
        slots = [{} for _ in weights]
        for optimizer, places in self._groups.items():
            for place in places:
                declared = optimizer.slots(self.paths[place], weights[place].shape)
                slots[place] = {name: jnp.asarray(slot.new()) for name, slot in declared.items()}
        return {"weights": weights, "step": jnp.zeros((), "int32"), "slots": slots}

    def train(self, state, data, index, rates, number):
        """`number` steps.

        Args:
            state: of `fresh_state`.
            data: arrays of a `packed.Split`.
            index: int32 [max_steps, B] rows of every step.
            rates: float32 [max_steps, number of optimizers] learning rates.
            number: int32, at most max_steps.

        Returns:
            (state, counts summed over the steps, number of steps that were not finite and left
            out, gradient norms of the last step by name, "gradient_norm" that of all networks).
        """
        step = jax.jit(self.one_step)  # traced once, for its shapes and for the loop

        def one(place, carry):
            state, total, skipped, _ = carry
            state, counts, ok, norm = step(
                state, packed.rows(data, index[place], jnp), rates[place]
            )
            total = {
                name: total[name] + jnp.where(ok, value, 0.0) for name, value in counts.items()
            }
            return state, total, skipped + 1 - ok.astype("int32"), norm

        _, shapes, _, norms = jax.eval_shape(
            step, state, jax.eval_shape(lambda: packed.rows(data, index[0], jnp)), rates[0]
        )
        total, norms = jax.tree.map(
            lambda shape: jnp.zeros(shape.shape, "float32"), (shapes, norms)
        )
        return jax.lax.fori_loop(0, number, one, (state, total, jnp.zeros((), "int32"), norms))

    def evaluate(self, weights, data, number):
        """Counts over the first `number` rows: every row once, EVAL_ROWS at a time, no dropout."""

        @jax.jit
        def counts_of(batch_number):
            place = batch_number * EVAL_ROWS + jnp.arange(EVAL_ROWS, dtype="int32")
            batch = packed.rows(data, jnp.minimum(place, number - 1), jnp)
            batch = {
                name: value * (place < number)[:, None].astype("int32")
                for name, value in batch.items()
            }
            draws = Draws(self.config.train.seed, -1 - batch_number, EVAL_ROWS)
            with self._scope(weights):
                batch = self.objective.prepare(batch, draws)
                return self.objective.loss_sums(self.model, batch, draws, None)[1]

        shapes = jax.eval_shape(counts_of, jnp.zeros((), "int32"))
        total = {name: jnp.zeros(shape.shape, "float32") for name, shape in shapes.items()}

        def one(batch_number, total):
            return {name: total[name] + value for name, value in counts_of(batch_number).items()}

        return jax.lax.fori_loop(0, (number + EVAL_ROWS - 1) // EVAL_ROWS, one, total)

    def metrics(self, counts) -> dict:
        """The objective's metrics of counts, plain floats."""
        counts = {name: np.asarray(value, np.float64) for name, value in counts.items()}
        return {name: float(value) for name, value in self.objective.metrics(counts).items()}

    def _scope(self, weights):
        return keras.StatelessScope(state_mapping=list(zip(self.variables, weights, strict=True)))

    def one_step(self, state, batch, rate):
        config, objective, step = self.config, self.objective, state["step"]
        rows = config.train.batch_size
        with self._scope(state["weights"]):
            batch = objective.prepare(batch, Draws(config.train.seed, step, rows))
            total = objective.loss_weights(batch)
        sums, counts, gradients = self._gradients(state["weights"], batch, total, step)
        factors = objective.factors(step)
        loss = sum(factors[term] * sums[term] / total[term] for term in sums)
        norms = {"gradient_norm": optimizers.global_norm(gradients)}
        for scope, places in self._scopes.items():
            own = [gradients[place] for place in places]
            norms[f"gradient_norm/{scope}"] = optimizers.global_norm(own)
        ok = jnp.isfinite(norms["gradient_norm"]) & jnp.isfinite(loss)
        weights, slots = list(state["weights"]), list(state["slots"])
        for number, (optimizer, places) in enumerate(self._groups.items()):
            own = [gradients[place] for place in places]
            clipped = optimizers.clip_by_global_norm(
                own, optimizer.config.clip_norm, optimizers.global_norm(own)
            )
            for place, gradient in zip(places, clipped, strict=True):
                weight, slot = weights[place], slots[place]
                new, new_slots = optimizer.update(
                    self.paths[place], weight, gradient, slot, step, rate[number]
                )
                weights[place] = jnp.where(ok, new, weight)
                slots[place] = {name: jnp.where(ok, new_slots[name], slot[name]) for name in slot}
        return (
            {"weights": weights, "slots": slots, "step": step + ok.astype("int32")},
            counts,
            ok,
            norms,
        )

    def _gradients(self, weights, batch, total, step):
        """(loss sums, counts, gradients) of the batch, micro-batch by micro-batch."""
        config, number = self.config, self.micro_batches
        rows = config.train.batch_size // number

        def loss_of(weights, part, first):
            draws = Draws(config.train.seed, step, config.train.batch_size, first)
            dropout = Dropout(config.train.seed, step, first, rows)
            with self._scope(weights):
                sums, counts = self.objective.loss_sums(self.model, part, draws, dropout)
            factors = self.objective.factors(step)
            loss = sum(factors[term] * sums[term] / total[term] for term in sums)
            return loss, (sums, counts)

        def of(first):
            part = (
                {
                    name: jax.lax.dynamic_slice_in_dim(value, first, rows)
                    for name, value in batch.items()
                }
                if number > 1
                else batch
            )
            (_, (sums, counts)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
                weights, part, first
            )
            return sums, counts, gradients

        if number == 1:
            return of(0)
        result = of(jnp.zeros((), "int32"))
        return jax.lax.fori_loop(
            1, number, lambda place, total: jax.tree.map(jnp.add, total, of(place * rows)), result
        )


def shapes_of(tree):
    """Shapes and dtypes of arrays, to compile for them."""
    return jax.tree.map(
        lambda value: jax.ShapeDtypeStruct(jnp.shape(value), jnp.result_type(value)), tree
    )


def lower_train(program: Program, data):
    """The lowered `program.train`, which is given its state; call `.compile()`."""
    index = jax.ShapeDtypeStruct((program.max_steps, program.config.train.batch_size), "int32")
    rates = jax.ShapeDtypeStruct((program.max_steps, len(program.optimizers)), "float32")
    number = jax.ShapeDtypeStruct((), "int32")
    state = jax.eval_shape(program.fresh_state)
    return jax.jit(program.train, donate_argnums=0).lower(
        state, shapes_of(data), index, rates, number
    )


def lower_evaluate(program: Program, data):
    """The lowered `program.evaluate`; call `.compile()`."""
    weights = jax.eval_shape(program.fresh_state)["weights"]
    return jax.jit(program.evaluate).lower(
        weights, shapes_of(data), jax.ShapeDtypeStruct((), "int32")
    )


class Order:
    """The infinite order of examples: that of electra_tf for a data set of one group."""

    def __init__(self, num_examples: int, seed: int, batch_size: int):
        self._size, self._seed, self._batch = num_examples, seed, batch_size
        self._permutation = functools.lru_cache(maxsize=2)(self._permutation)

    def steps(self, first: int, end: int) -> np.ndarray:
        """int32 [end - first, B] rows of steps first … end - 1."""
        places = np.arange(first * self._batch, end * self._batch)
        epochs, offsets = np.divmod(places, self._size)
        index = np.empty(len(places), np.int32)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            index[chosen] = self._permutation(int(epoch))[offsets[chosen]]
        return index.reshape(end - first, self._batch)

    def _permutation(self, epoch):
        generator = np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([self._seed, epoch, 1]))
        )
        return generator.permutation(self._size).astype(np.int32)

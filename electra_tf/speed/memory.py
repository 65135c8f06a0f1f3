"""How much memory a training step takes, from the sizes of its networks alone.

Between steps there are the weights and the optimizer's slots. Within a step the most is needed at
one of these moments, whose largest one counts:

* a pass (`objectives.passes`) is through: what it keeps for its gradient, the rest of what the
  passes before it have kept, and working memory for the loss;
* the update: all gradients, and the optimizer's working memory.

What a pass keeps is tabled here, as measured on the graph that TensorFlow runs on CPUs in a long
training. A step compiled as a whole (XLA, on GPUs and TPUs) is expected to keep no more: it fuses
and computes some of it again.
"""

import dataclasses
import math
from typing import NamedTuple

from electra_tf.models.attention import MANY_SCORES
from electra_tf.objectives import Objective, flops
from electra_tf.objectives.passes import Pass
from electra_tf.objectives.phases import Phase, Timeline
from electra_tf.objectives.sampling import block_size
from electra_tf.objectives.vocabulary import SLICE
from electra_tf.train.optimizers import build_network_optimizers

FLOAT32 = 4


class _Kept(NamedTuple):
    """Tensors that are kept from the forward to the backward pass.

    Attributes:
        what: they are.
        number: of them.
        size: numbers of one tensor for each token: H hidden_size, F intermediate_size,
            E embedding_size, W num_heads x tokens that one sees (a row of the attention's weights).
        is_float32: whether they are float32 in mixed precision, too.
    """

    what: str
    number: int
    size: str
    is_float32: bool = False


# Each table is of one place in models/; a change there belongs here, too. To measure again:
# TensorFlow's profiler records every allocation of a step; tests/integration/test_plan.py has their
# sum.
_EMBEDDINGS = (  # models/embeddings.py, for each token
    _Kept("normalised sum", 1, "E", is_float32=True),
    _Kept("output", 1, "E"),
)
_PROJECTION = (_Kept("embeddings, projected", 1, "H"),)  # models/encoder.py, where E is not H
_LAYER = (  # models/transformer.py, layers.py and attention.py, for each token and layer
    _Kept("queries, keys, values", 3, "H"),
    _Kept("scaled queries", 1, "H"),
    _Kept("softmax, before and after dropout", 2, "W"),
    _Kept("context", 1, "H"),
    _Kept("normalised sums", 2, "H", is_float32=True),
    _Kept("outputs of the normalisations", 2, "H"),
    _Kept("feed-forward: before GELU, after it", 2, "F"),
)
_GATE = (_Kept("gate, before GELU; both multiplied", 2, "F"),)  # beside those of _LAYER
_BLOCKS = (_Kept("keys and values once more, with their neighbours", 6, "H"),)  # models/windows.py
_BACKWARD = (_Kept("gradient in one layer, the last", 1, "F"),)  # for each token
_DETECTION = (_Kept("dense layer: before GELU, after it", 2, "H"),)  # for each token
_PREDICTION = (  # models/heads.py, for each predicted position
    _Kept("hidden states", 1, "H"),
    _Kept("dense layer: before GELU, after it, normalised, output", 4, "E"),
)
# objectives/vocabulary.py, all float32: numbers of [positions, SLICE] tensors and of [V, E] tables,
# while a pass predicts, while the next pass runs, and while those after it do: then its backward
# pass is past the logits.
_LOSS_LOGITS, _LOSS_TABLES = 2, 2
_NEXT_LOGITS, _LATER_LOGITS, _LATER_TABLES = 2, 0, 5
# The backward pass of a network, twice the work of its forward pass, runs beside the next network's
# forward pass, at this share of its speed.
_BESIDE = 0.6
# train/optimizers: working memory of the update, in times all trained weights: a compiled one makes
# new weights and slots beside the old ones.
_UPDATE = 3.2
# TensorFlow's allocator gives blocks larger than what was asked for.
_ALLOCATOR = 1.07


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes on one device at the moment of a step that needs most.

    Attributes:
        weights: of all networks, and their averages.
        optimizer: its slots.
        gradients: of the trained weights, where the moment has them.
        activations: what is kept for the backward pass.
        workspace: everything else within the step.
    """

    weights: float
    optimizer: float
    gradients: float
    activations: float
    workspace: float

    @property
    def total(self) -> float:
        """The sum."""
        return sum(dataclasses.astuple(self))


class MemoryModel:
    """The memory of a config's training step.

    Args:
        objective: of the config, whose `model.vocab_size` is set.
        seq_length: tokens of an example.

    Attributes:
        numbers: of weights, by network: by the first part of their paths.
    """

    def __init__(self, objective: Objective, seq_length: int):
        config = objective.config
        self._objective, self._config, self._length = objective, config, seq_length
        shapes = objective.variable_shapes()
        optimizers = build_network_optimizers(
            objective.optimizers(), config.train.num_steps, objective.num_layers()
        )
        timeline = Timeline(objective.phases())
        self._weights = {path: math.prod(shape) for path, shape in shapes.items()}
        self._copies = 2 if config.train.average_decay else 1  # the averages are weights, too
        self._slots = sum(
            math.prod(slot.shape) * FLOAT32
            for path, shape in shapes.items()
            if timeline.trains(path)
            for slot in optimizers.slots(path, shape).values()
        )
        self.numbers: dict[str, int] = {}
        for path, number in self._weights.items():
            network = path.split("/")[0]
            self.numbers[network] = self.numbers.get(network, 0) + number

    def of(self, batch_size: int, accumulation_steps: int, mixed: bool) -> Memory:
        """The memory on one device.

        Args:
            batch_size: rows of an update on this device.
            accumulation_steps: micro-batches of it.
            mixed: whether layers compute in 16 bits.
        """
        rows = batch_size / accumulation_steps
        moments = [
            moment
            for phase in self._objective.phases()
            for moment in self._moments(phase, batch_size, rows, mixed)
        ]
        gradients, activations, workspace = max(moments, key=sum)
        return Memory(
            weights=FLOAT32 * self._copies * sum(self._weights.values()),
            optimizer=self._slots,
            gradients=gradients,
            activations=_ALLOCATOR * activations,
            workspace=_ALLOCATOR * workspace,
        )

    def _moments(self, phase: Phase, batch_size, rows, mixed):
        """Bytes of (gradients, activations, workspace) at each moment of a step."""
        gradients = FLOAT32 * sum(
            number for path, number in self._weights.items() if phase.is_trained(path)
        )
        yield gradients, 0.0, _UPDATE * gradients
        # The sum of the gradients so far, while the next micro-batch makes its own.
        summed = 2 * gradients if rows < batch_size else 0.0
        passes = self._objective.passes()
        kept = [
            self._kept(each, rows, mixed)
            if phase.terms is None or each.term in phase.terms
            else 0.0
            for each in passes
        ]
        casts = self._casts() if mixed else 0.0
        for number, each in enumerate(passes):
            left = self._left(passes[: number + 1])
            activations = kept[number] + casts
            workspace = rows * self._length * self._bytes(_BACKWARD, each, mixed)
            workspace += self._loss(each, rows, _LOSS_LOGITS, _LOSS_TABLES)
            for before, share in enumerate(left):
                activations += share * kept[before]
                logits = _NEXT_LOGITS if before == number - 1 else _LATER_LOGITS
                workspace += self._loss(passes[before], rows, logits, _LATER_TABLES)
            workspace += self._sampling_noise(each, batch_size)
            yield summed, activations, workspace

    def _left(self, passes):
        """Share of what each pass but the last has kept that is there when the last is through."""
        work = [flops.pass_multiply_adds(each, self._length) for each in passes]
        left = []
        for number in range(len(work) - 1):
            following = number + 1
            while following < len(passes) and passes[following].continues:
                following += 1  # until then its backward pass cannot begin
            beside = _BESIDE * sum(work[following:]) / (2.0 * work[number])
            left.append(max(0.0, 1.0 - beside))
        return left

    def _kept(self, each: Pass, rows, mixed):
        """Bytes that a pass keeps for its gradient."""
        model, length = each.model, self._length
        head = self._bytes(_DETECTION, each, mixed) * length
        if each.predicted is not None:
            head = self._bytes(_PREDICTION, each, mixed) * each.predicted(length)
        encoder = self._bytes(_EMBEDDINGS, each, mixed)
        encoder += sum(
            self._layer(each, model.window(layer), rows, mixed) for layer in range(model.num_layers)
        )
        if model.embedding_size != model.hidden_size:
            encoder += self._bytes(_PROJECTION, each, mixed)
        return rows * (length * each.towers * encoder + head)

    def _layer(self, each: Pass, window, rows, mixed):
        """Bytes that a layer with a window (0: a global one) keeps for one token."""
        model, length = each.model, self._length
        in_blocks = window and length > 3 * window
        seen = 3 * window if in_blocks else length
        has_many_scores = rows * model.num_heads * length * seen > MANY_SCORES
        table = [kept for kept in _LAYER if not (kept.size == "W" and has_many_scores)]
        table += _GATE if model.elements().feed_forward == "geglu" else ()
        table += _BLOCKS if in_blocks else ()
        return self._bytes(table, each, mixed, seen)

    def _bytes(self, table, each: Pass, mixed, seen: int = 0):
        """Bytes of a table's tensors for one token of a pass, which sees as many others."""
        sizes = {
            "H": each.model.hidden_size,
            "F": each.model.intermediate_size,
            "E": each.model.embedding_size,
            "W": each.model.num_heads * seen,
        }
        return sum(
            kept.number * sizes[kept.size] * (2 if mixed and not kept.is_float32 else FLOAT32)
            for kept in table
        )

    def _casts(self):
        """Bytes of the 16-bit copies of what dense layers multiply with."""
        return 2 * sum(number for path, number in self._weights.items() if path.endswith("/kernel"))

    def _loss(self, each: Pass, rows, logits, tables):
        """Bytes of tensors as large as the vocabulary."""
        if each.predicted is None:
            return 0.0
        positions = rows * each.predicted(self._length)
        if not positions:
            return 0.0
        vocab_size = each.model.vocab_size
        tables *= each.model.embedding_size * vocab_size
        return FLOAT32 * (logits * positions * min(SLICE, vocab_size) + tables)

    def _sampling_noise(self, each: Pass, batch_size):
        """Bytes of the noise that samples tokens: every micro-batch draws all rows' (`Draws`)."""
        if each.predicted is None:
            return 0.0
        block = block_size(each.model.vocab_size)
        positions = (each.sampled or each.predicted)(self._length)
        return FLOAT32 * 2 * 2 * block * batch_size * positions

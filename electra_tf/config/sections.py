"""The sections of a config: what `--config.SECTION.FIELD=VALUE` sets, and what each may be.

Flags set fields after construction, so nothing is checked in `__post_init__`; every command calls
`objectives.validate` of the whole config first, which holds each field to what stands beside it.
"""

import dataclasses

from electra_tf.config import blocks, breakpoints, mixtures
from electra_tf.config.batch_sizes import BatchSizes
from electra_tf.config.blocks import Block
from electra_tf.config.checks import at_most, divides, one_of
from electra_tf.config.fields import Fields, choice, number
from electra_tf.errors import UserError

OPTIMIZERS = ("adam", "adamw", "stable_adamw", "lamb")
SHARING = ("all", "embeddings", "token_embeddings", "none", "gdes")
GENERATORS = ("trained", "uniform", "unigram", "frozen")
SPANS = ("token", "word", "ngram")
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16", "auto")
XLA = ("auto", "true", "blocks", "false")
# Bounds beyond which a value can only be a slip. Steps are counted in 32 bits, widths and rows are
# sizes of tensors, and below TINY a float32 may be 0.
MAX_STEPS, MAX_ROWS, MAX_WIDTH = 1_000_000_000, 1 << 20, 1 << 16
MAX_SEED, MAX_FACTOR, TINY = (1 << 32) - 1, 1e12, 1e-30


@dataclasses.dataclass
class TokenizerConfig(Fields):
    """How text becomes tokens. With the vocabulary it goes into evaluation, export and all else."""

    tokenizer: str = "wordpiece"  # a name of text/tokenization.py
    lower_case: bool = True  # "The" becomes "the"
    strip_accents: bool = True  # "é" becomes "e"
    tokenize_chinese_chars: bool = True  # each one is a word
    never_split: str = ""  # tokens found whole in a text as it is written, as a JSON list
    added_tokens: str = ""  # the same, in a text as it is folded
    tokenizer_fingerprint: str = ""  # of all this and the vocabulary; every run writes its own


@dataclasses.dataclass
class DataConfig(TokenizerConfig):
    """Where the token shards are, how they are shuffled, and how their text was tokenized."""

    dir: str = ""  # output of electra_tf build_dataset, or the original's TFRecords
    # in its place: several such directories, each with its share of the examples, as JSON, such as
    # {"shards/wiki": 3, "shards/novels": 1}
    mixture: str = ""
    vocab_file: str = ""  # empty: the tokenizer's file in `dir`
    # examples shuffled together, held in host memory
    shuffle_examples: int = number(262_144, 1, MAX_STEPS)

    def sources(self) -> dict[str, int]:
        """The directories that are read, with their weights; an empty name if none is given.

        Raises:
            UserError: `mixture` cannot be read, or `dir` is there, too.
        """
        mixture = mixtures.read(self.mixture, "config.data.mixture")
        if mixture and self.dir:
            raise UserError(
                "config.data.mixture must be in place of config.data.dir, which must be empty. "
                f"Received: {self.mixture} and {self.dir}"
            )
        return mixture or {self.dir: 1}


@dataclasses.dataclass
class ModelConfig(Fields):
    """The discriminator (or the only encoder): Table 6 of the paper."""

    vocab_size: int = number(0, 0, 1 << 28)  # 0: the number of lines of the vocabulary
    hidden_size: int = number(256, 1, MAX_WIDTH)
    num_layers: int = number(12, 1, 1000)
    num_heads: int = number(4, 1, MAX_WIDTH)
    intermediate_size: int = number(1024, 1, 1 << 20)
    embedding_size: int = number(128, 1, MAX_WIDTH)
    max_positions: int = number(512, 1, 1 << 20)
    type_vocab_size: int = number(2, 1, MAX_WIDTH)
    hidden_dropout: float = number(0.1, 0, 1, "[)")
    attention_dropout: float = number(0.1, 0, 1, "[)")
    initializer_range: float = number(0.02, 0, 10, "(]")
    layer_norm_epsilon: float = number(1e-12, TINY, 1)
    sharing: str = choice("embeddings", SHARING)  # what generator and discriminator share
    # of all networks: bert, or modern, that of ModernBERT
    block: str = choice("bert", blocks.BLOCKS)
    # its elements one by one, for mixtures; auto and -1: as `block` has them; see config/blocks.py
    positions: str = choice(blocks.AUTO, (blocks.AUTO, *blocks.POSITIONS))
    norm: str = choice(blocks.AUTO, (blocks.AUTO, *blocks.NORMS))
    feed_forward: str = choice(blocks.AUTO, (blocks.AUTO, *blocks.FEED_FORWARDS))
    biases: str = choice(blocks.AUTO, (blocks.AUTO, *blocks.SWITCHES))
    token_types: str = choice(blocks.AUTO, (blocks.AUTO, *blocks.SWITCHES))
    # tokens seen in a local layer, half to each side; 0: all layers are global
    local_window: int = number(-1, -1, 1 << 20)
    global_every: int = number(3, 1, 1000)  # layers 0, 3, 6, … are global, where others are local
    rope_theta: float = number(160_000.0, 1, MAX_FACTOR)  # of rotary positions in global layers
    local_rope_theta: float = number(10_000.0, 1, MAX_FACTOR)  # in local layers

    def elements(self) -> Block:
        """The elements of the block."""
        names = [field.name for field in dataclasses.fields(Block)]
        return blocks.resolved(self.block, {name: getattr(self, name) for name in names})

    def usual_intermediate_size(self, hidden: int) -> int:
        """That of a network of another hidden_size: 4 x hidden, or with a gate 8/3 x hidden."""
        has_gate = self.elements().feed_forward == "geglu"
        return max(8, 8 * round(hidden / 3)) if has_gate else 4 * hidden

    def window(self, layer: int) -> int:
        """Tokens that one sees to each side in a layer; 0: all."""
        return self.elements().local_window // 2 if layer % self.global_every else 0


@dataclasses.dataclass
class GeneratorConfig(Fields):
    """The generator's size as fractions of the discriminator's (section 3.2 of the paper)."""

    hidden_fraction: float = number(0.25, 0, 1, "(]")
    layer_fraction: float = number(1.0, 0, 1, "(]")
    num_heads: int = number(0, 0, MAX_WIDTH)  # 0: max(1, hidden // 64), as in the original
    # 0: 4 x hidden, as in the original; with a gate 8/3 x hidden, which has as many weights
    intermediate_size: int = number(0, 0, 1 << 20)
    # of its own tables, with sharing=none alone; 0: hidden, as in the original
    embedding_size: int = number(0, 0, MAX_WIDTH)


@dataclasses.dataclass
class ObjectiveConfig(Fields):
    """What the model is trained to do (section 2 of the paper)."""

    name: str = "electra"  # a name of electra_tf/objectives/__init__.py
    mask_fraction: float = number(0.15, 0, 1, "(]")  # share of an example's tokens that is masked
    # in its place: pairs of a step and the share there, as JSON, such as [[0, 0.3], [50000, 0.15]],
    # linear between them; evaluation takes the last one
    mask_fraction_by_step: str = ""
    # what is masked together: each token alone, a word, or a run of 1 to span_max_words words; see
    # objectives/spans.py
    span: str = choice("token", SPANS)
    span_max_words: int = number(3, 1, 100)  # of ngram
    mask_token_fraction: float = number(0.85, 0, 1)  # share of the masked positions shown as [MASK]
    random_token_fraction: float = number(0.0, 0, 1)  # share of them shown as a random token
    # of the generator's losses: of its predictions, or (adversarial) of policy and baseline
    generator_weight: float = number(1.0, 0, MAX_FACTOR)
    # of what reads the replacements; -1: 50, as in the paper, where it detects them, 1 where it
    # predicts tokens (replace_mlm, all_tokens_mlm)
    discriminator_weight: float = number(-1.0, -1, MAX_FACTOR)
    # in its place, as mask_fraction_by_step; the metric `loss` takes the last one
    discriminator_weight_by_step: str = ""
    temperature: float = number(1.0, 1e-3, 1e3)  # of the generator's softmax when it samples
    disallow_correct: bool = False  # never sample the original token
    # what fills the masked positions: a network that learns, too; any token of the vocabulary; one
    # by its frequency in the data; a ready masked LM that stands still, whose temperature falls to
    # 1; see objectives/generators.py
    generator: str = choice("trained", GENERATORS)
    # of generator=frozen: a model directory or run with a generator or a masked LM
    generator_from: str = ""
    # of two_stage: updates of the generator before the discriminator's
    generator_steps: int = number(0, 0, MAX_STEPS)
    # terms added to a discriminator's loss, see objectives/additions/; 0: without
    # [CLS] of a text and of a part of it is alike (COCO-LM)
    contrastive_weight: float = number(0.0, 0, MAX_FACTOR)
    # consecutive rows of a batch that are told from each other
    contrastive_rows: int = number(16, 2, MAX_ROWS)
    contrastive_temperature: float = number(1.0, 1e-3, 1e3)
    # the masked-out tokens are copied or predicted (COCO-LM)
    corrective_weight: float = number(0.0, 0, MAX_FACTOR)
    # the masked-out tokens are found among four samples of the generator (TEAMS)
    selection_weight: float = number(0.0, 0, MAX_FACTOR)


@dataclasses.dataclass
class OptimizerConfig(Fields):
    """Optimizer and learning-rate schedule."""

    name: str = "adam"  # one of OPTIMIZERS, or one of Keras's, such as keras:Lion, keras:Muon
    keras_arguments: str = ""  # of Keras's constructor, as JSON; its betas are not those below
    learning_rate: float = number(5e-4, 0, 100)
    schedule: str = "polynomial"  # or constant, cosine, warmup_stable_decay; train/schedule.py
    warmup_steps: int = number(10_000, 0, MAX_STEPS)  # linear, of every schedule
    decay_power: float = number(1.0, 0, 100)  # of polynomial; 1: linear to zero at train.num_steps
    # of warmup_stable_decay: the last part of the steps, to zero
    decay_fraction: float = number(0.1, 0, 1, "(]")
    weight_decay: float = number(0.01, 0, 100)
    beta_1: float = number(0.9, 0, 1, "[)")
    beta_2: float = number(0.999, 0, 1, "[)")
    epsilon: float = number(1e-6, TINY, 1)
    bias_correction: bool = False  # the original's Adam has none
    # of the gradient of all that has these settings; 0: no clipping
    clip_norm: float = number(1.0, 0, MAX_FACTOR)
    layer_decay: float = number(1.0, 0, 1)  # learning-rate factor per layer below the head


@dataclasses.dataclass
class GeneratorOptimizerConfig(Fields):
    """What differs for the generator's own weights; -1: as in config.optimizer, like the rest.

    What it shares is the discriminator's. With any difference each network is clipped by the norm
    of its own gradients, without by that of both.
    """

    learning_rate: float = number(-1.0, -1, 100)
    warmup_steps: int = number(-1, -1, MAX_STEPS)
    clip_norm: float = number(-1.0, -1, MAX_FACTOR)

    def over(self, common: OptimizerConfig) -> OptimizerConfig:
        """The generator's optimizer, where all others are `common`."""
        return dataclasses.replace(
            common, **{name: value for name, value in vars(self).items() if value != -1}
        )


@dataclasses.dataclass
class TrainConfig(Fields):
    """Length of a run, and intervals of logging, checkpoints and evaluation."""

    num_steps: int = number(1_000_000, 1, MAX_STEPS)
    # minutes of training, in which a new run does as many of num_steps as the device has time for,
    # with a schedule shortened alike; 0: all of them
    max_minutes: float = number(0.0, 0, 1e7)
    # examples per update, over all devices and accumulation steps
    batch_size: int = number(128, 1, MAX_ROWS)
    # smaller batches at the beginning: pairs of a step and the rows before it, as JSON, such as
    # [[2000, 64], [3000, 128]]
    batch_warmup: str = ""
    accumulation_steps: int = number(1, 1, MAX_ROWS)  # micro-batches per update
    # of an exponential moving average of the weights, which is then what is evaluated, and what
    # everything else but training reads from the run; 0: none
    average_decay: float = number(0.0, 0, 1, "[)")
    seed: int = number(0, 0, MAX_SEED)
    checkpoint_steps: int = number(1000, 1, MAX_STEPS)
    keep_checkpoints: int = number(5, 1, MAX_STEPS)
    eval_steps: int = number(10_000, 0, MAX_STEPS)  # 0: never evaluate while training
    # batches of held-out examples per evaluation; 0: all
    eval_batches: int = number(0, 0, MAX_STEPS)
    log_steps: int = number(100, 1, MAX_STEPS)

    def batch_sizes(self) -> BatchSizes:
        """The size of the batch at each step; raises UserError if batch_warmup is not valid."""
        return BatchSizes(self.batch_warmup, self.batch_size, "config.train.batch_warmup")


@dataclasses.dataclass
class RuntimeConfig(Fields):
    """Devices, precision and compilation; none of it changes the mathematics beyond rounding."""

    strategy: str = choice("auto", STRATEGIES)
    # split the CPU into this many devices (for tests)
    num_virtual_devices: int = number(0, 0, 1024)
    tpu: str = ""  # TPU name or address for TPUClusterResolver
    # auto: the mixed one that the device computes itself, else float32; a run keeps its first
    precision: str = choice("float32", PRECISIONS)
    # compile the step (true), or only its element-wise blocks and the update (blocks); auto: true
    # on GPU and TPU, on the CPU blocks in a pre-training of 2,000 steps or more, else false
    xla: str = choice("auto", XLA)
    deterministic: bool = False  # bit-for-bit repeatable; see BUILD.md for its cost


def check_model(model: ModelConfig) -> None:
    """Raises UserError if the fields of `config.model` do not fit together."""
    divides("config.model.num_heads", model.num_heads, "hidden_size", model.hidden_size)
    if model.elements().positions == "rotary" and model.hidden_size // model.num_heads % 2:
        raise UserError(
            "The size of a head, config.model.hidden_size / num_heads, must be even for rotary "
            f"positions. Received: {model.hidden_size // model.num_heads}"
        )
    if model.elements().local_window % 2:
        raise UserError(
            "config.model.local_window must be even, half of it to each side. "
            f"Received: {model.local_window}"
        )


def check_objective(objective: ObjectiveConfig) -> None:
    """Raises UserError if what `config.objective` says of weights, steps or tokens cannot be."""
    if -1 < objective.discriminator_weight < 0:
        raise UserError(
            "config.objective.discriminator_weight must be -1, the objective's own, or at least 0. "
            f"Received: {objective.discriminator_weight}"
        )
    shown = objective.mask_token_fraction + objective.random_token_fraction
    at_most("config.objective.mask_token_fraction + .random_token_fraction", shown, 1)
    breakpoints.check(
        "config.objective.mask_fraction_by_step",
        objective.mask_fraction_by_step,
        0,
        1,
        closed=(False, True),
    )
    breakpoints.check(
        "config.objective.discriminator_weight_by_step",
        objective.discriminator_weight_by_step,
        0,
        MAX_FACTOR,
    )


def check_optimizer_name(name: str) -> None:
    """Raises UserError for an optimizer that there is not; which are Keras's, Keras knows."""
    if not name.startswith("keras:"):
        one_of("config.optimizer.name", name, (*OPTIMIZERS, "keras:NAME"))

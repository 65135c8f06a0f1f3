"""One experiment as typed dataclasses: what `--config=FILE --config.section.field=value` fills in.

No TensorFlow here: a config can be read, checked and written on any machine. Flags set fields after
construction, so nothing is checked in `__post_init__`; every command calls `validate()` first.
"""

import dataclasses
import json
import os

from electra_tf.checks import at_least, between, divides, one_of

OBJECTIVES = ("electra", "mlm")
OPTIMIZERS = ("adam", "adamw", "lamb")
SHARING = ("all", "embeddings", "token_embeddings", "none")
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
XLA = ("auto", "true", "false")
INIT_SCHEDULES = ("restart", "continue")


class JsonConfig:
    """A config of sections and plain fields, as JSON and back."""

    def to_json(self) -> str:
        """The whole config as indented JSON, one key per section or top-level field."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def flat(self) -> dict:
        """Every field by its full name, such as config.train.seed."""
        fields = {}
        for section, value in dataclasses.asdict(self).items():
            inner = value.items() if isinstance(value, dict) else [("", value)]
            fields |= {f"config.{section}.{name}".rstrip("."): item for name, item in inner}
        return fields

    @classmethod
    def from_json(cls, text: str):
        """Reads what `to_json` wrote. Unknown sections or fields raise ValueError."""
        config = cls()
        for section, values in json.loads(text).items():
            target = getattr(config, section, None)
            if target is None:
                raise ValueError(f"config.json has an unknown section. Received: {section!r}")
            if not dataclasses.is_dataclass(target):
                setattr(config, section, values)
                continue
            for name, value in values.items():
                if not hasattr(target, name):
                    raise ValueError(f"config.json has an unknown field. Received: "
                                     f"{section}.{name}")
                setattr(target, name, value)
        return config


@dataclasses.dataclass
class DataConfig:
    """Where the token shards are and how they are shuffled."""

    dir: str = ""  # output of pipelines.build_dataset, or the original's TFRecords
    vocab_file: str = ""  # empty: vocab.txt in `dir`
    shuffle_examples: int = 262_144  # examples shuffled together, held in host memory
    lower_case: bool = True  # how the text was tokenized: dataset.json decides where there is one
    strip_accents: bool = True  # as lower_case; both go with the vocabulary into evaluation, export


@dataclasses.dataclass
class ModelConfig:
    """The discriminator (or, for `mlm`, the one encoder): Table 6 of the paper."""

    vocab_size: int = 0  # 0: the number of lines of the vocabulary
    hidden_size: int = 256
    num_layers: int = 12
    num_heads: int = 4
    intermediate_size: int = 1024
    embedding_size: int = 128
    max_positions: int = 512
    type_vocab_size: int = 2
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    initializer_range: float = 0.02
    layer_norm_epsilon: float = 1e-12
    sharing: str = "embeddings"  # what generator and discriminator share, one of SHARING


@dataclasses.dataclass
class GeneratorConfig:
    """The generator's size as fractions of the discriminator's (section 3.2 of the paper)."""

    hidden_fraction: float = 0.25
    layer_fraction: float = 1.0
    num_heads: int = 0  # 0: max(1, hidden // 64), as in the original
    intermediate_size: int = 0  # 0: 4 x hidden, as in the original
    embedding_size: int = 0  # of its own tables (sharing=none); 0: hidden, as in the original


@dataclasses.dataclass
class ObjectiveConfig:
    """What the model is trained to do (section 2 of the paper)."""

    name: str = "electra"  # one of OBJECTIVES
    mask_fraction: float = 0.15  # share of an example's tokens that is masked
    mask_token_fraction: float = 0.85  # share of the masked positions shown as [MASK]
    generator_weight: float = 1.0
    discriminator_weight: float = 50.0
    temperature: float = 1.0  # of the generator's softmax when it samples
    disallow_correct: bool = False  # never sample the original token


@dataclasses.dataclass
class OptimizerConfig:
    """Optimizer and learning-rate schedule."""

    name: str = "adam"  # one of OPTIMIZERS
    learning_rate: float = 5e-4
    warmup_steps: int = 10_000
    decay_power: float = 1.0  # 1: linear to zero at train.num_steps
    weight_decay: float = 0.01
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-6
    bias_correction: bool = False  # the original's Adam has none
    clip_norm: float = 1.0  # of the global gradient; 0: no clipping
    layer_decay: float = 1.0  # learning-rate factor per layer below the head


@dataclasses.dataclass
class TrainConfig:
    """Length and rhythm of a run."""

    num_steps: int = 1_000_000
    batch_size: int = 128  # examples per update, over all devices and accumulation steps
    accumulation_steps: int = 1  # micro-batches per update
    seed: int = 0
    checkpoint_steps: int = 1000
    keep_checkpoints: int = 5
    eval_steps: int = 10_000  # 0: never evaluate while training
    eval_batches: int = 0  # batches of held-out examples per evaluation; 0: all
    log_steps: int = 100


@dataclasses.dataclass
class RuntimeConfig:
    """Devices, precision and compilation; none of it changes the mathematics beyond rounding."""

    strategy: str = "auto"  # one of STRATEGIES
    num_virtual_devices: int = 0  # split the CPU into this many devices (for tests)
    tpu: str = ""  # TPU name or address for TPUClusterResolver
    precision: str = "float32"  # one of PRECISIONS
    xla: str = "auto"  # compile the step: auto is true on GPU and TPU, false on the CPU
    deterministic: bool = False  # bit-for-bit repeatable; see BUILD.md for its cost


@dataclasses.dataclass
class Config(JsonConfig):
    """One experiment."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    generator: GeneratorConfig = dataclasses.field(default_factory=GeneratorConfig)
    objective: ObjectiveConfig = dataclasses.field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    runtime: RuntimeConfig = dataclasses.field(default_factory=RuntimeConfig)
    init_from: str = ""  # model directory or run whose weights (and sizes) this run starts with
    init_schedule: str = "restart"  # restart at step 0, or continue at the step of init_from

    def validate(self) -> "Config":
        """Returns the config itself; raises ValueError that names the field, value and rule."""
        objective, train = self.objective, self.train
        check_model(self.model)
        check_optimizer(self.optimizer)
        check_runtime(self.runtime)
        one_of("config.objective.name", objective.name, OBJECTIVES)
        one_of("config.init_schedule", self.init_schedule, INIT_SCHEDULES)
        for name in ("num_steps", "batch_size", "accumulation_steps", "checkpoint_steps",
                     "keep_checkpoints", "log_steps"):
            at_least(f"config.train.{name}", getattr(train, name), 1)
        for name in ("eval_steps", "eval_batches", "seed"):
            at_least(f"config.train.{name}", getattr(train, name), 0)
        at_least("config.data.shuffle_examples", self.data.shuffle_examples, 1)
        for name in ("generator_weight", "discriminator_weight"):
            at_least(f"config.objective.{name}", getattr(objective, name), 0.0)
        divides("config.train.accumulation_steps", train.accumulation_steps,
                "config.train.batch_size", train.batch_size)
        for name in ("hidden_fraction", "layer_fraction"):
            between(f"config.generator.{name}", getattr(self.generator, name), 0.0, 1.0)
        between("config.objective.mask_fraction", objective.mask_fraction, 0.0, 1.0)
        between("config.objective.mask_token_fraction", objective.mask_token_fraction, 0.0, 1.0,
                closed=(True, True))
        between("config.objective.temperature", objective.temperature, 0.0, float("inf"))
        between("config.optimizer.learning_rate", self.optimizer.learning_rate, 0.0, float("inf"))
        between("config.optimizer.layer_decay", self.optimizer.layer_decay, 0.0, 1.0)
        model = self.model
        if objective.name == "electra":
            generator = self.generator_model()
            divides("config.generator.num_heads", generator.num_heads,
                    "the generator's hidden size", generator.hidden_size)
            if model.sharing == "all" and generator != self.model:
                raise ValueError(
                    "config.model.sharing=all makes generator and discriminator one network, so "
                    "config.generator.hidden_fraction and .layer_fraction must be 1 and "
                    "config.generator.num_heads must be config.model.num_heads. Received: "
                    f"{self.generator}")
            if self.generator.embedding_size and model.sharing != "none":
                raise ValueError(
                    "config.generator.embedding_size must be 0 where the generator has no tables "
                    f"of its own (config.model.sharing={model.sharing}). Received: "
                    f"{self.generator.embedding_size}")
        return self

    def take_networks(self, other: "Config", generator: bool = True) -> None:
        """Makes the networks those of another config; dropout and initial weights stay.

        Args:
            other: a validated config.
            generator: whether the generator and what it shares, too.
        """
        own = {name: getattr(self.model, name)
               for name in ("hidden_dropout", "attention_dropout", "initializer_range")}
        own |= {} if generator else {"sharing": self.model.sharing}
        self.model = dataclasses.replace(other.model, **own)
        if generator:
            self.generator = dataclasses.replace(other.generator)

    def generator_model(self) -> ModelConfig:
        """The generator's dimensions, by the original's rules (heads of size 64, FFN 4 x hidden).

        With `sharing=all` it is the discriminator's own ModelConfig.
        """
        fractions = self.generator
        if (self.model.sharing == "all" and fractions.num_heads in (0, self.model.num_heads)
                and fractions.hidden_fraction == fractions.layer_fraction == 1.0):
            return self.model
        hidden = max(1, round(self.model.hidden_size * fractions.hidden_fraction))
        own_tables = self.model.sharing == "none"
        return dataclasses.replace(
            self.model,
            hidden_size=hidden,
            num_layers=max(1, round(self.model.num_layers * fractions.layer_fraction)),
            num_heads=fractions.num_heads or max(1, hidden // 64),
            intermediate_size=fractions.intermediate_size or 4 * hidden,
            embedding_size=((fractions.embedding_size or hidden) if own_tables
                            else self.model.embedding_size))

    def num_layers(self) -> dict[str, int]:
        """Depth of each network by its name in variable paths, for layer-wise decay."""
        return {"encoder": self.model.num_layers, "discriminator": self.model.num_layers,
                "generator": self.generator_model().num_layers}


def check_model(model: ModelConfig) -> None:
    """Raises ValueError if `config.model` is impossible."""
    one_of("config.model.sharing", model.sharing, SHARING)
    for name in ("hidden_size", "num_layers", "num_heads", "intermediate_size", "embedding_size",
                 "max_positions", "type_vocab_size"):
        at_least(f"config.model.{name}", getattr(model, name), 1)
    divides("config.model.num_heads", model.num_heads, "hidden_size", model.hidden_size)
    for name in ("hidden_dropout", "attention_dropout"):
        between(f"config.model.{name}", getattr(model, name), 0.0, 1.0, closed=(True, False))


def check_optimizer(optimizer: OptimizerConfig) -> None:
    """Raises ValueError if `config.optimizer` is impossible; rate and layer decay may be 0."""
    one_of("config.optimizer.name", optimizer.name, OPTIMIZERS)
    between("config.optimizer.layer_decay", optimizer.layer_decay, 0.0, 1.0, closed=(True, True))
    for name in ("learning_rate", "warmup_steps", "weight_decay", "clip_norm", "decay_power"):
        at_least(f"config.optimizer.{name}", getattr(optimizer, name), 0)


def check_runtime(runtime: RuntimeConfig) -> None:
    """Raises ValueError if `config.runtime` is impossible."""
    one_of("config.runtime.strategy", runtime.strategy, STRATEGIES)
    one_of("config.runtime.precision", runtime.precision, PRECISIONS)
    one_of("config.runtime.xla", runtime.xla, XLA)


def load(directory: str) -> Config:
    """Reads `directory`/config.json, which every run writes beside its checkpoints."""
    path = os.path.join(directory, "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        raise ValueError(f"A run or model directory must contain config.json, which `python -m "
                         f"electra_tf.pretrain` and `python -m electra_tf.convert` write. "
                         f"Received: {directory}") from None
    if "task" in json.loads(text):
        raise ValueError("A pre-trained model is needed here. Received: "
                         f"{directory}, a fine-tuned one, for electra_tf.predict")
    return Config.from_json(text)

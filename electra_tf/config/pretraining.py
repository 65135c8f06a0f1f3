"""One pre-training as typed dataclasses."""

import dataclasses
import os

from electra_tf.config import directories
from electra_tf.config.checks import between, divides
from electra_tf.config.fields import choice
from electra_tf.config.json_config import JsonConfig, is_finetuning, read_fields
from electra_tf.config.sections import (
    DataConfig,
    GeneratorConfig,
    GeneratorOptimizerConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimizerConfig,
    RuntimeConfig,
    TrainConfig,
    check_model,
    check_objective,
    check_optimizer_name,
)
from electra_tf.errors import UserError
from electra_tf.files import expand

INIT_SCHEDULES = ("restart", "continue")


@dataclasses.dataclass
class Config(JsonConfig):
    """One experiment."""

    example = "configs/electra_small.py"

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    generator: GeneratorConfig = dataclasses.field(default_factory=GeneratorConfig)
    objective: ObjectiveConfig = dataclasses.field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    generator_optimizer: GeneratorOptimizerConfig = dataclasses.field(
        default_factory=GeneratorOptimizerConfig
    )
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    runtime: RuntimeConfig = dataclasses.field(default_factory=RuntimeConfig)
    init_from: str = ""  # model directory or run whose weights (and sizes) this run starts with
    # restart at step 0, or continue at the step of init_from
    init_schedule: str = choice("restart", INIT_SCHEDULES)

    def validate(self) -> "Config":
        """Returns the config itself; raises UserError that names the field, value and rule.

        What the objective demands is not known here: see `objectives.validate`.
        """
        self.expand_paths()
        self.check_fields()
        self.data.sources()
        check_model(self.model)
        check_objective(self.objective)
        check_optimizer_name(self.optimizer.name)
        for stretch in self.train.batch_sizes().stretches:
            divides(
                "config.train.accumulation_steps",
                self.train.accumulation_steps,
                stretch.field,
                stretch.size,
            )
        # 0 is for a fine-tuning: Table 7's.
        between("config.optimizer.learning_rate", self.optimizer.learning_rate, 0.0, 100.0)
        between("config.optimizer.layer_decay", self.optimizer.layer_decay, 0.0, 1.0)
        for name, value in vars(self.generator_optimizer).items():
            if -1 < value < 0 or (name == "learning_rate" and value == 0):
                raise UserError(
                    f"config.generator_optimizer.{name} must be -1, as in config.optimizer, or "
                    f"what config.optimizer.{name} may be. Received: {value}"
                )
        return self

    def expand_paths(self) -> None:
        super().expand_paths()
        source = self.objective.generator_from
        if isinstance(source, str | os.PathLike):
            self.objective.generator_from = expand(source)

    def take_networks(self, other: "Config", generator: bool = True) -> None:
        """Makes the networks those of another config; dropout and initial weights stay.

        Args:
            other: a validated config.
            generator: whether the generator and what it shares, too.
        """
        own = {
            name: getattr(self.model, name)
            for name in ("hidden_dropout", "attention_dropout", "initializer_range")
        }
        own |= {} if generator else {"sharing": self.model.sharing}
        self.model = dataclasses.replace(other.model, **own)
        if generator:
            self.generator = dataclasses.replace(other.generator)

    def generator_model(self) -> ModelConfig:
        """The generator's dimensions, by the original's rules (heads of size 64, FFN 4 x hidden).

        With `sharing=all` it is the discriminator's own ModelConfig.
        """
        fractions = self.generator
        if (
            self.model.sharing == "all"
            and fractions.num_heads in (0, self.model.num_heads)
            and fractions.hidden_fraction == fractions.layer_fraction == 1.0
        ):
            return self.model
        hidden = max(1, round(self.model.hidden_size * fractions.hidden_fraction))
        own_tables = self.model.sharing == "none"
        return dataclasses.replace(
            self.model,
            hidden_size=hidden,
            num_layers=max(1, round(self.model.num_layers * fractions.layer_fraction)),
            num_heads=fractions.num_heads or max(1, hidden // 64),
            intermediate_size=(
                fractions.intermediate_size or self.model.usual_intermediate_size(hidden)
            ),
            embedding_size=(
                (fractions.embedding_size or hidden) if own_tables else self.model.embedding_size
            ),
        )


def load(directory: str) -> Config:
    """Reads `directory`/config.json, which every run writes beside its checkpoints."""
    fields = read_fields(directory)
    if fields is None:
        raise UserError(
            "A run or model directory must contain config.json, which `electra_tf pretrain` and "
            f"`electra_tf convert` write. Received: {directories.describe(directory)}"
        )
    if is_finetuning(fields):
        raise UserError(
            f"A pre-trained model is needed here. Received: {directory}, a fine-tuned one, for "
            f"`electra_tf predict`; `electra_tf convert --input={directory} "
            "--input_format=electra_tf --encoder_only --output=NEW` takes its encoder"
        )
    return Config.from_fields(fields, directory).validate()

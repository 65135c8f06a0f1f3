"""One fine-tuning as typed dataclasses."""

import dataclasses
import json
from collections.abc import Sequence

from electra_tf.config import directories
from electra_tf.config.checks import divides
from electra_tf.config.fields import Fields, number
from electra_tf.config.json_config import JsonConfig, is_finetuning, read_fields
from electra_tf.config.pretraining import Config
from electra_tf.config.sections import (
    MAX_ROWS,
    MAX_SEED,
    MAX_STEPS,
    ModelConfig,
    OptimizerConfig,
    RuntimeConfig,
    TokenizerConfig,
    TrainConfig,
    check_model,
    check_optimizer_name,
)
from electra_tf.errors import UserError

# Table 7 of the paper: up to this hidden size, learning rate, layer-wise decay.
TABLE_7 = ((512, 3e-4, 0.8), (768, 1e-4, 0.8), (1 << 30, 5e-5, 0.9))


@dataclasses.dataclass
class TaskConfig(Fields):
    """Which task, and where its files have what. Empty file names: the usual ones."""

    kind: str = "classification"  # of tasks/registry.py
    name: str = "task"  # of results; for glue which of its tasks, such as rte
    max_seq_length: int = number(128, 8, 1 << 20)
    text_field: str = "text"  # the column or key of the text, in files of one's own
    pair_field: str = ""  # second text; empty: none
    label_field: str = "label"  # and of the label, or of the number to predict
    id_field: str = ""  # empty: lines are counted
    labels: str = ""  # separated by commas, or a JSON list; empty: those of the training file
    low: float = number(0.0, -1e30, 1e30)  # regression: labels that the loss scales to 0 and 1;
    high: float = number(0.0, -1e30, 1e30)  # equal: least and largest of the training file
    hidden_layer: bool = False  # own sentences: in the head, as in Hugging Face's classes
    # tagging: of the files, counted from 0, or from the end with -1
    word_column: int = number(0, -MAX_ROWS, MAX_ROWS)
    tag_column: int = number(-1, -MAX_ROWS, MAX_ROWS)
    scheme: str = "auto"  # tagging: BIO, IOB1, BIOES, plain, or by the tags
    version: int = number(2, 1, 2)  # squad: 2 has questions without an answer
    doc_stride: int = number(128, 1, 1 << 20)
    max_query_length: int = number(64, 1, 1 << 20)
    # squad 2: null odds above which "" is predicted; 0: best on dev
    null_threshold: float = number(0.0, -1e30, 1e30)

    def label_names(self) -> tuple[str, ...]:
        """What `labels` says: names separated by commas, or a JSON list where names hold commas."""
        if self.labels.startswith("["):
            try:
                names = json.loads(self.labels)
                return tuple(name if isinstance(name, str) else json.dumps(name) for name in names)
            except json.JSONDecodeError:
                pass  # a name may begin with a bracket, too
        return tuple(label.strip() for label in self.labels.split(",")) if self.labels else ()

    def set_label_names(self, names: Sequence[str]) -> None:
        """Sets `labels` so that `label_names` gives these, whatever characters they hold."""
        self.labels = json.dumps(list(names)) if names else ""


@dataclasses.dataclass
class FinetuneDataConfig(TokenizerConfig):
    """Files in the task's original layout, and the tokenizer, which init_from decides."""

    dir: str = ""  # directory of the files, or tfds:NAME
    train_file: str = ""  # empty: the name that the task's files usually have
    eval_file: str = ""  # the same; evaluated after training
    test_file: str = ""  # the same; predicted, without labels
    max_train_examples: int = number(0, 0, 1 << 40)  # a seeded choice of so many; 0: all


@dataclasses.dataclass
class FinetuneTrainConfig(Fields):
    """Length of a trial, and intervals of logging, checkpoints and evaluation."""

    num_epochs: float = number(3.0, 0, 1e6, "(]")
    # rows per update, over all devices and accumulation steps
    batch_size: int = number(32, 1, MAX_ROWS)
    accumulation_steps: int = number(1, 1, MAX_ROWS)
    warmup_fraction: float = number(0.1, 0, 1)  # of the steps
    seed: int = number(0, 0, MAX_SEED)  # of the first trial; the next ones count up
    checkpoint_steps: int = number(500, 1, MAX_STEPS)
    log_steps: int = number(50, 1, MAX_STEPS)


@dataclasses.dataclass
class FinetuneConfig(JsonConfig):
    """One fine-tuning: some trials of one task."""

    example = "configs/glue.py:rte"

    task: TaskConfig = dataclasses.field(default_factory=TaskConfig)
    data: FinetuneDataConfig = dataclasses.field(default_factory=FinetuneDataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)  # sizes: of init_from
    optimizer: OptimizerConfig = dataclasses.field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=0.0, layer_decay=0.0, weight_decay=0.0
        )
    )  # 0: Table 7's
    train: FinetuneTrainConfig = dataclasses.field(default_factory=FinetuneTrainConfig)
    runtime: RuntimeConfig = dataclasses.field(default_factory=RuntimeConfig)
    init_from: str = ""  # model directory or run; random:DIR takes only sizes and vocabulary
    num_trials: int = number(1, 1, 1000)

    def validate(self) -> "FinetuneConfig":
        """Returns the config itself; raises UserError that names the field, value and rule."""
        self.expand_paths()
        self.check_fields()
        check_model(self.model)
        check_optimizer_name(self.optimizer.name)
        divides(
            "config.train.accumulation_steps",
            self.train.accumulation_steps,
            "config.train.batch_size",
            self.train.batch_size,
        )
        if self.task.low > self.task.high:
            raise UserError(
                f"config.task.low must be at most config.task.high, {self.task.high}. "
                f"Received: {self.task.low}"
            )
        return self

    @classmethod
    def load(cls, directory: str) -> "FinetuneConfig":
        """Reads `directory`/config.json of a fine-tuning."""
        fields = read_fields(directory)
        if fields is None or not is_finetuning(fields):
            received = (
                directories.describe(directory)
                if fields is None
                else f"{directory}, a pre-trained one, for --config.init_from of a fine-tuning"
            )
            raise UserError(
                "A fine-tuned model must be a directory that `electra_tf finetune` has written. "
                f"Received: {received}"
            )
        return cls.from_fields(fields, directory).validate()

    def take_model(self, source: Config) -> None:
        """Takes sizes and tokenization of a pre-trained model, and Table 7's settings for it."""
        for field in dataclasses.fields(TokenizerConfig):
            setattr(self.data, field.name, getattr(source.data, field.name))
        own = {name: getattr(self.model, name) for name in ("hidden_dropout", "attention_dropout")}
        self.model = dataclasses.replace(source.model, **own)
        rate, decay = next(row[1:] for row in TABLE_7 if self.model.hidden_size <= row[0])
        self.optimizer.learning_rate = self.optimizer.learning_rate or rate
        self.optimizer.layer_decay = self.optimizer.layer_decay or decay

    def loop_settings(self, num_rows: int, trial: int) -> tuple[TrainConfig, OptimizerConfig]:
        """What the training loop needs for one trial.

        Args:
            num_rows: of the encoded training data.
            trial: counted from 0; adds to the seed.
        """
        train = self.train
        num_steps = max(1, round(num_rows * train.num_epochs / train.batch_size))
        settings = TrainConfig(
            num_steps=num_steps,
            batch_size=train.batch_size,
            seed=train.seed + trial,
            accumulation_steps=train.accumulation_steps,
            log_steps=train.log_steps,
            checkpoint_steps=train.checkpoint_steps,
            keep_checkpoints=1,
            eval_steps=0,
        )
        warmup_steps = round(train.warmup_fraction * num_steps)
        return settings, dataclasses.replace(self.optimizer, warmup_steps=warmup_steps)

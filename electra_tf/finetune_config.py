"""One fine-tuning as typed dataclasses; sections that pre-training has, too, are config.py's."""

import dataclasses
import json
import os

from electra_tf.checks import at_least, between, divides, one_of
from electra_tf.config import (
    Config,
    JsonConfig,
    ModelConfig,
    OptimizerConfig,
    RuntimeConfig,
    TrainConfig,
    check_model,
    check_optimizer,
    check_runtime,
)

KINDS = ("glue", "classification", "multi_label", "regression", "tagging", "squad")
RANDOM = "random:"
# Table 7 of the paper: up to this hidden size, learning rate, layer-wise decay.
TABLE_7 = ((512, 3e-4, 0.8), (768, 1e-4, 0.8), (1 << 30, 5e-5, 0.9))


@dataclasses.dataclass
class TaskConfig:
    """Which task, and where its files have what. Empty file names: the usual ones."""

    kind: str = "classification"  # one of KINDS
    name: str = "task"  # of results; for glue which of its tasks, such as rte
    max_seq_length: int = 128
    text_field: str = "text"
    pair_field: str = ""  # second text; empty: none
    label_field: str = "label"
    id_field: str = ""  # empty: lines are counted
    labels: str = ""  # separated by commas, or a JSON list; empty: those of the training file
    low: float = 0.0  # regression: labels that the loss scales to 0 and 1;
    high: float = 0.0  # equal: least and largest of the training file
    hidden_layer: bool = False  # own sentences: in the head, as in Hugging Face's classes
    word_column: int = 0  # tagging: of the files, counted from 0, or from the end with -1
    tag_column: int = -1
    scheme: str = "auto"  # tagging: BIO, IOB1, BIOES, plain, or by the tags
    version: int = 2  # squad: 2 has questions without an answer
    doc_stride: int = 128
    max_query_length: int = 64
    null_threshold: float = 0.0  # squad 2: null odds above which "" is predicted; 0: best on dev


@dataclasses.dataclass
class FinetuneDataConfig:
    """Files in the task's original layout."""

    dir: str = ""  # directory of the files, or tfds:NAME
    train_file: str = ""  # empty: the name that the task's files usually have
    eval_file: str = ""
    test_file: str = ""
    max_train_examples: int = 0  # a seeded choice of so many; 0: all
    lower_case: bool = True  # of the vocabulary: init_from decides
    strip_accents: bool = True


@dataclasses.dataclass
class FinetuneTrainConfig:
    """Length and rhythm of a trial."""

    num_epochs: float = 3.0
    batch_size: int = 32  # rows per update, over all devices and accumulation steps
    accumulation_steps: int = 1
    warmup_fraction: float = 0.1  # of the steps
    seed: int = 0  # of the first trial; the next ones count up
    checkpoint_steps: int = 500
    log_steps: int = 50


@dataclasses.dataclass
class FinetuneConfig(JsonConfig):
    """One fine-tuning: some trials of one task."""

    task: TaskConfig = dataclasses.field(default_factory=TaskConfig)
    data: FinetuneDataConfig = dataclasses.field(default_factory=FinetuneDataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)  # sizes: of init_from
    optimizer: OptimizerConfig = dataclasses.field(default_factory=lambda: OptimizerConfig(
        learning_rate=0.0, layer_decay=0.0, weight_decay=0.0))  # 0: Table 7's
    train: FinetuneTrainConfig = dataclasses.field(default_factory=FinetuneTrainConfig)
    runtime: RuntimeConfig = dataclasses.field(default_factory=RuntimeConfig)
    init_from: str = ""  # model directory or run; random:DIR takes only sizes and vocabulary
    num_trials: int = 1

    def validate(self) -> "FinetuneConfig":
        """Returns the config itself; raises ValueError that names the field, value and rule."""
        task, data, train = self.task, self.data, self.train
        check_model(self.model)
        check_optimizer(self.optimizer)
        check_runtime(self.runtime)
        one_of("config.task.kind", task.kind, KINDS)
        one_of("config.task.version", task.version, (1, 2))
        for name, least in (("max_seq_length", 8), ("doc_stride", 1), ("max_query_length", 1)):
            at_least(f"config.task.{name}", getattr(task, name), least)
        at_least("config.data.max_train_examples", data.max_train_examples, 0)
        between("config.train.num_epochs", train.num_epochs, 0.0, float("inf"))
        between("config.train.warmup_fraction", train.warmup_fraction, 0.0, 1.0, (True, True))
        for name in ("batch_size", "accumulation_steps", "checkpoint_steps", "log_steps"):
            at_least(f"config.train.{name}", getattr(train, name), 1)
        at_least("config.train.seed", train.seed, 0)
        divides("config.train.accumulation_steps", train.accumulation_steps,
                "config.train.batch_size", train.batch_size)
        at_least("config.num_trials", self.num_trials, 1)
        return self

    @classmethod
    def load(cls, directory: str) -> "FinetuneConfig":
        """Reads `directory`/config.json of a fine-tuning."""
        path = os.path.join(directory, "config.json")
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            text = "{}"
        if "task" not in json.loads(text):
            raise ValueError(f"A fine-tuned model must be a directory that `python -m "
                             f"electra_tf.finetune` has written. Received: {directory}")
        return cls.from_json(text).validate()

    def take_model(self, source: Config) -> None:
        """Takes sizes and tokenization of a pre-trained model, and Table 7's settings for it."""
        self.data.lower_case = source.data.lower_case
        self.data.strip_accents = source.data.strip_accents
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
            num_steps=num_steps, batch_size=train.batch_size, seed=train.seed + trial,
            accumulation_steps=train.accumulation_steps, log_steps=train.log_steps,
            checkpoint_steps=train.checkpoint_steps, keep_checkpoints=1, eval_steps=0)
        warmup_steps = round(train.warmup_fraction * num_steps)
        return settings, dataclasses.replace(self.optimizer, warmup_steps=warmup_steps)

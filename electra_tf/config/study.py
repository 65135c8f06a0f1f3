"""A study as typed dataclasses: pre-trainings of equal compute, and what is asked of each.

`lab/` runs it. Flags are those of the commands, named without their dashes, so that a study says
nothing that could not be typed: {"config.objective.name": "mlm"}.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Self

from electra_tf.config import experiment
from electra_tf.config.checks import at_least, between, one_of
from electra_tf.config.sections import MAX_FACTOR, MAX_SEED, MAX_STEPS
from electra_tf.errors import UserError
from electra_tf.files import expand

EQUAL = ("flops", "tokens")
COUNTS = ("products", "paper")  # of operations: objectives/flops.py, objectives/paper_flops.py
PROBES = ("evaluate", "finetune", "linear_probe", "minimal_pairs")
Flags = Mapping[str, str | int | float | bool]
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclasses.dataclass
class Row:
    """One pre-training: a row of the table.

    Attributes:
        name: of the row and of its directory: letters, digits, `_`, `.`, `-`.
        flags: of `electra_tf pretrain`, over those of the study.
        shares: fields as shares of the row's steps, over those of the study.
        config: experiment file; empty: the study's.
        compute: factor of the study's compute; 0: one step, an untrained control.
        steps: of the training; 0: as many as the compute pays for.
        series: rows of one series are joined by a line where compute varies; empty: none.
        paper: the paper's number; None: it has none.
    """

    name: str
    flags: Flags = dataclasses.field(default_factory=dict)
    shares: Mapping[str, float] = dataclasses.field(default_factory=dict)
    config: str = ""
    compute: float = 1.0
    steps: int = 0
    series: str = ""
    paper: float | None = None


@dataclasses.dataclass
class Probe:
    """What is asked of every pre-trained model: one command, one or more columns of the table.

    Attributes:
        name: of its directory or file in each run.
        command: one of PROBES.
        columns: by title the number's place in the JSON that the command writes, with dots:
            {"CoLA": "median.dev.matthews"}. A number that is not there leaves its cell empty.
        config: of `finetune`, such as configs/glue.py:rte.
        data: by flag a directory below the study's `tasks_dir`.
        flags: of the command.
    """

    name: str
    command: str
    columns: Mapping[str, str]
    config: str = ""
    data: Mapping[str, str] = dataclasses.field(default_factory=dict)
    flags: Flags = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Study:
    """Rows × seeds, each pre-trained with the same compute and asked the same probes.

    Attributes:
        title: of the table and the picture.
        rows: the pre-trainings.
        seeds: of data order, masks, weights and fine-tuning; rows are compared seed by seed.
        reference: the row that all others are compared with; empty: the first.
        config: experiment file of all rows.
        flags: of `electra_tf pretrain`, for all rows.
        shares: fields as shares of the steps: {"config.optimizer.warmup_steps": 0.1}.
        compute: operations, or tokens, of a pre-training.
        equal: what the rows spend alike: flops or tokens.
        count: how operations are counted: as matrix products of forward and backward pass, or as
            the paper does.
        seq_length: tokens of an example.
        vocab_size: of the vocabulary that is learnt, and that operations are counted with.
        corpus: text, as `electra_tf build_dataset --input` takes it.
        data_dir: shards; empty: they are made of the corpus.
        vocab_flags: of `electra_tf learn_vocab`; the shards' tokenizer is of its `kind` and folds
            text alike.
        data_flags: of `electra_tf build_dataset`.
        tasks_dir: where the data of the probes lie.
        probes: what is asked.
        averages: columns that are means of others: {"mean": ("CoLA", "RTE")}.
        paper_title: what the rows' `paper` is.
    """

    title: str = ""
    rows: Sequence[Row] = ()
    seeds: Sequence[int] = (0, 1, 2)
    reference: str = ""
    config: str = ""
    flags: Flags = dataclasses.field(default_factory=dict)
    shares: Mapping[str, float] = dataclasses.field(default_factory=dict)
    compute: float = 0.0
    equal: str = "flops"
    count: str = "products"
    seq_length: int = 128
    vocab_size: int = 30522
    corpus: Sequence[str] = ()
    data_dir: str = ""
    vocab_flags: Flags = dataclasses.field(default_factory=dict)
    data_flags: Flags = dataclasses.field(default_factory=dict)
    tasks_dir: str = ""
    probes: Sequence[Probe] = ()
    averages: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    paper_title: str = ""

    @classmethod
    def from_file(cls, name: str) -> Self:
        """The study of a file, such as configs/studies/table5.py:tiny.

        Raises:
            UserError: no such file, or its get_config() returns something else.
        """
        study = experiment.execute(name)
        if not isinstance(study, cls):
            raise UserError(
                "A study must be a Study here, such as configs/studies/table5.py:tiny. Received: "
                f"{name}, whose get_config() returns a {type(study).__name__}"
            )
        return study

    @property
    def columns(self) -> list[str]:
        """Titles of all columns: averages, then the probes' own."""
        return [*self.averages, *(title for probe in self.probes for title in probe.columns)]

    def validate(self) -> "Study":
        """Returns the study itself; raises UserError that names the field, value and rule.

        What the commands demand of their flags, `lab.compute` and `lab.stages` ask.
        """
        self.data_dir, self.tasks_dir = expand(self.data_dir), expand(self.tasks_dir)
        self.corpus = [expand(each) for each in self.corpus]
        _distinct("The rows of a study", [row.name for row in self.rows])
        _distinct("The probes of a study", [probe.name for probe in self.probes])
        _distinct("The seeds of a study", self.seeds)
        for seed in self.seeds:
            if type(seed) is not int or not 0 <= seed <= MAX_SEED:
                raise UserError(f"A seed must be an integer from 0 on. Received: {seed!r:.60}")
        self.reference = self.reference or self.rows[0].name
        one_of("The reference of a study", self.reference, [row.name for row in self.rows])
        one_of("What the rows have equal", self.equal, EQUAL)
        one_of("How operations are counted", self.count, COUNTS)
        at_least("The seq_length of a study", self.seq_length, 8)
        at_least("The vocab_size of a study", self.vocab_size, 6)
        for title, parts in self.averages.items():
            for part in parts:
                one_of(f"A part of the average {title!r}", part, self._own_columns())
        for row in self.rows:
            self._check_row(row)
        for probe in self.probes:
            self._check_probe(probe)
        _distinct("The columns of a study", self.columns)
        return self

    def require_data(self) -> None:
        """Raises UserError where the corpus, or a directory that a probe reads, is not said."""
        if not (self.data_dir or self.corpus):
            raise UserError(
                "A study must have a corpus or shards: --corpus=FILES or --data_dir=SHARDS. "
                "Received: neither"
            )
        needing = next((probe for probe in self.probes if probe.data), None)
        if needing and not self.tasks_dir:
            raise UserError(
                f"--tasks_dir must be the directory that has {next(iter(needing.data.values()))} "
                f"for the probe {needing.name}. Received: nothing"
            )

    def _own_columns(self):
        return [title for probe in self.probes for title in probe.columns]

    def _check_row(self, row: Row) -> None:
        what = f"The row {row.name!r}"
        _check_name(what, row.name)
        if not (row.config or self.config):
            raise UserError(f"{what} must have a config, or its study one. Received: neither")
        between(f"{what}'s compute", row.compute, 0.0, MAX_FACTOR, (True, True))
        between(f"{what}'s steps", row.steps, 0, MAX_STEPS, (True, True))
        if not row.steps and not (math.isfinite(self.compute) and self.compute > 0):
            raise UserError(
                f"{what} must have steps, or its study compute above 0. Received: {self.compute}"
            )
        for field, share in {**self.shares, **row.shares}.items():
            between(f"{what}'s share {field}", share, 0.0, 1.0, (True, True))

    def _check_probe(self, probe: Probe) -> None:
        what = f"The probe {probe.name!r}"
        _check_name(what, probe.name)
        one_of(f"{what}'s command", probe.command, PROBES)
        if not probe.columns:
            raise UserError(f"{what} must have columns. Received: none")
        if (probe.command == "finetune") != bool(probe.config):
            raise UserError(
                f"{what} must have a config if it is a finetune, and only then. "
                f"Received: {probe.command} with {probe.config or 'none'}"
            )


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(f"{what} must be named by letters, digits, _, . and -. Received: {name!r}")


def _distinct(what: str, names: Sequence) -> None:
    if not names or len(set(names)) < len(names):
        raise UserError(
            f"{what} must be at least one, and different. Received: "
            f"{', '.join(map(str, names)) or 'none'}"
        )

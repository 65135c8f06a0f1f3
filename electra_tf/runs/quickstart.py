"""From nothing to a served and a fine-tuned ELECTRA, most of whose stages are commands, too.

A stage whose result is there already is not done again, and an unfinished pre-training goes on,
so a second call continues the first.
"""

import os
import sys
import time
from collections.abc import Sequence

from tqdm import tqdm

from electra_tf import config as configuration
from electra_tf import files, objectives
from electra_tf.config import Config
from electra_tf.data.build import build_dataset
from electra_tf.durations import duration
from electra_tf.errors import UserError
from electra_tf.json_files import read_json
from electra_tf.objectives.objective import ACCURACY, AUC, Metric
from electra_tf.runs import author_task, curves, evaluation, pretraining, stages, swapped_words
from electra_tf.runs.baselines import baselines
from electra_tf.runs.report import write_report
from electra_tf.runs.stages import Stage
from electra_tf.runs.time_budget import FEWEST_STEPS, TimeBudget
from electra_tf.serving.bundle import export_run
from electra_tf.text.corpus import NOVELS, find_sources
from electra_tf.text.dropped import Reading
from electra_tf.text.learn import learn_vocab
from electra_tf.text.vocabulary import Vocabulary
from electra_tf.train import log

EVAL_FRACTION = 0.04
VERSION = 1
# Of one training step, of compiling it and of an evaluation between, on the machine of all
# estimates: two quiet cores.
STEP_SECONDS, COMPILING_SECONDS, EVALUATING_SECONDS = 0.05, 20.0, 6.0


def run(
    config: Config, workdir: str, inputs: str = NOVELS, minutes: float | None = None
) -> dict[str, float]:
    """Runs all stages that are still to be done.

    Args:
        config: the experiment; its vocabulary size and positions shape the data, too.
        workdir: receives the run, `data/`, `serving/`, `authors/`, `curves.png`, `report.html`.
        inputs: the corpus, as `electra_tf build_dataset --input` takes it.
        minutes: how long it may take, about. A new run gets as many steps as fit, at most
            config.train.num_steps; one that is continued keeps its number. None:
            config.train.num_steps it is.

    Returns:
        The content of eval.json.
    """
    workdir = files.workdir(workdir, (), own=("authors", "report.html"))
    with files.one_writer(workdir):
        return _Quickstart(config, workdir, inputs, minutes).run()


class _Quickstart:
    """The stages, and what they share."""

    def __init__(self, config: Config, workdir: str, inputs: str, minutes: float | None):
        self._config, self._workdir, self._inputs = config, workdir, inputs
        self._data = os.path.join(workdir, "data")
        self._corpus = os.path.join(self._data, "corpus.txt")
        self._vocab = os.path.join(self._data, *Vocabulary.FILES)
        self._trained = os.path.join(workdir, "checkpoints", "checkpoint")
        self._metrics = os.path.join(workdir, "metrics.jsonl")
        self._results = os.path.join(workdir, "eval.json")
        self._serving = os.path.join(workdir, "serving")
        self._bundle = os.path.join(self._serving, str(VERSION))
        self._picture = os.path.join(workdir, "curves.png")
        self._authors = os.path.join(workdir, "authors")
        self._report = os.path.join(workdir, "report.html")
        config.data.dir = os.path.join(self._data, "shards")
        self._minutes = minutes
        if minutes is not None and os.path.exists(os.path.join(workdir, "config.json")):
            config.train.num_steps = configuration.load(workdir).train.num_steps
            self._minutes = None
        self._budget = TimeBudget(self._minutes)
        self._step_seconds = 0.0  # as it was measured; 0: there is no time to end by
        self._chooses = self._minutes is not None and config.train.num_steps > FEWEST_STEPS

    def run(self) -> dict[str, float]:
        config = self._config
        _keep_input(os.path.join(self._data, "input.txt"), self._corpus, self._inputs)
        self._stages = self._list()
        stages.run(self._stages, self._budget)
        metrics = read_json(self._results)
        headline = objectives.objective_class(config).headline
        print(summary(metrics, headline, baselines(metrics, config)))
        print(
            f"\nReport: {self._report}\nCurves: {self._picture}\nBundle: {self._bundle}\n"
            f"Total: {duration(self._budget.elapsed)}",
            flush=True,
        )
        return metrics

    def _list(self) -> list[Stage]:
        """All stages; their seconds are those of two quiet cores."""
        config, trained = self._config, self._trained
        lines = log.read(self._metrics)
        steps = config.train.num_steps - (lines[-1]["step"] if lines else 0)
        self._training = Stage(
            "pre-train",
            COMPILING_SECONDS + steps * STEP_SECONDS if steps > 0 else 0,
            self._pretrain,
        )
        return [
            Stage(
                f"gather text from {self._inputs}",
                1,
                lambda: gather(self._inputs, self._corpus),
                self._corpus,
            ),
            Stage("learn a WordPiece vocabulary", 3, self._learn, self._vocab),
            Stage(
                "build shards",
                8,
                lambda: _build(self._corpus, self._vocab, config),
                os.path.join(config.data.dir, "dataset.json"),
            ),
            Stage("choose the number of steps", 12 if self._chooses else 0, self._choose),
            self._training,
            Stage(
                "evaluate on held-out documents",
                12,
                lambda: evaluation.evaluate(self._workdir, random_words=True),
                self._results,
                trained,
            ),
            Stage(
                "export for serving",
                15,
                lambda: export_run(self._workdir, self._serving, VERSION, overwrite=True),
                self._bundle,
                trained,
            ),
            Stage(
                "load the bundle, swap words",
                4,
                lambda: swapped_words.show_own(self._bundle, config),
            ),
            Stage(f"ask {swapped_words.READY} the same", 12, swapped_words.show_ready),
            Stage(
                "draw loss curves",
                3,
                lambda: curves.draw(self._metrics, self._picture, _panels(config)),
                self._picture,
                trained,
            ),
            Stage(
                "fine-tune: which author wrote this sentence?",
                15 if self._inputs == NOVELS else 0,
                self._finetune,
                os.path.join(self._authors, "results.json"),
                trained,
            ),
            Stage(
                "write the report",
                8,
                lambda: write_report(self._workdir),
                self._report,
                trained,
            ),
        ]

    def _learn(self) -> None:
        learn_vocab(
            [self._corpus],
            self._vocab,
            vocab_size=self._config.model.vocab_size,
            lower_case=self._config.data.lower_case,
            strip_accents=self._config.data.strip_accents,
            tokenize_chinese_chars=self._config.data.tokenize_chinese_chars,
        )

    def _choose(self) -> None:
        """Gives the run as many steps as there is time for, if it is a new one with a budget."""
        train = self._config.train
        if self._minutes is None or not self._chooses:
            print(f"{train.num_steps:,} steps")
            return
        step_seconds = self._budget.measure(self._config)
        besides = self._besides(train.num_steps)
        decision = self._budget.choose_steps(train.num_steps, step_seconds, self._later() + besides)
        print(decision.describe(train.num_steps, self._minutes))
        train.num_steps, self._step_seconds = decision.num_steps, step_seconds
        self._training.seconds = self._budget.reference(decision.seconds) + COMPILING_SECONDS

    def _later(self) -> float:
        """Seconds of the stages after the training."""
        later = self._stages[self._stages.index(self._training) + 1 :]
        return sum(stage.seconds for stage in later)

    def _besides(self, steps: int) -> float:
        """Seconds that a training of so many steps takes besides them."""
        period = self._config.train.eval_steps
        return COMPILING_SECONDS + (EVALUATING_SECONDS * (steps // period) if period else 0)

    def _pretrain(self) -> None:
        """Trains; ends before its last step where the machine has become too slow for that."""
        begin, step_seconds = time.monotonic(), self._step_seconds

        def goes_on(step: int) -> bool:
            expected = step * step_seconds + self._budget.estimate(self._besides(step))
            spent = time.monotonic() - begin
            return step < FEWEST_STEPS or self._budget.leaves_time(self._later(), spent, expected)

        step = pretraining.pretrain(self._config, self._workdir, goes_on if step_seconds else None)
        num_steps = self._config.train.num_steps
        if step < num_steps:
            print(
                f"Stopped at step {step:,} of {num_steps:,}, for --minutes={self._minutes:g}: the "
                "machine has become slower. The same command trains on."
            )

    def _finetune(self) -> None:
        if self._inputs != NOVELS:
            print(f"left out: its sentences are of {NOVELS}")
            return
        data = os.path.join(self._data, "authors")
        author_task.write(data, EVAL_FRACTION)
        results = author_task.finetune_authors(self._config, self._workdir, data, self._authors)
        print(author_task.summary(data, self._authors, results))


def _panels(config: Config) -> list[Metric]:
    """What is drawn: losses, and what compares models."""
    objective = objectives.objective_class(config)
    return [
        metric for metric in objective.headline if metric.is_loss or metric == objective.main_metric
    ]


def _keep_input(path: str, corpus: str, inputs: str) -> None:
    """Notes what the corpus is made of; raises UserError if that is something else by now."""
    if not os.path.exists(path):
        if not os.path.exists(corpus):
            files.write_text(path, f"{inputs}\n")
        return
    with open(path, encoding="utf-8") as file:
        former = file.read().rstrip("\n")
    if former != inputs:
        raise UserError(
            f"A quickstart must keep its corpus: {corpus} is made of {former}. "
            f"Received: --input={inputs}; take another --workdir"
        )


def gather(inputs: str, corpus: str) -> None:
    """Writes the documents of a corpus to one file, with blank lines between them."""
    reading, sources = Reading(), find_sources([inputs])
    files.output(corpus, inputs=[each.name for each in sources if each.is_file])
    with (
        files.new_file(corpus) as temporary,
        open(temporary, "wb") as file,
        tqdm(unit=" documents", leave=False, disable=not sys.stderr.isatty()) as bar,
    ):
        for source in sources:
            for document in reading.documents(source):
                file.write(b"\n".join(document) + b"\n\n")
                bar.update()
        reading.require_healthy(sources)
    print(f"{os.path.getsize(corpus) / 1e6:.1f} MB of text")


def summary(metrics: dict[str, float], headline: Sequence[Metric], known: dict[str, float]) -> str:
    """What the run has learned, every number beside what less knowledge would reach."""
    beside = {
        ACCURACY: f"{metrics['most_frequent_token_share']:.3f}   {known['accuracy']:.3f}",
        AUC: f"0.500   {known['auc']:.3f}",
    }
    lines = [
        f"\nHeld-out documents ({metrics['examples']:,} examples), after {metrics['step']:,} "
        f"steps:\n  {'':38}reached  chance  simple"
    ]
    lines += [
        f"  {metric.title:38}{metrics[metric.name]:.3f}    {beside[metric.kind]}"
        for metric in headline
        if metric.kind in beside
    ]
    lines.append(
        "  chance: always the most frequent token; for the AUC 0.5.\n"
        "  simple: copies the masked tokens that stay visible, else the most frequent one; "
        "for the\n  AUC, knows that [CLS] and [SEP] are never replaced and guesses at the rest."
    )
    return "\n".join(lines)


def _build(corpus: str, vocab: str, config: Config) -> None:
    manifest = build_dataset(
        [corpus],
        vocab,
        config.data.dir,
        seq_length=config.model.max_positions,
        eval_fraction=EVAL_FRACTION,
        tokenizer=config.data.tokenizer,
        lower_case=config.data.lower_case,
        strip_accents=config.data.strip_accents,
        tokenize_chinese_chars=config.data.tokenize_chinese_chars,
        num_workers=1,
    )
    for split, counts in manifest["splits"].items():
        print(
            f"{split}: {counts['documents']:,} documents, {counts['examples']:,} examples, "
            f"{counts['tokens']:,} tokens"
        )

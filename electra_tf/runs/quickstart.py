"""From nothing to a served and a fine-tuned ELECTRA, most of whose stages are commands, too.

A stage whose result is there already is not done again, and an unfinished pre-training goes on,
so a second call continues the first.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from electra_tf import config as configuration
from electra_tf import files, objectives
from electra_tf.config import Config
from electra_tf.data.build import build_dataset
from electra_tf.durations import duration
from electra_tf.errors import UserError
from electra_tf.json_files import read_json
from electra_tf.objectives.objective import ACCURACY, AUC, Metric
from electra_tf.runs import author_task, curves, evaluation, loaded, pretraining, stages
from electra_tf.runs.baselines import baselines
from electra_tf.runs.report import write_report
from electra_tf.runs.stages import Stage
from electra_tf.runs.time_budget import FEWEST_STEPS, TimeBudget
from electra_tf.serving.bundle import export_run
from electra_tf.serving.client import show_replaced
from electra_tf.serving.client.replaced_words import words_of
from electra_tf.text.corpus import NOVELS, find_sources
from electra_tf.text.dropped import Reading
from electra_tf.text.learn import learn_vocab
from electra_tf.text.vocabulary import Vocabulary
from electra_tf.train import log

READY = "pretrained:small-wiki-novels"  # what minutes of a GPU make of the same method
EVAL_FRACTION = 0.04
VERSION = 1
THRESHOLD = 0.3  # from which a word is marked: about one token in eight was replaced in training
# Of one training step, of compiling it and of an evaluation between, on the machine of all
# estimates: two quiet cores.
STEP_SECONDS, COMPILING_SECONDS, EVALUATING_SECONDS = 0.05, 20.0, 6.0
# Sentences like those of the corpus, written before any model was trained on it, with words
# swapped.
SWAPS = (
    "The old man sat down by the fire. => The old man sat down by the never.",
    "She had not seen her sister for many years. => She had not seen of sister for many years.",
    "He opened the door and went into the room. => He opened the door and went very the room.",
    "I do not know what he will say to me. => I do not know what he will house to me.",
    "It was a cold night, and the wind was high. => It was a cold night, and the wind was spoke.",
    "They walked together to the end of the street. => They walked together to the end of the "
    "because.",
    "There was a letter on the table for her. => There was a letter on the table from when.",
    "My dear friend, you must go to bed at once. => My dear friend, you must go to tell at once.",
    "The young lady looked at him with surprise. => The young morning looked at him with surprise.",
    "We could hear the horses in the yard. => We could hear the horses in the indeed.",
    "He took her hand and said good night. => He took her hand and them good night.",
    "In the morning they set out for London. => In the morning they set out for upon.",
)


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
            lambda: pretraining.pretrain(config, self._workdir),
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
            Stage("load the bundle, swap words", 4, lambda: _show_own(self._bundle, config)),
            Stage(f"ask {READY} the same", 12, _show_ready),
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
        others = sum(
            stage.seconds for stage in self._stages[self._stages.index(self._training) + 1 :]
        )
        if train.eval_steps:
            others += EVALUATING_SECONDS * (train.num_steps // train.eval_steps)
        step_seconds = self._budget.measure(self._config)
        decision = self._budget.choose_steps(
            train.num_steps, step_seconds, others + COMPILING_SECONDS
        )
        print(decision.describe(train.num_steps, self._minutes))
        train.num_steps = decision.num_steps
        self._training.seconds = self._budget.reference(decision.seconds) + COMPILING_SECONDS

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


def _show(detect: show_replaced.Detect) -> None:
    pairs = show_replaced.pairs_of(list(SWAPS))
    show_replaced.show(pairs, detect, THRESHOLD, colour=sys.stdout.isatty())


def _show_own(bundle: str, config: Config) -> None:
    served = [each.signature for each in objectives.objective_class(config).served]
    if show_replaced.SIGNATURE in served:
        _show(show_replaced.load(bundle))
    else:
        print(f"left out: config.objective.name={config.objective.name} trains no detector of them")


def _show_ready() -> None:
    model = loaded.load(READY)

    def detect(texts):
        found: Any = model.predict(texts)
        return [words_of(text, _columns(tokens)) for text, tokens in zip(texts, found, strict=True)]

    _show(detect)


def _columns(tokens: list[dict[str, Any]]) -> dict[str, list]:
    """What `predict` says of a text's tokens, as the signature detect_replaced says it."""
    return {
        "start_offset": [token["start"] for token in tokens],
        "end_offset": [token["end"] for token in tokens],
        "replaced_probability": [token["replaced_probability"] for token in tokens],
    }

"""From nothing to a served ELECTRA in eight stages, each of which another command does alone.

A stage whose result is there already is not done again, and an unfinished pre-training goes on,
so a second call continues the first.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence

from tqdm import tqdm

from electra_tf import files, objectives
from electra_tf.config import Config
from electra_tf.data.build import build_dataset
from electra_tf.errors import UserError
from electra_tf.json_files import read_json
from electra_tf.objectives.objective import ACCURACY, AUC, Metric
from electra_tf.runs import curves, evaluation, pretraining
from electra_tf.runs.baselines import baselines
from electra_tf.serving.bundle import export_run
from electra_tf.serving.client import show_replaced
from electra_tf.text.corpus import find_sources
from electra_tf.text.dropped import Reading
from electra_tf.text.learn import learn_vocab
from electra_tf.text.vocabulary import Vocabulary

EVAL_FRACTION = 0.02
VERSION = 1
THRESHOLD = 0.3  # from which a word is marked: about one token in eight was replaced in training
NUM_STAGES = 8
# Sentences like those of the corpus, written before any model was trained, with words swapped.
SWAPS = (
    "Returns the number of elements in the list. => Returns the number of banana in the list.",
    "If the file does not exist, an error is raised. => If the file does not exist, of error is "
    "raised.",
    "The shape of the output is the same. => The shape yellow the output is the same.",
    "This method should be called before training begins. => This method should be Tuesday before "
    "training begins.",
    "You can use this class to read the data. => You can use this never to read the data.",
    "The default value is used when it is not given. => The default value is used function it is "
    "not given.",
)


def run(config: Config, workdir: str, inputs: str = "docs:installed") -> dict[str, float]:
    """Runs all stages that are still to be done.

    Args:
        config: the experiment; its vocabulary size and positions shape the data, too.
        workdir: receives the run, `data/`, `serving/`, `curves.png`.
        inputs: the corpus, as `electra_tf build_dataset --input` takes it.

    Returns:
        The content of eval.json.
    """
    workdir = files.workdir(workdir, (), ())
    with files.one_writer(workdir):
        return _run(config, workdir, inputs)


def _run(config: Config, workdir: str, inputs: str) -> dict[str, float]:
    start = time.monotonic()
    data = os.path.join(workdir, "data")
    corpus, vocab = os.path.join(data, "corpus.txt"), os.path.join(data, *Vocabulary.FILES)
    shards, serving = os.path.join(data, "shards"), os.path.join(workdir, "serving")
    bundle, picture = os.path.join(serving, str(VERSION)), os.path.join(workdir, "curves.png")
    config.data.dir = shards
    _keep_input(os.path.join(data, "input.txt"), corpus, inputs)

    stage = _Stages()
    stage.do(f"gather English text from {inputs}", corpus, lambda: gather(inputs, corpus))
    stage.do(
        "learn a WordPiece vocabulary",
        vocab,
        lambda: learn_vocab(
            [corpus],
            vocab,
            vocab_size=config.model.vocab_size,
            lower_case=config.data.lower_case,
            strip_accents=config.data.strip_accents,
            tokenize_chinese_chars=config.data.tokenize_chinese_chars,
        ),
    )
    stage.do(
        "build shards",
        os.path.join(shards, "dataset.json"),
        lambda: _build(corpus, vocab, shards, config),
    )
    # This one knows itself how far it is.
    stage.do("pre-train", None, lambda: pretraining.pretrain(config, workdir))
    trained = os.path.join(workdir, "checkpoints", "checkpoint")
    results = os.path.join(workdir, "eval.json")
    stage.do(
        "evaluate on held-out documents",
        results,
        lambda: evaluation.evaluate(workdir, random_words=True),
        newer_than=trained,
    )
    stage.do(
        "export for serving",
        bundle,
        lambda: export_run(workdir, serving, VERSION, overwrite=True),
        newer_than=trained,
    )
    stage.do("load the bundle, swap words", None, lambda: _show(bundle, config))
    stage.do(
        "draw loss curves",
        picture,
        lambda: curves.draw(os.path.join(workdir, "metrics.jsonl"), picture, _panels(config)),
        newer_than=trained,
    )

    metrics = read_json(results)
    headline = objectives.objective_class(config).headline
    print(summary(metrics, headline, baselines(metrics, config)))
    print(
        f"\nCurves: {picture}\nBundle: {bundle}\nTotal: {_duration(time.monotonic() - start)}",
        flush=True,
    )
    return metrics


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


class _Stages:
    """Numbers stages, times them, and leaves out what is there."""

    def __init__(self):
        self._number = 0

    def do(
        self,
        title: str,
        result: str | None,
        work: Callable[[], object],
        newer_than: str | None = None,
    ) -> None:
        """Does the work unless its result exists (and is newer than another file)."""
        self._number += 1
        print(f"\n[{self._number}/{NUM_STAGES}] {title}", flush=True)
        if (
            result
            and os.path.exists(result)
            and (newer_than is None or os.path.getmtime(result) >= os.path.getmtime(newer_than))
        ):
            print(f"      already there: {result}", flush=True)
            return
        start = time.monotonic()
        work()
        print(f"      {_duration(time.monotonic() - start)}", flush=True)


def _build(corpus: str, vocab: str, shards: str, config: Config) -> None:
    manifest = build_dataset(
        [corpus],
        vocab,
        shards,
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


def _show(bundle: str, config: Config) -> None:
    served = [each.signature for each in objectives.objective_class(config).served]
    if "detect_replaced" not in served:
        print(f"left out: config.objective.name={config.objective.name} trains no detector of them")
        return
    show_replaced.show(
        show_replaced.pairs_of(list(SWAPS)),
        show_replaced.load(bundle),
        THRESHOLD,
        colour=sys.stdout.isatty(),
    )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"

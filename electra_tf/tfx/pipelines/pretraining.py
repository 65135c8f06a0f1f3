"""The pre-training pipeline: raw text to a pushed version in a serving directory.

ElectraExampleGen ─▶ StatisticsGen ─▶ ExampleValidator ◀─ PretrainingSchemaGen
        │                                   │
        ▼                                   ▼
HeldOutEvaluator ◀── baseline ◀── ElectraPretrainer ─▶ ServingExporter ─▶ BundleChecker
        │                                                    │                 │
        └──────────────── blessed? ──────────────────▶ Pusher ◀── blessed? ────┘
"""

import os
from collections.abc import Sequence

from tfx.components import ExampleValidator, Pusher, StatisticsGen
from tfx.orchestration.pipeline import Pipeline
from tfx.proto.pusher_pb2 import PushDestination  # pyright: ignore[reportAttributeAccessIssue] generated at import

from electra_tf.config import Config
from electra_tf.errors import UserError
from electra_tf.text import tokenization
from electra_tf.tfx.components.baseline import resolver
from electra_tf.tfx.components.evaluator import HeldOutEvaluator
from electra_tf.tfx.components.examples import ElectraExampleGen, input_fingerprint
from electra_tf.tfx.components.exporter import ServingExporter
from electra_tf.tfx.components.infra_check import BundleChecker
from electra_tf.tfx.components.pretrainer import ElectraPretrainer
from electra_tf.tfx.components.schema import PretrainingSchemaGen
from electra_tf.tfx.parameters import runtime_parameter

NAME = "electra-pretrain"  # a name that all runners take
_LEARNED_VOCABULARY = 30522  # tokens, where the config does not say


def build(
    root: str,
    serving_dir: str,
    config: Config,
    input: str,
    *,
    name: str = NAME,
    vocab_file: str | None = None,
    seq_length: int | None = None,
    eval_fraction: float = 0.01,
    packing: str = "none",
    keep_leftovers: bool = True,
    seed: int = 0,
    text_field: str = "text",
    min_auc: float = 0.5,
    beam_args: Sequence[str] = (),
    runner: str = "local",
) -> Pipeline:
    """Builds the pipeline; what is wrong with its parameters shows here, before anything runs.

    Args:
        root: directory or bucket of all that the components write.
        serving_dir: where Pusher puts a blessed version, for a server to find.
        config: the experiment; data.dir and data.vocab_file stay empty.
        input: text, see `electra_tf.text.corpus.find_sources`.
        name: of the pipeline, by which runs find what former runs made.
        vocab_file: None: learn one of config.model.vocab_size tokens.
        seq_length: tokens per example; None: config.model.max_positions.
        eval_fraction, packing, keep_leftovers, seed, text_field: see `ElectraExampleGen`.
        min_auc: what the first model's held-out disc_auc must be above.
        beam_args: options for Apache Beam, for all components that run on it.
        runner: "local", or "vertex" or "kubeflow", for which input, steps, learning rate and
            min_auc become runtime parameters of these names and files are not looked at. The
            baseline is TFX's own resolver's on Vertex, which compiles no other; Kubeflow has no
            resolvers, so no baseline: min_auc decides alone.

    Raises:
        UserError: a parameter, the config or, for a local run, the input; names the component.
    """
    if seq_length is None:
        seq_length = config.model.max_positions
    if seq_length > config.model.max_positions:
        raise UserError(
            "ElectraExampleGen: seq_length must be at most config.model.max_positions,"
            f" {config.model.max_positions}. Received: {seq_length}"
        )
    num_steps = learning_rate = fingerprint = None
    vocab_size = config.model.vocab_size or _LEARNED_VOCABULARY
    if runner != "local":
        if vocab_file and not config.model.vocab_size:
            raise UserError(
                "PretrainingSchemaGen: config.model.vocab_size must be the size of "
                "the vocabulary, which may be out of reach here. Received: 0"
            )
        input = runtime_parameter("input", input, "Text for pre-training.")
        num_steps = runtime_parameter("num_steps", config.train.num_steps, "Updates.")
        learning_rate = runtime_parameter(
            "learning_rate", config.optimizer.learning_rate, "Peak learning rate."
        )
        min_auc = runtime_parameter("min_auc", min_auc, "Least disc_auc of the first model.")
    else:
        root, serving_dir = os.path.abspath(root), os.path.abspath(serving_dir)
        fingerprint = input_fingerprint(input, vocab_file, config.data.tokenizer)
        if vocab_file and not config.model.vocab_size:
            settings = tokenization.settings_of(config.data)
            vocab_size = len(tokenization.read_vocabulary(vocab_file, settings))

    examples = ElectraExampleGen(
        input,
        vocab_file=vocab_file,
        vocab_size=vocab_size,
        seq_length=seq_length,
        eval_fraction=eval_fraction,
        packing=packing,
        keep_leftovers=keep_leftovers,
        seed=seed,
        text_field=text_field,
        tokenizer=config.data.tokenizer,
        lower_case=config.data.lower_case,
        # True is also the default of cased configs, which keep their accents.
        strip_accents=None if config.data.strip_accents else False,
        input_fingerprint=fingerprint,
    )
    statistics = StatisticsGen(examples=examples.outputs["examples"])
    schema = PretrainingSchemaGen(seq_length, vocab_size, packing)
    validator = ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    trainer = ElectraPretrainer(
        examples.outputs["examples"],
        config,
        num_steps=num_steps,
        learning_rate=learning_rate,
        anomalies=validator.outputs["anomalies"],
    )
    baseline = resolver(trainer.outputs["model"], runner)
    evaluator = HeldOutEvaluator(
        examples.outputs["examples"],
        trainer.outputs["model"],
        baseline_model=baseline.outputs["model"] if baseline else None,
        min_auc=min_auc,
    )
    exporter = ServingExporter(trainer.outputs["model"])
    checker = BundleChecker(exporter.outputs["servable"], model=trainer.outputs["model"])
    pusher = Pusher(
        model=exporter.outputs["servable"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=checker.outputs["blessing"],
        push_destination=PushDestination(
            filesystem=PushDestination.Filesystem(base_directory=serving_dir)
        ),
    )
    return Pipeline(
        pipeline_name=name,
        pipeline_root=os.path.join(root, "pipeline"),
        components=[
            examples,
            statistics,
            schema,
            validator,
            trainer,
            *([baseline] if baseline else []),
            evaluator,
            exporter,
            checker,
            pusher,
        ],
        enable_cache=True,
        beam_pipeline_args=list(beam_args),
    )

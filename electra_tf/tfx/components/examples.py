"""The TFX component that turns raw text into pre-training examples.

Its output is two things at once, with one copy of the data: a standard Examples artifact, whose
splits `train` and `eval` any TFX component reads, and a data directory for `config.data.dir`,
because dataset.json names the same files:

    URI/dataset.json, vocab.txt
    URI/Split-train/train-00000-of-00003.tfrecord, …
    URI/Split-eval/eval-00000-of-00001.tfrecord

TFX's ImportExampleGen on shards made before would shuffle and copy them, and split by example what
is held out by document here.
"""

import hashlib
import json
import os
from typing import Any

from tfx import types
from tfx.components.example_gen.utils import PAYLOAD_FORMAT_PROPERTY_NAME
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec
from tfx.types.system_executions import Process

from electra_tf.config.checks import at_least, between, one_of
from electra_tf.data.manifest import MIN_SEQ_LENGTH, PACKINGS, SPLITS
from electra_tf.errors import UserError
from electra_tf.files import work_folder, write_text
from electra_tf.text import tokenization
from electra_tf.text.corpus import find_sources, fingerprint
from electra_tf.text.vocabulary import Vocabulary
from electra_tf.tfx import parameters
from electra_tf.tfx.components.working_directory import local_path
from electra_tf.tfx.parameters import Property

PROPERTIES = {
    "input": Property(str, "Text: files, globs, tfds: and docs: names, separated by commas."),
    "vocab_file": Property(
        str, "One token per line; without it a vocabulary is learned.", optional=True
    ),
    "vocab_size": Property(int, "Tokens to learn.", lambda name, value: at_least(name, value, 6)),
    "seq_length": Property(
        int, "Tokens per example.", lambda name, value: at_least(name, value, MIN_SEQ_LENGTH)
    ),
    "eval_fraction": Property(
        float,
        "Share of the documents that is held out.",
        lambda name, value: between(name, value, 0, 1, closed=(False, False)),
    ),
    "packing": Property(
        str, "How examples are filled.", lambda name, value: one_of(name, value, PACKINGS)
    ),
    "keep_leftovers": Property(
        bool, "Begin the next example with what did not fit, instead of dropping it."
    ),
    "seed": Property(
        int,
        "Of the split and of the examples' random choices.",
        lambda name, value: at_least(name, value, 0),
    ),
    "tokenizer": Property(
        str, "Its name.", lambda name, value: one_of(name, value, tokenization.NAMES)
    ),
    "lower_case": Property(bool, "Whether the vocabulary is uncased."),
    "strip_accents": Property(bool, "Whether accents are removed.", optional=True),
    "text_field": Property(str, "Field with the text in .jsonl and TFDS inputs."),
    "input_fingerprint": Property(
        str, "Of the content, so that changed files are read again.", optional=True
    ),
}


class ElectraExampleGenSpec(ComponentSpec):
    """Output and parameters of `ElectraExampleGen`."""

    PARAMETERS = parameters.specification(PROPERTIES)
    INPUTS = {}
    OUTPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}
    TYPE_ANNOTATION = Process


class ElectraExampleGenExecutor(base_beam_executor.BaseBeamExecutor):
    """Calls `learn_vocab`, unless there is a vocabulary, and `build_dataset`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        from electra_tf.data.build import build_dataset  # TensorFlow and Beam: not to build a
        from electra_tf.text.learn import learn_vocab  # pipeline

        self._log_startup(input_dict, output_dict, exec_properties)
        given = parameters.read(PROPERTIES, exec_properties)
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        directory = local_path(examples.uri)
        inputs = [local_path(name.strip()) for name in given.input.split(",")]
        # Beside the output: Beam's workers, wherever they are, must be able to read it.
        with work_folder(directory) as folder:
            if given.vocab_file:
                vocab_file = local_path(given.vocab_file)
            else:
                vocab_file = os.path.join(folder, *Vocabulary.FILES)
                learn_vocab(
                    inputs,
                    vocab_file,
                    vocab_size=given.vocab_size,
                    lower_case=given.lower_case,
                    strip_accents=given.strip_accents,
                    text_field=given.text_field,
                )
            manifest = build_dataset(
                inputs,
                vocab_file,
                directory,
                seq_length=given.seq_length,
                max_positions=given.seq_length,
                eval_fraction=given.eval_fraction,
                packing=given.packing,
                keep_leftovers=given.keep_leftovers,
                seed=given.seed,
                tokenizer=given.tokenizer,
                lower_case=given.lower_case,
                strip_accents=given.strip_accents,
                text_field=given.text_field,
                beam_args=[str(option) for option in self._beam_pipeline_args],
            )
        if not manifest["splits"]["eval"]["examples"]:
            raise UserError(
                "The input must hold two different documents with text, so that one "
                f"can be held out. Received: {given.input}"
            )
        _into_folders(directory, manifest)
        examples.splits = list(SPLITS)
        examples.span = examples.version = 0
        examples.set_string_custom_property(PAYLOAD_FORMAT_PROPERTY_NAME, "FORMAT_TF_EXAMPLE")
        for split in SPLITS:
            for key in ("documents", "examples", "tokens"):
                examples.set_int_custom_property(f"{split}_{key}", manifest["splits"][split][key])


class ElectraExampleGen(base_beam_component.BaseBeamComponent):
    """Reads text as `electra_tf build_dataset` does, and learns its vocabulary if needed.

    Apache Beam options of the pipeline are passed on; without any it uses a process per core.

    Args:
        input: what `electra_tf.text.corpus.find_sources` takes, in one string; may be a
            RuntimeParameter.
        vocab_file: the tokenizer's file, or the directory of its files; None to learn one of
            `vocab_size` tokens from the input.
        vocab_size: tokens to learn, where there is no vocab_file.
        seq_length: tokens per example.
        eval_fraction: share of the documents in the split `eval`; above 0.
        packing: "none" or "documents", see `electra_tf.data.build.build_dataset`.
        keep_leftovers: with "none", whether the next example begins with the tokens that did not
            fit into one, or these are dropped, as the original does.
        seed: of the split and of the examples' random choices.
        tokenizer: its name, see `electra_tf.text.tokenization`; only a wordpiece vocabulary can be
            learned.
        lower_case: whether the vocabulary is uncased.
        strip_accents: whether accents are removed; None: if it is uncased.
        text_field: field with the text in .jsonl and TFDS inputs.
        input_fingerprint: what `input_fingerprint` returns where the files can be read while the
            pipeline is built. TFX answers an unchanged component from its cache, and knows the
            names of the files only.

    Outputs:
        examples: Examples with the splits `train` and `eval`, and their counts as custom
            properties; its uri is a data directory, too.

    Raises:
        UserError: an impossible parameter.
    """

    SPEC_CLASS = ElectraExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(ElectraExampleGenExecutor)

    def __init__(
        self,
        input: str | RuntimeParameter,
        vocab_file: str | None = None,
        vocab_size: int = 30522,
        seq_length: int = 128,
        eval_fraction: float = 0.01,
        packing: str = "none",
        keep_leftovers: bool = True,
        seed: int = 0,
        tokenizer: str = "wordpiece",
        lower_case: bool = True,
        strip_accents: bool | None = None,
        text_field: str = "text",
        input_fingerprint: str | None = None,
    ):
        super().__init__(
            spec=ElectraExampleGenSpec(
                examples=types.Channel(type=standard_artifacts.Examples),
                **parameters.checked(
                    type(self).__name__,
                    PROPERTIES,
                    {
                        "input": input,
                        "vocab_file": vocab_file,
                        "vocab_size": vocab_size,
                        "seq_length": seq_length,
                        "eval_fraction": eval_fraction,
                        "packing": packing,
                        "keep_leftovers": keep_leftovers,
                        "seed": seed,
                        "tokenizer": tokenizer,
                        "lower_case": lower_case,
                        "strip_accents": strip_accents,
                        "text_field": text_field,
                        "input_fingerprint": input_fingerprint,
                    },
                ),
            )
        )


def input_fingerprint(
    input: str, vocab_file: str | None = None, tokenizer: str = "wordpiece"
) -> str:
    """A cheap digest of what an ElectraExampleGen reads: names, sizes, times and some content.

    Raises:
        UserError: there is no such file, or no vocabulary in it; names the component.
    """
    try:
        sources = find_sources([input])
        settings = {"name": tokenizer}
        if vocab_file:
            tokenization.read_vocabulary(vocab_file, settings)
    except UserError as error:
        raise UserError(f"ElectraExampleGen: {error}") from error
    files = [source.name for source in sources if source.is_file]
    if vocab_file:
        files += tokenization.paths(vocab_file, settings).values()
    times = [os.stat(name).st_mtime_ns for name in files]
    content = [[source.name, fingerprint(source)] for source in sources]
    return hashlib.sha256(json.dumps([content, times]).encode()).hexdigest()[:32]


def _into_folders(directory: str, manifest: dict[str, Any]) -> None:
    """Moves each split's files to where TFX looks for them, and says so in dataset.json."""
    for split in SPLITS:
        folder = f"Split-{split}"
        os.mkdir(os.path.join(directory, folder))
        for file in manifest["splits"][split]["files"]:
            name = f"{folder}/{file['name']}"
            os.rename(os.path.join(directory, file["name"]), os.path.join(directory, name))
            file["name"] = name
    write_text(os.path.join(directory, "dataset.json"), json.dumps(manifest, indent=2) + "\n")

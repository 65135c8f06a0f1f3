"""Evaluates a pre-training run: `electra_tf evaluate --workdir=RUN`.

Prints the held-out metrics of the newest checkpoint and writes them to RUN/eval.json, by the
names of the original's evaluation: masked_lm_loss, masked_lm_accuracy,
sampled_masked_lm_accuracy, disc_loss, disc_accuracy, disc_precision, disc_recall, disc_auc; for
an Electric also cloze_loss and pseudo_log_likelihood, the mean over the tokens of the text; for
electra_15 disc_masked_loss; for replace_mlm and all_tokens_mlm main_lm_loss and main_lm_accuracy,
at the masked-out positions, and for the latter all_tokens_loss and all_tokens_accuracy; for
adversarial reward, policy_loss and baseline_loss.
embedding_cosine_discriminator and embedding_cosine_generator are the mean cosine similarity of two
tokens' vectors, for each network with a token table of its own (embedding_cosine_encoder where
there is no discriminator).
"""

from absl import flags

from electra_tf import command

_WORKDIR = command.define_path(
    "workdir", None, "A run, or a model directory together with --data_dir."
)
_DATA_DIR = command.define_path(
    "data_dir",
    None,
    "Evaluate on this data set instead of the run's own; it must have the same tokenizer.",
)
_SPLIT = flags.DEFINE_enum("split", "eval", ["eval", "train"], "Which part of the data set.")
_RANDOM_WORDS = flags.DEFINE_bool(
    "random_words",
    False,
    "Also detect random words swapped in (of the corpus, of the "
    "vocabulary), and report the share of the most frequent token.",
)


def main(argv):
    command.no_arguments(argv)
    from electra_tf.runs import evaluation  # TensorFlow starts here: --help stays quick

    metrics = evaluation.evaluate(
        _WORKDIR.value,
        data_dir=_DATA_DIR.value,
        split=_SPLIT.value,
        random_words=_RANDOM_WORDS.value,
    )
    width = max(map(len, metrics))
    for name, value in metrics.items():
        print(f"{name:{width}}  {value if isinstance(value, int) else format(value, '.4f')}")


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    command.run(main)

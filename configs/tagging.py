"""Tagging of words in column files: configs/tagging.py:chunk, configs/tagging.py:ner.

Command:   electra_tf finetune --config=configs/tagging.py:chunk \
               --config.init_from=MODEL --config.data.dir=conll2000 --workdir=RUN
Data:      a word and its tag per line, sentences separated by blank lines; the first column is
           the word, the last one the tag. For CoNLL-U set --config.task.word_column=1 and
           --config.task.tag_column=3 (UPOS) or another.
Settings:  as for GLUE: 3 epochs, batch 32.
"""

from electra_tf.config.finetuning import FinetuneConfig, TaskConfig


def get_config(name: str = "ner") -> FinetuneConfig:
    return FinetuneConfig(task=TaskConfig(kind="tagging", name=name))

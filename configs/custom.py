"""Your own sentences: configs/custom.py:classification, :multi_label or :regression.

Command:   electra_tf finetune --config=configs/custom.py:classification \
               --config.task.text_field=review --config.task.label_field=stars \
               --config.init_from=MODEL --config.data.dir=reviews --workdir=RUN
Data:      train, dev, test as .tsv, .csv or .jsonl; --config.task.pair_field for a second text.
Settings:  as for GLUE: 3 epochs, batch 32.
"""

from electra_tf.config.finetuning import FinetuneConfig, TaskConfig


def get_config(kind: str = "classification") -> FinetuneConfig:
    return FinetuneConfig(task=TaskConfig(kind=kind, name="task"))

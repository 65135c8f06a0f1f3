"""GLUE, one task at a time: configs/glue.py:rte (cola sst-2 mrpc sts-b qqp mnli qnli rte wnli).

Command:   electra_tf finetune --config=configs/glue.py:rte \
               --config.init_from=MODEL --config.data.dir=glue/RTE --workdir=RUN
Data:      the original TSV files. Length 128.
Settings:  Table 7 of the paper: 10 epochs for RTE and STS-B, 3 for the others, batch 32, warm-up
           over a tenth of the steps, no weight decay; learning rate and layer decay by size.
"""

from electra_tf.config.finetuning import FinetuneConfig, TaskConfig


def get_config(name: str = "rte") -> FinetuneConfig:
    config = FinetuneConfig(task=TaskConfig(kind="glue", name=name))
    config.train.num_epochs = 10.0 if name.lower() in ("rte", "sts", "sts-b", "stsb") else 3.0
    return config

"""SQuAD 1.1 and 2.0, or questions in their format: configs/squad.py:v1, configs/squad.py:v2.

Command:   electra_tf finetune --config=configs/squad.py:v2 \
               --config.init_from=MODEL --config.data.dir=squad --workdir=RUN
Data:      SQuAD's JSON or MRQA's JSON lines. Length 512, windows of stride 128.
Settings:  Table 7 of the paper: 2 epochs, batch 32.
"""

from electra_tf.config.finetuning import FinetuneConfig, TaskConfig
from electra_tf.errors import UserError


def get_config(version: str = "v2") -> FinetuneConfig:
    if version not in ("v1", "v2"):
        raise UserError(f"configs/squad.py must be followed by :v1 or :v2. Received: {version}")
    number = int(version[1:])
    config = FinetuneConfig(
        task=TaskConfig(kind="squad", name=f"squad_{version}", version=number, max_seq_length=512)
    )
    config.train.num_epochs = 2.0
    return config

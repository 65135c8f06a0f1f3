"""Which learning rate the objectives and blocks want: configs/studies/learning_rate.py:tiny.

Command:   electra_tf lab --study=configs/studies/learning_rate.py:tiny --corpus=TEXT \
               --tasks_dir=TASKS --root=runs/learning_rate
Rows:      ELECTRA, BERT's masked language model, and ELECTRA with ModernBERT's block, each at
           1/2, 1 and 2 times the size's learning rate.
Compute:   a third of the size's, one seed: it tells far from near, not near from best.
Result:    tiny: docs/experiments.md.
"""

import os

from electra_tf.config import Config
from electra_tf.config.study import Row, Study

HERE = os.path.dirname(__file__)


def get_config(size: str = "tiny") -> Study:
    modern = Study.from_file(os.path.join(HERE, f"modern.py:{size}"))
    study = Study.from_file(os.path.join(HERE, f"sizes.py:{size}"))
    study.title = "Learning rates"
    study.seeds = [0]
    study.compute /= 3
    study.probes = [probe for probe in study.probes if probe.command != "finetune"]
    study.averages = {}
    kinds = {"electra": Row(""), "mlm": study.rows[0], "modern": modern.rows[1]}
    study.rows = []
    for name, row in kinds.items():
        usual = Config.from_file(row.config or study.config).optimizer.learning_rate
        for rate in (usual / 2, usual, usual * 2):
            flags = {**row.flags, "config.optimizer.learning_rate": rate}
            study.rows.append(Row(f"{name}_{rate:g}", flags, config=row.config))
    return study

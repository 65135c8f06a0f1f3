"""ELECTRA-Large and BERT of its size, Table 2 of the paper: configs/studies/table2.py:paper, :tiny.

Command:   electra_tf lab --study=configs/studies/table2.py:paper --corpus=TEXT \
               --tasks_dir=TASKS --root=runs/table2
Rows:      configs/electra_large.py for 400,000 and 1.75M steps; BERT for 464,000 steps, which cost
           what 400,000 of ELECTRA do.
Hardware:  paper: many GPUs or a TPU pod, 7.1e20 and 3.1e21 FLOPs. tiny: 1 and 4.375 times 3e13.
Expected:  the paper: GLUE dev 89.0 and 89.5; BERT 87.2.
"""

import os

from electra_tf.config.study import Row, Study


def get_config(size: str = "tiny") -> Study:
    study = Study.from_file(os.path.join(os.path.dirname(__file__), f"sizes.py:{size}"))
    study.title = "ELECTRA-Large and BERT (Table 2)"
    study.paper_title = "paper: GLUE"
    is_paper = size == "paper"
    if is_paper:
        study.config = "configs/electra_large.py"
    mlm = study.rows[0].flags
    study.rows = [
        Row("electra_400k", steps=400_000 * is_paper, paper=89.0),
        Row("electra_1750k", compute=4.375, steps=1_750_000 * is_paper, paper=89.5),
        Row("bert_464k", mlm, steps=464_000 * is_paper, paper=87.2),
    ]
    return study

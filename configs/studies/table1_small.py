"""ELECTRA-Small and shorter trainings of it, Table 1 of the paper: configs/studies/table1_small.py.

Command:   electra_tf lab --study=configs/studies/table1_small.py:paper --corpus=TEXT \
               --tasks_dir=TASKS --root=runs/table1_small
Rows:      configs/electra_small.py for 1M steps and 1/2, 1/4, 1/8, 1/16 of them; BERT-Small.
Hardware:  paper: 4 days on one V100 for the longest row, each seed. tiny: 16 to 1 times 3e13 FLOPs
           on 2 CPU cores, 47 of these per seed: 7 to 8 hours of one core.
Expected:  the paper: GLUE dev 79.9, 79.0, 77.7, 76.0, 74.1; BERT-Small 75.1.
"""

import os

from electra_tf.config.study import Row, Study

PAPER = {16: 79.9, 8: 79.0, 4: 77.7, 2: 76.0, 1: 74.1}  # by sixteenths of the longest training


def get_config(size: str = "tiny") -> Study:
    study = Study.from_file(os.path.join(os.path.dirname(__file__), f"sizes.py:{size}"))
    study.title = "ELECTRA-Small, stopped early (Table 1)"
    study.paper_title = "paper: GLUE"
    is_paper = size == "paper"
    if is_paper:
        study.config, study.seq_length = "configs/electra_small.py", 128
    study.rows = [
        *(
            Row(
                f"electra_{parts}_16",
                compute=parts,
                steps=1_000_000 * parts // 16 if is_paper else 0,
                series="electra",
                paper=number,
            )
            for parts, number in PAPER.items()
        ),
        Row(
            "bert",
            study.rows[0].flags,
            compute=16,
            steps=1_450_000 if is_paper else 0,
            series="bert",
            paper=75.1,
        ),
    ]
    return study

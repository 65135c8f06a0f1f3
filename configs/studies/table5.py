"""Where ELECTRA's gain comes from, Table 5 of the paper: configs/studies/table5.py:tiny, :paper.

Command:   electra_tf lab --study=configs/studies/table5.py:tiny --corpus=TEXT --tasks_dir=TASKS \
               --root=runs/table5
Rows:      detection at all tokens; prediction of all tokens; prediction of the replaced ones;
           detection at 15 % of the tokens; BERT's masked language model, and with 30 % masked;
           tiny: and random weights.
Expected:  the paper: GLUE dev 85.0, 84.3, 82.4, 82.4, 82.2. Not run by us at either size.
"""

import os

from electra_tf.config.study import Row, Study


def get_config(size: str = "tiny") -> Study:
    study = Study.from_file(os.path.join(os.path.dirname(__file__), f"sizes.py:{size}"))
    study.title = "Where ELECTRA's gain comes from (Table 5)"
    study.paper_title = "paper: GLUE"
    mlm = study.rows[0].flags
    study.rows = [
        Row("electra", paper=85.0),
        Row("all_tokens_mlm", {"config.objective.name": "all_tokens_mlm"}, paper=84.3),
        Row("replace_mlm", {"config.objective.name": "replace_mlm"}, paper=82.4),
        Row("electra_15", {"config.objective.name": "electra_15"}, paper=82.4),
        Row("mlm", mlm, paper=82.2),
        Row("mlm_30", {**mlm, "config.objective.mask_fraction": 0.3}),
    ]
    if size == "tiny":  # where it is not plain that any of them has learned anything
        study.rows.append(Row("random", compute=0))
    return study

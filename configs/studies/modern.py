"""BERT's block against ModernBERT's, under replaced-token detection: configs/studies/modern.py.

Command:   electra_tf lab --study=configs/studies/modern.py:tiny --corpus=TEXT --tasks_dir=TASKS \
               --root=runs/modern
Rows:      BERT's block, and ModernBERT's with a GeGLU of about as many weights. :tiny or :paper.
Expected:  no one has published it for this objective.
"""

import os

from electra_tf.config.study import Row, Study

# A GeGLU has three matrices where BERT's layer has two.
TINY = {"config.model.block": "modern", "config.model.intermediate_size": 340}


def get_config(size: str = "tiny") -> Study:
    study = Study.from_file(os.path.join(os.path.dirname(__file__), f"sizes.py:{size}"))
    study.title = "BERT's block and ModernBERT's"
    modern = Row("modern", TINY)
    if size == "paper":
        modern = Row("modern", config="configs/electra_modern_base.py")
    study.rows = [Row("bert"), modern]
    return study

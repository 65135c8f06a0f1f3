"""What generator and discriminator share, section 3.2 of the paper: configs/studies/sharing.py.

Command:   electra_tf lab --study=configs/studies/sharing.py:tiny --corpus=TEXT \
               --tasks_dir=TASKS --root=runs/sharing
Rows:      the values of config.model.sharing, with a generator of the discriminator's size, as
           sharing all weights needs; gdes is DeBERTa-v3's.
Compute:   tiny: equal operations, which are the same for all. paper: 500,000 steps, as there.
Expected:  the paper: GLUE dev 83.6 without, 84.3 with the tokens' embeddings, 84.4 with all
           weights shared. :tiny or :paper.
"""

import os

from electra_tf.config.study import Row, Study

PAPER = {"none": 83.6, "token_embeddings": 84.3, "embeddings": None, "all": 84.4, "gdes": None}


def get_config(size: str = "tiny") -> Study:
    study = Study.from_file(os.path.join(os.path.dirname(__file__), f"sizes.py:{size}"))
    study.title = "What generator and discriminator share (section 3.2)"
    study.paper_title = "paper: GLUE"
    study.flags = {**study.flags, "config.generator.hidden_fraction": 1.0}
    study.rows = [
        Row(
            name,
            {"config.model.sharing": name},
            steps=500_000 if size == "paper" else 0,
            paper=number,
        )
        for name, number in PAPER.items()
    ]
    return study

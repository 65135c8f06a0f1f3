"""How large a generator, the left part of Figure 3: configs/studies/figure3_generator.py:SIZE.

Command:   electra_tf lab --study=configs/studies/figure3_generator.py:tiny --corpus=TEXT \
               --tasks_dir=TASKS --root=runs/figure3_generator
Rows:      the generator's widths as shares of the discriminator's; and, instead of a generator,
           tokens drawn by frequency or uniformly.
Compute:   tiny: equal operations. paper: 500,000 steps each, as there.
Expected:  the paper: best from 1/4 to 1/2. SIZE is tiny or paper.
"""

import os

from electra_tf.config.study import Row, Study

WIDTHS = {"1_8": 1 / 8, "1_4": 1 / 4, "1_2": 1 / 2, "3_4": 3 / 4, "1": 1.0}


def get_config(size: str = "tiny") -> Study:
    study = Study.from_file(os.path.join(os.path.dirname(__file__), f"sizes.py:{size}"))
    study.title = "Size of the generator (Figure 3, left)"
    study.reference = "width_1_4"
    steps = 500_000 if size == "paper" else 0
    study.rows = [
        *(
            Row(f"width_{name}", {"config.generator.hidden_fraction": width}, steps=steps)
            for name, width in WIDTHS.items()
        ),
        Row("unigram", {"config.objective.generator": "unigram"}, steps=steps),
        Row("uniform", {"config.objective.generator": "uniform"}, steps=steps),
    ]
    return study

"""ELECTRA and BERT over a factor of 16 of compute: configs/studies/compute.py:tiny, :paper.

Command:   electra_tf lab --study=configs/studies/compute.py:tiny --corpus=TEXT \
               --tasks_dir=TASKS --root=runs/compute
Rows:      1, 4 and 16 times the compute; :paper: 1/16, 1/4 and 1 (compare Figure 2).
Duration:  tiny: 42 times 3e13 FLOPs per seed, by the speed of electra_tiny.py about 7 hours of
           one core, besides the probes.
Expected:  the paper: ELECTRA is ahead at every budget, most at the smallest.
"""

import os

from electra_tf.config.study import Row, Study

FACTORS = {"tiny": (1, 4, 16), "paper": (1 / 16, 1 / 4, 1)}


def get_config(size: str = "tiny") -> Study:
    study = Study.from_file(os.path.join(os.path.dirname(__file__), f"sizes.py:{size}"))
    study.title = "ELECTRA and BERT over compute"
    study.rows = [
        Row(f"{name}_{step}", flags, compute=factor, series=name)
        for name, flags in (("electra", {}), ("mlm", study.rows[0].flags))
        for step, factor in enumerate(FACTORS[size], 1)
    ]
    return study

"""A tiny ELECTRA for a CPU, in two phases: configs/electra_tiny.py:16, then :128.

Command:   python -m electra_tf.pretrain --config=configs/electra_tiny.py:16 \
               --config.data.dir=SHARDS_16 --workdir=RUN_16
           python -m electra_tf.pretrain --config=configs/electra_tiny.py:128 \
               --config.data.dir=SHARDS_128 --config.init_from=RUN_16 --workdir=RUN_128
Data:      a vocabulary of 8,192 tokens; shards of length 16 and 128, --packing=documents.
Hardware:  2 CPU cores.
Expected:  held out, on 23.7 M words of Wikipedia: masked_lm_loss 4.65 and disc_auc 0.619 after the
           first phase, 4.56 and 0.557 after the second, where the generator sees more. One run.
Compute:   1.24e14 FLOPs by objectives/flops.py, 8.12 M per token at length 16 and 9.31 M at 128.
Why two:   one trial each. At length 64 from the start (--packing=none, initial weights of 0.06)
           both networks were still at token frequencies after 5 M tokens, masked_lm_loss 6.0.
Generator: as wide as the discriminator, half as deep: half as wide and with a discriminator_weight
           of 50 the shared embeddings served detection first, masked_lm_loss 5.25 after 8 M tokens.
"""

from configs import quickstart
from electra_tf.config import Config

STEPS = {16: 4_000, 128: 3_022}  # of 2,048 tokens; both phases together 1.24e14 FLOPs
LEARNING_RATES = {16: 1e-3, 128: 7e-4}  # by length


def get_config(seq_length: str = "16") -> Config:
    if seq_length not in ("16", "128"):
        raise ValueError("configs/electra_tiny.py and bert_tiny.py must be followed by :16 or "
                         f":128. Received: {seq_length}")
    config, length = quickstart.get_config(), int(seq_length)
    model, train = config.model, config.train
    model.vocab_size, model.num_layers, model.max_positions = 0, 4, 128
    model.sharing = "embeddings"
    config.generator.hidden_fraction, config.generator.layer_fraction = 1.0, 0.5
    if length == 16:
        config.objective.discriminator_weight = 10.0
    config.optimizer.learning_rate = LEARNING_RATES[length]
    train.num_steps, train.batch_size = STEPS[length], 2_048 // length
    train.checkpoint_steps, train.eval_batches = 1_000, 100
    return config

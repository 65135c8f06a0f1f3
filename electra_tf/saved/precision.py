"""What the networks of a bundle compute in; inputs and outputs of signatures are float32."""

from electra_tf.errors import UserError

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # to Keras's dtype policies


def dtype_of(precision: str) -> str:
    """Keras's dtype policy; raises UserError for a name that is none of PRECISIONS."""
    if precision not in PRECISIONS:
        raise UserError(f"precision must be one of {', '.join(PRECISIONS)}. Received: {precision}")
    return PRECISIONS[precision]

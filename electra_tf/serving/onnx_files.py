"""A model's network for ONNX Runtime, and whatever else reads ONNX.

tf2onnx converts the graph that TensorFlow computes, and ONNX Runtime's own tools quantize it.
"""

import os

from electra_tf import extras, stderr
from electra_tf.serving import network_files

with extras.needed("onnx"):
    import onnx
    import onnxruntime
    from onnxruntime import quantization
    from tf2onnx import convert

_OPSET = 17  # ONNX Runtime has it since 1.12
_AXES = "batch", "length"  # of inputs, and what outputs have of them


def export_onnx(workdir: str | os.PathLike, output: str, *, overwrite: bool = False) -> dict:
    """Writes a network as `output`/model.onnx and model_int8.onnx.

    In the int8 file matrices are int8 with a scale per column, the table of tokens uint8 with one;
    activations are quantized while it runs (dynamic quantization), so no examples are needed.
    Matrices use seven of the eight bits: sums of larger products overflow on x86 processors
    without VNNI. Arguments, returns and errors as of `network_files.export`.
    """
    return network_files.export(Onnx(), workdir, output, overwrite=overwrite)


class Onnx(network_files.Format):
    """ONNX files."""

    runtime = "ONNX"
    float32, int8 = "model.onnx", "model_int8.onnx"
    packages = ("tensorflow", "tf2onnx", "onnx", "onnxruntime")

    def write(self, network, folder):
        float32, int8 = (os.path.join(folder, name) for name in (self.float32, self.int8))
        with stderr.muted():
            onnx.save(_convert(network), float32)
            quantization.quantize_dynamic(float32, int8, per_channel=True, reduce_range=True)

    def open(self, path):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return lambda batch: dict(zip(names, session.run(names, batch)))


def _convert(network: network_files.Network) -> onnx.ModelProto:
    model, _ = convert.from_function(
        network.answer, input_signature=network.answer.input_signature, opset=_OPSET
    )
    for value in (*model.graph.input, *model.graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, _AXES):
            if not dimension.HasField("dim_value"):
                dimension.dim_param = name
    return model

"""Counts what a training step moves through a GPU's memory, without a GPU.

    python tests/device/hlo_passes.py --config=configs/electra_base.py \
        --config.train.batch_size=64 --length=512

XLA compiles the step for an H100 that need not be there; the counts are of the compiled program,
by the source file that an operation comes from (of a fusion: the operation it is named after):

    GB      bytes that its kernels read and write
    large   those of them in arrays larger than the card's cache, which must go through its memory
    passes  how often such an array is read or written
    kernels how many there are

and the memory for everything but weights and optimizer state. Nothing is measured and no kernel is
tuned: they tell two programs apart, not how fast one is.

Needs JAX, Keras and, of JAX's own version, `jax-cuda12-plugin` and `jax-cuda12-pjrt` (installed
with --no-deps), and `nvidia-cuda-nvcc-cu12`; neither TensorFlow nor a driver.
"""

import collections
import math
import os
import re
import sys

import kit

CACHE = 50 << 20  # bytes of an H100's second-level cache
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84929347584 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 8 }
runtime_version { major: 12 minor: 8 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^  (?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*?)\)(.*)$")
_ARRAY = re.compile(r"([a-z]+)(\d*)\w*\[([\d,]*)\]")
_CALLED = re.compile(r"(?:body|to_apply|calls|branch_computations=\{)=?%?([\w.\-]+)")
_NO_KERNEL = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "iota", "after-all"}
_SLICES = {"slice", "dynamic-slice", "gather"}
_ELEMENT_WISE = {"add", "bitcast", "convert", "divide", "multiply", "negate", "reshape", "subtract"}


def main():
    kit.start()
    os.environ["JAX_PLATFORMS"] = "cpu"
    import nvidia.cuda_nvcc

    nvcc = nvidia.cuda_nvcc.__path__[0]
    os.environ["PATH"] += os.pathsep + os.path.join(nvcc, "bin")
    os.environ["XLA_FLAGS"] = f"--xla_gpu_cuda_data_dir={nvcc} --xla_gpu_autotune_level=0"
    from absl import flags
    from ml_collections import config_flags

    holder = config_flags.DEFINE_config_file("config", os.path.join("configs", "electra_small.py"))
    flags.DEFINE_integer("length", 128, "tokens of an example")
    flags.DEFINE_string("save", "", "where to write the compiled program")
    flags.FLAGS(sys.argv)
    compiled = compile_step(holder.value, flags.FLAGS.length)
    if flags.FLAGS.save:
        with open(flags.FLAGS.save, "w", encoding="utf-8") as file:
            file.write(compiled.as_text())
    show(count(compiled.as_text()), compiled.memory_analysis().temp_size_in_bytes)


def compile_step(config, length: int):
    """One step of `program.Program`, compiled for the card."""
    import jax
    from jax._src.cudnn import fused_attention_stablehlo
    from jax.experimental import topologies
    from program import Program

    from electra_tf import features
    from electra_tf.speed import synthetic

    # JAX asks the card before it takes cuDNN's attention; XLA compiles that without one, too.
    fused_attention_stablehlo.check_cudnn_version = lambda: 90800
    fused_attention_stablehlo.check_compute_capability = lambda capability: True
    card = topologies.get_topology_desc("", "cuda", target_config=H100, topology="1x1x1")
    place = jax.sharding.SingleDeviceSharding(card.devices[0])
    program = Program(config, synthetic.vocabulary(config), 1)
    ids = jax.ShapeDtypeStruct((config.train.batch_size, length), "int32")
    names = features.INPUT_IDS, features.INPUT_MASK, features.SEGMENT_IDS
    arguments = jax.tree.map(
        lambda value: jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=place),
        (
            jax.eval_shape(program.fresh_state),
            dict.fromkeys(names, ids),
            jax.ShapeDtypeStruct((), "float32"),
        ),
    )
    return jax.jit(program.one_step, donate_argnums=0).lower(*arguments).compile()


def count(text: str) -> dict:
    """{source file: [bytes, bytes in large arrays, passes over them, kernels]} of an HLO module."""
    from profile_step import origins_of

    computations, entry = _parse(text)
    sources, counts = origins_of(text), collections.defaultdict(lambda: [0, 0, 0, 0])

    def visit(computation, times):
        shapes = {name: shape for name, shape, *_ in computation}
        for name, shape, opcode, operands, rest in computation:
            called = _CALLED.findall(rest)
            if opcode in ("while", "conditional", "call"):
                trips = re.search(r'"known_trip_count":\{"n":"(\d+)"', rest)
                for inner in called:
                    visit(computations[inner], times * (int(trips[1]) if trips else 1))
                continue
            if opcode in _NO_KERNEL or opcode.endswith("-done"):
                continue
            inner = computations[called[0]] if opcode == "fusion" else []
            moved = _moved(shape, [shapes[operand] for operand in operands], inner)
            source = sources.get(name, ("", "", ""))[2].split(":")[0]
            line = counts[source.removeprefix("electra_tf/") or "rest"]
            large = [size for size in moved if size > CACHE]
            for place, more in enumerate((sum(moved), sum(large), len(large), 1)):
                line[place] += more * times

    visit(computations[entry], 1)
    return dict(counts)


def show(counts: dict, temporary: int) -> None:
    """Prints the table."""
    total = [sum(line[place] for line in counts.values()) for place in range(4)]
    print(f"{'':34}{'GB':>9}{'large':>9}{'passes':>8}{'kernels':>8}")
    for source, line in [*sorted(counts.items(), key=lambda item: -item[1][0]), ("all", total)]:
        print(f"{source:34}{line[0] / 1e9:9.2f}{line[1] / 1e9:9.2f}{line[2]:8}{line[3]:8}")
    print(f"memory besides weights and optimizer state: {temporary / 2**30:.2f} GiB")


def _moved(shape, operands, inner):
    """Sizes in bytes of what one kernel reads and writes, array by array."""
    written, read = _sizes(shape), [size for operand in operands for size in _sizes(operand)]
    shapes = {name: shape for name, shape, *_ in inner}
    for name, _, opcode, names, _ in inner:
        taken = _taken(name, inner) if opcode == "parameter" else None
        if taken is not None:
            read[int(names[0])] = taken
    for _, whole, opcode, names, _ in inner:
        if opcode in ("dynamic-update-slice", "scatter"):  # some places, changed where they are
            (size,) = _sizes(whole)
            changed = sum(_sizes(shapes[names[1 if opcode == "dynamic-update-slice" else 2]]))
            written = [changed if one == size else one for one in written]
    return [size for size in (*written, *read) if size]


def _taken(name, inner):
    """Bytes that a fusion reads of a parameter of which it takes some places only, else None."""
    taken = 0
    for user, shape, opcode, operands, _ in inner:
        if name not in operands or opcode == "parameter":
            continue
        if opcode in _SLICES and operands[0] == name:
            taken += sum(_sizes(shape))
        elif opcode in ("dynamic-update-slice", "scatter") and operands[0] == name:
            continue
        elif opcode in _ELEMENT_WISE and any(user in other[3] for other in inner):
            more = _taken(user, inner)
            if more is None:
                return None
            taken += more
        else:
            return None
    return taken


def _sizes(shape):
    """Bytes of each array of an HLO shape."""
    arrays = _ARRAY.findall(shape)
    return [
        math.prod(int(side) for side in sides.split(",") if side) * (int(bits or 8) // 8)
        for _, bits, sides in arrays
    ]


def _parse(text):
    """({computation: [(name, shape, opcode, operands, attributes)]}, name of the entry)."""
    computations, entry, current = {}, "", []
    for line in text.splitlines():
        begins = _COMPUTATION.match(line)
        if begins:
            current = computations[begins[1]] = []
            entry = begins[1] if line.startswith("ENTRY") else entry
            continue
        found = _INSTRUCTION.match(line)
        if found:
            name, shape, opcode, operands, rest = found.groups()
            names = [operands] if opcode == "parameter" else re.findall(r"%([\w.\-]+)", operands)
            current.append((name, shape, opcode, names, rest))
    return computations, entry


if __name__ == "__main__":
    main()

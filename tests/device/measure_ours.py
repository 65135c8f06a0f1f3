"""Times the project's training step on one device: speed, share of peak, memory. For measure.py."""

import concurrent.futures
import copy
import importlib.util
import os
import statistics
import sys
import time

import jax
import kit
import numpy as np
import packed
import profile_step
from absl import flags
from ml_collections import config_flags
from program import MAX_STEPS, Program, lower_train

from electra_tf.speed import synthetic
from electra_tf.text.vocabulary import Vocabulary


def of_train(flags_given, timed, report, graphs):
    """The very program of train.py, so that its compilation is found again."""
    holder = config_flags.DEFINE_config_file("config", os.path.join("configs", "electra_small.py"))
    flags.DEFINE_string("data", kit.kit_file("data.zip"), "")
    flags.DEFINE_string("vocab", kit.kit_file("vocab.txt"), "")
    flags.FLAGS([sys.argv[0], *flags_given], known_only=True)
    config = holder.value
    vocabulary = Vocabulary.from_file(flags.FLAGS.vocab)
    splits, about = packed.load(flags.FLAGS.data)
    config.model.vocab_size = config.model.vocab_size or len(vocabulary)
    config.validate()
    program = Program(config, vocabulary, MAX_STEPS)
    measure_program(
        "ours train" if graphs else "ours without graphs",
        [program],
        splits["train"].arrays(),
        about["seq_length"],
        timed,
        report,
        lower_train,
        profiled=True,
        options=None if graphs else {"xla_gpu_enable_command_buffer": ""},
    )


def of_batches(job, batches, length, timed, report):
    """A config on synthetic examples at several batch sizes."""
    path = os.path.join("configs", f"electra_{job}.py")
    spec = importlib.util.spec_from_file_location("measured_config", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config()
    config.runtime.precision = "mixed_bfloat16"
    if os.environ.get("MEASURE_LAYERS"):
        config.model.num_layers = int(os.environ["MEASURE_LAYERS"])
    vocabulary = synthetic.vocabulary(config)
    config.train.batch_size = 2048
    examples = synthetic.batch(config.validate(), length)
    first = Program(config, vocabulary, 64)
    programs = []
    for size in batches:
        program = copy.copy(first)
        program.config = copy.deepcopy(config)
        program.config.train.batch_size = size
        programs.append(program)
    measure_program(
        f"ours {job}",
        programs,
        packed.split_of({name: np.asarray(value) for name, value in examples.items()}).arrays(),
        length,
        timed,
        report,
        lower_train,
        profiled=job == "base",
    )


def measure_program(who, programs, arrays, length, timed, report, lower, profiled, options=None):
    """Compiles all programs side by side, then times one after the other."""
    report(who=who, **kit.versions())
    data = jax.device_put(arrays)
    peak = kit.matmul_peak()
    begin = time.monotonic()

    def compiled(one):
        try:
            return one.compile(compiler_options=options) if options else one.compile()
        except Exception as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(compiled, lower(program, data)) for program in programs]
        for program, future in zip(programs, futures, strict=True):
            call = future.result()
            took = time.monotonic() - begin
            if len(programs) > 1 and program is programs[0]:
                concurrent.futures.wait(futures, timeout=max(0.0, kit.seconds_left() - 20.0))
            line = {
                "who": who,
                "batch_size": program.config.train.batch_size,
                "seq_length": length,
                "peak_flops_per_second": peak,
                "ready_after": took,
            }
            try:
                if isinstance(call, Exception):
                    raise call
                step = time_program(program, call, data, timed)
                speed = program.config.train.batch_size * length / step
                flops = program.objective.training_flops_per_token(length)
                memory = call.memory_analysis()
                line |= {
                    "step_ms": step * 1e3,
                    "tokens_per_second": speed,
                    "examples_per_second": speed / length,
                    "mfu": speed * flops / peak,
                    "program_bytes": memory
                    and (
                        memory.temp_size_in_bytes
                        + memory.argument_size_in_bytes
                        + memory.output_size_in_bytes
                        - memory.alias_size_in_bytes
                    ),
                    "peak_bytes": kit.peak_memory(),
                }
                report(**line)
                if profiled and program is programs[0]:
                    report(**line | {"profile": profile_of(program, call, data)})
            except Exception as error:
                if "step_ms" in line:
                    report(who=who, note=f"no profile: {type(error).__name__}: {error}"[:500])
                else:
                    text = (
                        "out of memory"
                        if kit.is_out_of_memory(error)
                        else (f"{type(error).__name__}: {error}"[:500])
                    )
                    report(**line | {"error": text})
            if kit.seconds_left() < 5:
                break


def caller(program, call, data):
    """Function of a number of steps that does them and waits."""
    size = next(iter(data.values())).shape[0]
    generator = np.random.default_rng(0)
    index = generator.integers(
        0, size, (program.max_steps, program.config.train.batch_size), dtype=np.int32
    )
    rates = np.full((program.max_steps, len(program.optimizers)), 1e-5, np.float32)
    holder = [program.fresh_state()]

    def steps(number):
        holder[0], counts, _, _ = call(holder[0], data, index, rates, np.int32(number))
        jax.block_until_ready((holder[0], counts))

    return steps


def time_program(program, call, data, timed):
    """Seconds per step, the median of at least three runs."""
    steps = caller(program, call, data)
    steps(2)
    begin = time.perf_counter()
    steps(2)
    number = max(1, min(program.max_steps, int(timed / 4 / ((time.perf_counter() - begin) / 2))))
    took = []
    end = time.monotonic() + timed
    while len(took) < 3 or time.monotonic() < end:
        begin = time.perf_counter()
        steps(number)
        took.append((time.perf_counter() - begin) / number)
    return statistics.median(took)


def profile_of(program, call, data):
    steps = caller(program, call, data)
    steps(2)
    return profile_step.profile(lambda: steps(4), 4, call.as_text())

"""One timed training run: prepare, compile, train, evaluate, save. Used by train.py."""

import concurrent.futures
import dataclasses
import json
import math
import os
import signal
import time

import jax
import kit
import numpy as np
import packed
import pieces
from program import MAX_STEPS, Order, Program, lower_evaluate, lower_train

from electra_tf import objectives
from electra_tf.config import Config
from electra_tf.speed.jax_step import resolve_precision
from electra_tf.text.vocabulary import Vocabulary

CALL_SECONDS = 2.0  # of one call on the device; signals wait for its end


@dataclasses.dataclass
class Settings:
    """What train.py's flags say; their help texts explain the fields."""

    config: Config
    seconds: float
    num_steps: int
    warmup: float
    data: str
    vocab: str
    eval_examples: int
    save_seconds: float
    log_seconds: float
    init_from: str | None


class Run:
    """One run: prepare, compile, train, evaluate and save."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.out = kit.out()
        self.log_path = os.path.join(self.out, "log.jsonl")
        self.result = {"complete": False}
        self.stop = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, number, frame):
        del frame
        self.stop = signal.Signals(number).name

    def left(self) -> float:
        return self.settings.seconds - kit.seconds_since_start()

    def say(self, text):
        print(f"[{kit.seconds_since_start():6.1f} s] {text}", flush=True)

    def run(self):
        open(self.log_path, "w").close()
        self._prepare()
        self._compile()
        self._train()
        self._finish()

    def _prepare(self):
        config = self.config = self.settings.config
        vocabulary = self.vocabulary = Vocabulary.from_file(self.settings.vocab)
        splits, about = packed.load(self.settings.data)
        config.model.vocab_size = config.model.vocab_size or len(vocabulary)
        config.data.lower_case = about["tokenizer"]["lower_case"]
        config.data.strip_accents = about["tokenizer"]["strip_accents"]
        objectives.validate(config)
        resolve_precision(config)
        self.length = about["seq_length"]
        for field, value, least in (
            ("model.vocab_size", config.model.vocab_size, len(vocabulary)),
            ("model.max_positions", config.model.max_positions, self.length),
        ):
            if value < least:
                raise ValueError(
                    f"config.{field} must be at least the data's, {least}. Received: {value}"
                )
        self.num_examples, self.num_eval = len(splits["train"]), len(splits["eval"])
        if self.settings.eval_examples:
            self.num_eval = min(self.num_eval, self.settings.eval_examples)
        if self.settings.num_steps:
            config.train.num_steps = self.settings.num_steps
        self.versions = kit.versions()
        self.say(f"{self.versions}")
        dtype = config.runtime.precision.removeprefix("mixed_")
        self.peak = kit.matmul_peak(dtype)
        self.flops = objectives.build_objective(config).training_flops_per_token(self.length)
        self.say(
            f"matrix products at {self.peak / 1e12:,.1f} TFLOP/s ({dtype}); "
            f"{self.flops / 1e6:.1f} MFLOP per token"
        )
        self.data = jax.device_put(splits["train"].arrays())
        self.held_out = jax.device_put(splits["eval"].arrays())
        self.init = pieces.read(self.settings.init_from)[0] if self.settings.init_from else None
        filled = float(np.mean(splits["train"].lengths)) / self.length
        self.say(
            f"{self.num_examples:,} examples of {self.length} ({filled:.1%} filled), "
            f"{self.num_eval:,} held out"
        )
        self.result |= {
            "versions": self.versions,
            "peak_flops_per_second": self.peak,
            "flops_per_token": self.flops,
            "num_examples": self.num_examples,
            "filled": filled,
            "num_eval_examples": self.num_eval,
            "schedule": "config" if self.settings.num_steps else "time",
        }

    def _new_program(self):
        program = Program(self.config, self.vocabulary, MAX_STEPS)
        if self.init is not None:
            for variable in program.variables:
                if variable.path in self.init:
                    variable.assign(self.init[variable.path])
                else:
                    self.say(f"note: {variable.path} is not in --init_from and starts fresh")
        return program

    def _compile(self):
        """Compiles and tries both programs; cuts the batch into parts where memory is short."""
        config = self.config
        self.program = self._new_program()
        self.say(
            f"{sum(math.prod(v.shape) for v in self.program.variables):,} weights, "
            f"batch {config.train.batch_size}, {config.runtime.precision}"
        )
        self._check_size()
        self.order = Order(self.num_examples, config.train.seed, config.train.batch_size)
        while True:
            begin = time.monotonic()
            try:
                lowered = (
                    lower_train(self.program, self.data),
                    lower_evaluate(self.program, self.held_out),
                )
                self.say(f"traced in {time.monotonic() - begin:.1f} s, compiling …")
                with concurrent.futures.ThreadPoolExecutor(2) as threads:
                    self.call_train, self.call_evaluate = threads.map(
                        lambda one: one.compile(), lowered
                    )
                self.compile_seconds = time.monotonic() - begin
                self.state, self.step = self.program.fresh_state(), 0
                self.say(f"compiled in {self.compile_seconds:.1f} s")
                # Once to learn how long it takes, and what a fresh model scores.
                self.eval_seconds = time.monotonic()
                first = self._evaluate()
                self.eval_seconds = time.monotonic() - self.eval_seconds
                self._try_steps()
                break
            except Exception as error:
                parts = self.program.micro_batches * 2
                if not kit.is_out_of_memory(error) or config.train.batch_size % parts or parts > 64:
                    raise
                self.say(
                    f"out of memory with {parts // 2} part(s) of a batch: trying {parts}. "
                    f"{str(error).splitlines()[0][:200]}"
                )
                self.state = None
                config.train.accumulation_steps = parts
                self.program = self._new_program()
        self.result |= {
            "compile_seconds": self.compile_seconds,
            "before": first,
            "micro_batches": self.program.micro_batches,
        }
        self.say(f"before training: {kit.brief(first)}")

    def _try_steps(self):
        """A few steps at rate 0, to learn the speed; the state then starts afresh."""
        self._call(1, 0.0)  # the first call also loads the program
        begin = time.monotonic()
        self._call(3, 0.0)
        self.step_seconds = (time.monotonic() - begin) / 3
        self.state, self.step = None, 0
        self.state = self.program.fresh_state()
        self.say(f"{self.step_seconds * 1e3:.1f} ms per step")

    def _call(self, number, rates):
        """Steps on the device; returns (counts, skipped, gradient norms) on the host."""
        steps = self.program.max_steps
        index = np.zeros((steps, self.config.train.batch_size), np.int32)
        index[:number] = self.order.steps(self.step, self.step + number)
        padded = np.zeros((steps, len(self.program.optimizers)), np.float32)
        padded[:number] = rates
        self.state, counts, skipped, norms = self.call_train(
            self.state, self.data, index, padded, np.int32(number)
        )
        counts, skipped, norms = jax.device_get((counts, skipped, norms))
        self.step += number
        return counts, int(skipped), {name: float(value) for name, value in norms.items()}

    def _evaluate(self):
        counts = jax.device_get(
            self.call_evaluate(self.state["weights"], self.held_out, np.int32(self.num_eval))
        )
        return self.program.metrics(counts)

    def _train(self):
        config = self.config
        tokens_per_step = config.train.batch_size * self.length
        reserve = 3.0 + 2.0 * self.eval_seconds + 2.0 * self._save("start")
        begin = time.monotonic()
        budget = self.left() - reserve
        end = begin + budget
        self.say(f"training for {budget:.0f} s, about {budget / self.step_seconds:,.0f} steps")
        if budget <= 0:
            raise TimeoutError(f"--seconds={self.settings.seconds} leaves no time to train")
        logged = saved = begin
        sums, since, skipped_all, peak_share = {}, 0, 0, []
        while not self.stop:
            now = time.monotonic()
            left = min(end - now, CALL_SECONDS)
            number = int(min(self.program.max_steps, left / self.step_seconds))
            if self.settings.num_steps:
                number = min(max(number, 1), self.settings.num_steps - self.step)
            if number < 1 or now >= end:
                break
            rates = self._rates(
                number, (now - begin) / budget, (now + number * self.step_seconds - begin) / budget
            )
            counts, skipped, norms = self._call(number, rates)
            done = time.monotonic()
            self.step_seconds = 0.5 * self.step_seconds + 0.5 * (done - now) / number
            for name, value in counts.items():
                sums[name] = sums.get(name, 0.0) + np.asarray(value, np.float64)
            since, skipped_all = since + number, skipped_all + skipped
            finished = bool(self.settings.num_steps) and self.step >= self.settings.num_steps
            last = finished or end - done < self.step_seconds
            if done - logged >= self.settings.log_seconds or last:
                speed = since * tokens_per_step / (done - logged)
                peak_share.append((since, speed))
                line = {
                    "step": self.step,
                    "seconds": done - begin,
                    "elapsed": kit.seconds_since_start(),
                    "share": (done - begin) / budget,
                    "learning_rates": rates[-1].tolist(),
                    "tokens_per_second": speed,
                    "mfu": speed * self.flops / self.peak,
                    **norms,
                    "skipped": skipped_all,
                    **self.program.metrics(sums),
                }
                self._log(line)
                self.say(
                    f"step {self.step:,} {speed:,.0f} tokens/s, MFU {line['mfu']:.1%}, "
                    f"{kit.brief(line)}"
                )
                sums, since, logged = {}, 0, time.monotonic()
            if skipped == number and number > 1:
                self.say(
                    "every step was not finite: stopping; the last good weights are kept. "
                    "Try a lower config.optimizer.learning_rate."
                )
                self.result["diverged"] = True
                break
            if finished:
                break
            if done - saved >= self.settings.save_seconds and end - done > 20:
                self._save("")
                saved = time.monotonic()
                logged += saved - done  # the speed is that of training
        self.train_seconds = time.monotonic() - begin
        total = sum(count for count, _ in peak_share)
        speed = total / sum(count / speed for count, speed in peak_share) if total else 0.0
        self.result |= {
            "steps": self.step,
            "skipped": skipped_all,
            "train_seconds": self.train_seconds,
            "tokens": self.step * tokens_per_step,
            "tokens_per_second": speed,
            "epochs": self.step * config.train.batch_size / self.num_examples,
            "mfu": speed * self.flops / self.peak,
            "stopped_by": self.stop,
        }

    def _rates(self, number, first, end):
        """Rates [number, optimizers] of the next steps; first, end: elapsed shares of the time."""
        rates = []
        for optimizer in self.program.optimizers:
            if self.settings.num_steps:
                steps = np.arange(self.step + 1, self.step + number + 1)
                rates.append(np.asarray(optimizer.learning_rate(steps)))
                continue
            settings = optimizer.config
            share = np.clip(np.linspace(first, end, number + 1)[1:], 0.0, 1.0)
            up = np.minimum(share / self.settings.warmup, 1.0) if self.settings.warmup else 1.0
            rates.append(settings.learning_rate * up * (1.0 - share) ** settings.decay_power)
        return np.stack(rates, axis=-1)

    def _finish(self):
        self._save("end")  # first what cannot be had again
        metrics = self._evaluate()
        self.say(f"held out: {kit.brief(metrics)}")
        self._log({"step": self.step, "split": "eval", **metrics})
        self.result |= {
            "complete": not self.stop,
            "eval": metrics,
            "peak_memory_bytes": kit.peak_memory(),
            "total_seconds": kit.seconds_since_start(),
            "config": dataclasses.asdict(self.config),
        }
        kit.write_json(os.path.join(self.out, "result.json"), self.result)
        self.say(
            f"{self.result['steps']:,} steps, {self.result['tokens']:,} tokens "
            f"({self.result['epochs']:.1f} epochs) at {self.result['tokens_per_second']:,.0f} "
            f"tokens/s, MFU {self.result['mfu']:.1%}; files: {sorted(os.listdir(self.out))}"
        )

    def _check_size(self):
        shapes = {v.path: tuple(v.shape) for v in self.program.variables}
        self.saved_paths = set(shapes)
        if not pieces.fits(shapes):
            slim = {path: shapes[path] for path in shapes if not path.startswith("generator")}
            self.saved_paths = set(slim) if pieces.fits(slim) else set()
            self.say(
                "note: the weights are too many for the files of a result; saving "
                + ("all but the generator" if self.saved_paths else "none of them")
            )

    def _save(self, when) -> float:
        """Writes the weights; returns how long it took. "start" only measures, in memory."""
        begin = time.monotonic()
        if not self.saved_paths:
            return 0.0
        weights = dict(zip(self.program.paths, jax.device_get(self.state["weights"]), strict=True))
        if when == "start":
            return 0.5 + 4.0 * (time.monotonic() - begin)
        config = json.loads(self.config.to_json())
        config["train"]["num_steps"] = max(self.step, 1)
        about = {"config": config, "elapsed": kit.seconds_since_start(), "final": when == "end"}
        names = pieces.write(
            self.out, {path: weights[path] for path in sorted(self.saved_paths)}, self.step, about
        )
        self.say(f"saved step {self.step:,}: {', '.join(names)} ({time.monotonic() - begin:.2f} s)")
        return time.monotonic() - begin

    def _log(self, line):
        with open(self.log_path, "a", encoding="utf-8") as file:
            file.write(json.dumps(kit.without_nan(line)) + "\n")

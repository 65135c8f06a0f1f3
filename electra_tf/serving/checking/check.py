"""Checks a bundle as a server would meet it; for the command line and for infra validation."""

from collections.abc import Callable

import numpy as np

from electra_tf.errors import UserError
from electra_tf.serving.checking import allowed_ops, latency, model_answers, native
from electra_tf.serving.checking.contents import Bundle, read_bundle, structure_problems
from electra_tf.serving.checking.latency import LatencyPlan
from electra_tf.serving.checking.report import FAILED, PASSED, SKIPPED, Check, Report
from electra_tf.serving.checking.requests import Request, hard_requests, warmup_requests
from electra_tf.serving.checking.session import ServingSession, answer_problem

_NATIVE_TOLERANCE = 1e-5  # of the largest number, or of 1
_SHOWN = 5  # problems in one line


class Skipped(Exception):
    """Says why there is nothing to check."""


def check_bundle(
    path: str,
    model: str | None = None,
    plan: LatencyPlan | None = None,
    *,
    without_python: bool = True,
    on_check: Callable[[Check], None] = lambda check: None,
    on_progress: Callable[[int, int], None] = lambda done, number: None,
) -> Report:
    """Verifies a bundle.

    In this order: its files and signatures; its ops against those that TensorFlow Serving has;
    loading; the warm-up requests; hard texts; all of them once more without Python, in a C program
    that is compiled for it; the Keras model's answers; latency. What fails ends what builds on it.

    Args:
        path: directory of one version, such as SERVING_DIR/1.
        model: run or model directory to compare with; None for no comparison.
        plan: of the latency table; None for none.
        without_python: whether to try the C program; it takes about 10 seconds.
        on_check: called with each check as soon as it is done.
        on_progress: called while latency is measured, with kinds of calls done and to do.

    Returns:
        A report, whatever is wrong with the bundle.
    """
    report = Report(path)

    def check(name: str, function: Callable, *arguments):
        """Notes what `function` says, a detail or (detail, value), and returns the value."""
        outcome, value = PASSED, None
        try:
            detail = function(*arguments)
            if isinstance(detail, tuple):
                detail, value = detail
        except Skipped as reason:
            outcome, detail = SKIPPED, str(reason)
        except UserError as error:
            outcome, detail = FAILED, " ".join(str(error).split())
        report.checks.append(Check(name, outcome, detail))
        on_check(report.checks[-1])
        return value

    bundle = check("structure", _check_structure, path)
    if bundle is None:
        return report
    check("ops", _check_ops, bundle)
    if not report.passed:
        return report
    session = check("load", lambda: ("in a session of its own", ServingSession(bundle)))
    if session is None:
        return report
    with session:
        asked: list[tuple[Request, dict[str, np.ndarray]]] = []
        check("warm-up", _check_warmup, bundle, session, asked)
        check("hard texts", _check_hard, bundle, session, asked)
        if without_python:
            check("without Python", _check_native, bundle, asked)
        if model is not None:
            check("model", model_answers.compare, bundle, session, model)
        if plan is not None:
            report.latency = check("latency", _measure, bundle, session, plan, on_progress) or []
    return report


def _check_structure(path: str) -> tuple[str, Bundle]:
    bundle = read_bundle(path)
    _require_none(structure_problems(bundle))
    return f"signatures {', '.join(bundle.signatures)}", bundle


def _check_ops(bundle: Bundle) -> str:
    _require_none(allowed_ops.refused_ops(bundle.graph))
    return f"all {allowed_ops.count_ops(bundle.graph)} are in TensorFlow Serving 2.16 to 2.20"


def _require_none(problems: list[str]) -> None:
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    if problems:
        raise UserError("; ".join(problems[:_SHOWN]) + more)


def _check_warmup(bundle: Bundle, session: ServingSession, asked: list) -> str:
    requests = warmup_requests(bundle)
    if not requests:
        raise Skipped("no warm-up requests")
    return f"{len(requests)} requests answered" + _replay(bundle, session, requests, asked)


def _check_hard(bundle: Bundle, session: ServingSession, asked: list) -> str:
    requests = hard_requests(bundle, [request for request, _ in asked])
    return (
        f"{len(requests)} requests (empty, emoji, invalid UTF-8, over-long, no rows) answered"
        + _replay(bundle, session, requests, asked)
    )


def _replay(bundle: Bundle, session: ServingSession, requests: list[Request], asked: list) -> str:
    """Asks all; adds (request, answers) to `asked`; returns which signatures were left out."""
    for request in requests:
        answers = session.answer(request)
        problem = answer_problem(bundle, request, answers)
        if problem:
            raise UserError(f"{request}: {problem}")
        asked.append((request, answers))
    left_out = bundle.signatures.keys() - {request.signature for request in requests}
    return f"; not asked: {', '.join(sorted(left_out))}" if left_out else ""


def _check_native(bundle: Bundle, asked: list[tuple[Request, dict[str, np.ndarray]]]) -> str:
    reason = native.why_not()
    if reason:
        raise Skipped(reason)
    largest = 0.0
    answered = native.answers(bundle, [request for request, _ in asked])
    for (request, expected), answers in zip(asked, answered):
        for name, values in expected.items():
            largest = max(largest, _difference(f"{request}, {name}", answers[name], values))
    same = f"to {largest:.1g}" if largest else "bit for bit"
    return f"the C program gives the same {len(asked)} answers, {same}"


def _difference(what: str, answered: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, of the largest number; raises UserError if it is too large."""
    if answered.shape != expected.shape or answered.dtype != expected.dtype:
        raise UserError(
            f"{what} must be {expected.dtype} {list(expected.shape)} as in Python. "
            f"Received: {answered.dtype} {list(answered.shape)}"
        )
    if np.array_equal(answered, expected):
        return 0.0
    difference = np.inf
    if np.issubdtype(expected.dtype, np.floating):
        difference = np.abs(answered - expected).max() / max(1.0, np.abs(expected).max())
    if not difference <= _NATIVE_TOLERANCE:
        raise UserError(
            f"{what} must be as in Python. Received: another answer, different by {difference:.2g}"
        )
    return float(difference)


def _measure(bundle, session, plan, on_progress) -> tuple[str, list[dict]]:
    table = latency.measure(bundle, session, plan, on_progress)
    return f"of {plan.signature}, {sum(row['calls'] for row in table)} calls", table

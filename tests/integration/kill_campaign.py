"""Kills commands at random moments, repeats them, and compares the end with an undisturbed run.

    python tests/integration/kill_campaign.py --kills=100 --seed=0 --workdir=/tmp/kills

Half of the kills hit a command while it saves (a new name has just appeared where it writes), half
at any moment; half are SIGKILL, half SIGTERM. A killed command is killed again up to twice, then
repeated to its end; where its output was in place and something else is left over, it is called
once more and may refuse. Nothing half-written may be seen under a final name after any kill, and
at the end files, numbers and answers are those of an undisturbed run, with nothing left over.

The same call with the same --workdir goes on where it was stopped. A round that has shown a
difference leaves its folder and the output of its commands in WORKDIR/rounds.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import campaign_checks
import campaign_commands
import tiny_runs
from campaign_commands import Command

MOMENTS = ("saving", "random")
SIGNALS = ("SIGKILL", "SIGTERM")
MOST_KILLS = 3  # of a command before it may come to its end
GRACE = 60  # seconds in which the processes that a command has started must end, too


@dataclasses.dataclass(frozen=True)
class Kill:
    """When to send which signal.

    Attributes:
        moment: "saving": at the event of number `share` x those of an undisturbed run; "random":
            after this share of its seconds.
        signal: its name.
        share: from 0 to 1.
        delay: seconds from an event to the signal.
    """

    moment: str
    signal: str
    share: float
    delay: float


@dataclasses.dataclass
class Outcome:
    """A command that has ended.

    Attributes:
        code: exit code.
        seconds: until its end, or until it was killed.
        events: new names where it writes.
        is_killed: whether it still ran when it was to be killed.
        problems: of the kinds that the campaign counts.
    """

    code: int
    seconds: float
    events: int
    is_killed: bool
    problems: list[str]


class Campaign:
    """All rounds of a campaign; what is done is kept in WORKDIR/state.json.

    Args:
        workdir: folder of all that is written.
        commands: what is killed.
        seed: of all that is drawn.
    """

    def __init__(self, workdir: pathlib.Path, commands: list[Command], seed: int):
        self._workdir, self._commands, self._seed = workdir, commands, seed
        self._inputs, self._lock = workdir / "inputs", threading.Lock()
        self._state_file = workdir / "state.json"
        names = [command.name for command in commands]
        self._state = {"seed": seed, "commands": names, "references": {}, "rounds": {}}
        if self._state_file.exists():
            state = json.loads(self._state_file.read_text())
            if (state["seed"], state["commands"]) != (seed, names):
                sys.exit(f"{workdir} has a campaign of another seed or of other commands")
            self._state = state

    @property
    def rounds(self) -> list[dict]:
        return list(self._state["rounds"].values())

    @property
    def num_kills(self) -> int:
        return sum(len(entry["kills"]) for entry in self.rounds)

    def run(self, kills: int, jobs: int) -> None:
        """Does rounds until there have been so many kills."""
        self._prepare()
        self._start, self._kills_before = time.monotonic(), self.num_kills
        numbers = iter(range(1 << 30))

        def work():
            while self.num_kills < kills:
                with self._lock:
                    number = next(n for n in numbers if str(n) not in self._state["rounds"])
                self._round(number, kills)

        with concurrent.futures.ThreadPoolExecutor(jobs) as threads:
            for future in [threads.submit(work) for _ in range(jobs)]:
                future.result()

    def _prepare(self) -> None:
        """Writes inputs and does each command once, undisturbed."""
        if not (self._workdir / "inputs.done").exists():
            shutil.rmtree(self._inputs, ignore_errors=True)
            campaign_commands.write_inputs(self._inputs)
            (self._workdir / "inputs.done").write_text("")
        needed = list(self._commands)
        if any(command.name == "predict" for command in needed):
            finetune = campaign_commands.commands(None)["finetune"]
            needed = [finetune, *(command for command in needed if command.name != "finetune")]
        for command in needed:
            if command.name in self._state["references"]:
                continue
            folder = self._reference(command)
            shutil.rmtree(folder, ignore_errors=True)
            outcome = self._call(command, folder, None)
            problems = outcome.problems + campaign_checks.leftovers(folder)
            if outcome.code or problems:
                log = folder.with_suffix(".log").read_text()
                sys.exit(f"{command.name} fails undisturbed: {problems}\n{log[-2000:]}")
            if command.name == "finetune":
                shutil.copytree(folder, self._inputs / "finetuned", dirs_exist_ok=True)
            self._keep("references", command.name, [outcome.seconds, outcome.events])
            print(
                f"{command.name}: {outcome.seconds:.1f} s, {outcome.events} new names", flush=True
            )

    def _round(self, number: int, kills: int) -> None:
        """Kills one command some times, lets it end, and compares."""
        draw = random.Random(f"{self._seed}/{number}")
        command = draw.choices(self._commands, [each.weight for each in self._commands])[0]
        folder = self._workdir / "rounds" / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".log").unlink(missing_ok=True)
        done, problems = [], []
        for attempt in range(draw.randint(1, MOST_KILLS)):
            kind = number + attempt  # every pair of moment and signal as often
            kill = Kill(
                MOMENTS[kind % 2], SIGNALS[kind // 2 % 2], draw.random(), draw.random() / 50
            )
            outcome = self._call(command, folder, kill)
            problems += outcome.problems
            if not outcome.is_killed:
                if outcome.code:
                    problems.append(f"exit code {outcome.code} before the kill")
                break
            done.append({"moment": kill.moment, "signal": kill.signal, "seconds": outcome.seconds})
            problems += campaign_checks.half_files(folder)
            if command.is_done(folder):
                break
        if not command.is_done(folder):
            outcome = self._call(command, folder, None)
            problems += outcome.problems
            if outcome.code:
                problems.append(f"exit code {outcome.code} of the repeated command")
        elif campaign_checks.leftovers(folder):  # killed after its output was in place
            problems += self._call(command, folder, None).problems
        problems += campaign_checks.leftovers(folder)
        problems += campaign_checks.differences(self._reference(command), folder)
        if not problems:
            shutil.rmtree(folder)
            folder.with_suffix(".log").unlink()
        entry = {"command": command.name, "kills": done, "problems": problems}
        self._keep("rounds", str(number), entry)
        self._report(number, entry, kills)

    def _call(self, command: Command, folder: pathlib.Path, kill: Kill | None) -> Outcome:
        """Runs a command, to its end or until it is killed."""
        folder.mkdir(parents=True, exist_ok=True)
        seconds, events = self._state["references"].get(command.name, (0.0, 0))
        temporary = pathlib.Path(tempfile.mkdtemp(prefix="campaign-", dir=self._workdir))
        path = os.pathsep.join(filter(None, [str(tiny_runs.ROOT), os.environ.get("PYTHONPATH")]))
        known, found, killed, at = _names(folder), 0, False, float("inf")
        with open(folder.with_suffix(".log"), "ab") as log:
            size = log.tell()
            start = time.monotonic()
            process = subprocess.Popen(
                command.arguments(self._inputs, folder),
                cwd=tiny_runs.ROOT,
                env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(temporary)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            if kill is not None and kill.moment == "random":
                at = start + kill.share * seconds
            while process.poll() is None and time.monotonic() < start + tiny_runs.TIME_LIMIT:
                names = _names(folder)
                found += len(names - known)
                known |= names
                is_due = kill is not None and kill.moment == "saving" and at == float("inf")
                if is_due and found > kill.share * events:
                    at = time.monotonic() + kill.delay
                if time.monotonic() >= at:
                    killed = True
                    process.send_signal(signal.Signals[kill.signal])
                    break
                time.sleep(0.003)
            ended = time.monotonic() - start
            problems = _wait(process)
        shutil.rmtree(temporary, ignore_errors=True)
        with open(folder.with_suffix(".log"), "rb") as log:
            log.seek(size)
            said = log.read().decode(errors="replace")
        if "Traceback (most recent call last)" in said:
            problems.append(f"a traceback: {said.strip().splitlines()[-1][:200]}")
        number = signal.Signals[kill.signal] if killed else 0
        if killed and process.returncode not in (-number, 128 + number, 0):
            problems.append(f"exit code {process.returncode} after {kill.signal}")
        return Outcome(process.returncode, ended, found, killed, problems)

    def _reference(self, command: Command) -> pathlib.Path:
        return self._workdir / "reference" / command.name

    def _keep(self, part: str, key: str, value) -> None:
        with self._lock:
            self._state[part][key] = value
            temporary = self._state_file.with_suffix(".tmp")
            temporary.write_text(json.dumps(self._state, indent=1))
            temporary.replace(self._state_file)

    def _report(self, number: int, entry: dict, kills: int) -> None:
        done = self.num_kills
        per_kill = (time.monotonic() - self._start) / max(1, done - self._kills_before)
        problems = sum(bool(each["problems"]) for each in self.rounds)
        told = ", ".join(
            f"{kill['signal']} {kill['moment']} at {kill['seconds']:.1f} s"
            for kill in entry["kills"]
        )
        print(
            f"[{done}/{kills} kills, {problems} rounds differ, about "
            f"{max(0.0, kills - done) * per_kill / 60:.0f} min left] {number} {entry['command']}: "
            f"{told or 'ended before the kill'}: {'; '.join(entry['problems']) or 'the same'}",
            flush=True,
        )

    def table(self) -> str:
        """Kills and rounds that differ, by command, moment and signal of the kill."""
        kills, differing = collections.Counter(), collections.Counter()
        for entry in self.rounds:
            for kill in entry["kills"]:
                key = entry["command"], kill["moment"], kill["signal"]
                kills[key] += 1
                differing[key] += bool(entry["problems"])
        lines = [
            f"{'command':22} {'moment':8} {'signal':8} {'kills':>5} {'in rounds that differ':>22}"
        ]
        for key in sorted(kills):
            command, moment, name = key
            lines.append(f"{command:22} {moment:8} {name:8} {kills[key]:5} {differing[key]:22}")
        lines.append(f"{'all':40} {sum(kills.values()):5} {sum(differing.values()):22}")
        return "\n".join(lines)


def _names(folder: pathlib.Path) -> set[str]:
    """Paths of all there is in a folder; it may change meanwhile."""
    found, folders = set(), [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    found.add(entry.path)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found


def _wait(process: subprocess.Popen) -> list[str]:
    """Waits for a command and all that it has started; kills what does not end."""
    problems = []
    try:
        process.wait(tiny_runs.TIME_LIMIT / 3)
    except subprocess.TimeoutExpired:
        problems.append("did not end")
        process.kill()
        process.wait()
    end = time.monotonic() + GRACE
    while (left := _of_session(process.pid)) and time.monotonic() < end:
        time.sleep(0.05)
    for pid in left:
        problems.append("a process that it has started did not end")
        os.kill(pid, signal.SIGKILL)
    return problems


def _of_session(session: int) -> list[int]:
    """Processes of a session that are not zombies."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code: 1 if anything was lost, half-written or left over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", help="names between commas; default: all")
    parser.add_argument("--workdir", type=pathlib.Path, help="default: a new temporary folder")
    parser.add_argument("--jobs", type=int, default=1, help="rounds at a time")
    tfx_python = tiny_runs.ROOT / ".venv-tfx" / "bin" / "python"
    parser.add_argument(
        "--tfx_python",
        default=str(tfx_python) if tfx_python.exists() else None,
        help="Python with TFX, for the pipelines; default: .venv-tfx's, if it is there",
    )
    settings = parser.parse_args(argv)
    known = campaign_commands.commands(settings.tfx_python)
    names = settings.commands.split(",") if settings.commands else list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"--commands must be among {', '.join(known)}. Received: {unknown[0]}")
    workdir = settings.workdir or pathlib.Path(tempfile.mkdtemp(prefix="kills-"))
    workdir.mkdir(parents=True, exist_ok=True)
    campaign = Campaign(workdir.resolve(), [known[name] for name in names], settings.seed)
    campaign.run(settings.kills, settings.jobs)
    print(campaign.table())
    return int(any(entry["problems"] for entry in campaign.rounds))


if __name__ == "__main__":
    sys.exit(main())

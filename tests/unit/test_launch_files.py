"""export/launch: its shell scripts do what they say, its manifest and images fit the rest."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from electra_tf.train import cluster
from tests.conftest import ROOT
from tests.unit.test_docs import problem_of

FOLDER = ROOT / "export" / "launch"
WORKER = FOLDER / "worker.sh"
SHELLS = [shell for shell in ("sh", "bash", "dash") if shutil.which(shell)]


def manifest() -> dict:
    return yaml.safe_load((FOLDER / "jobset.yaml").read_text())


def job() -> dict:
    (replicated,) = manifest()["spec"]["replicatedJobs"]
    return replicated["template"]["spec"]


def container() -> dict:
    (only,) = job()["template"]["spec"]["containers"]
    return only


def settings() -> dict[str, str]:
    """The variables of the container, with what Kubernetes puts in for those of labels."""
    labels = {
        "metadata.labels['jobset.sigs.k8s.io/jobset-name']": manifest()["metadata"]["name"],
        "metadata.labels['jobset.sigs.k8s.io/replicatedjob-name']": "workers",
    }
    return {
        each["name"]: each.get("value") or labels[each["valueFrom"]["fieldRef"]["fieldPath"]]
        for each in container()["env"]
    }


def run_worker(shell: str, variables: dict[str, str], *command: str):
    return subprocess.run(
        [shell, WORKER, *(command or (sys.executable, "-c", _PRINT))],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], **variables},
        timeout=60,
    )


_PRINT = "import os; print(os.environ['TF_CONFIG'])"


@pytest.mark.parametrize(
    ("shell", "script"), [("sh", "worker.sh"), ("bash", "worker.sh"), ("bash", "slurm.sh")]
)
def test_shells_can_read_the_scripts(shell, script):
    subprocess.run([shell, "-n", FOLDER / script], check=True, timeout=60)


def test_the_manifest_is_a_jobset():
    given = manifest()
    assert (given["apiVersion"], given["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert given["spec"]["network"]["enableDNSHostnames"] is True
    policy = given["spec"]["failurePolicy"]
    assert policy["maxRestarts"] > 0
    assert all({"name", "action"} <= rule.keys() for rule in policy["rules"])
    (replicated,) = given["spec"]["replicatedJobs"]
    assert (replicated["name"], replicated["replicas"]) == ("workers", 1)
    # One failed worker fails the Job, and the JobSet restarts all of them.
    assert (job()["completionMode"], job()["backoffLimit"]) == ("Indexed", 0)
    pod = job()["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # which a podFailurePolicy needs
    assert pod["terminationGracePeriodSeconds"] == 120
    for rule in job()["podFailurePolicy"]["rules"]:
        assert rule["action"] == "FailJob" and len(rule) == 2
    codes = job()["podFailurePolicy"]["rules"][1]["onExitCodes"]
    assert (codes["containerName"], codes["values"]) == (container()["name"], [128 + 15])
    assert {"name", "image", "command", "args", "env", "resources"} <= container().keys()
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert volumes == {mount["name"] for mount in container()["volumeMounts"]}


def test_its_numbers_agree():
    number = int(settings()["WORKERS"])
    assert job()["parallelism"] == job()["completions"] == number
    assert container()["ports"] == [{"containerPort": int(settings()["WORKER_PORT"])}]


def test_its_command_exists():
    shell, worker, program, *command = [*container()["command"], *container()["args"]]
    assert (shell, worker, program) == ("sh", "/usr/local/bin/electra_tf_worker", "electra_tf")
    assert problem_of(command) is None
    mounted = [mount["mountPath"] for mount in container()["volumeMounts"]]
    paths = [each.partition("=")[2] for each in command if "dir=" in each]
    assert len(paths) == 2 and all(path.startswith(f"{mounted[0]}/") for path in paths)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_pod_gets_its_tf_config(shell, monkeypatch):
    hosts = [f"electra-workers-0-{index}.electra:2222" for index in range(2)]
    for index in range(2):
        result = run_worker(shell, settings() | {"JOB_COMPLETION_INDEX": str(index)})
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout) == {
            "cluster": {"worker": hosts},
            "task": {"type": "worker", "index": index},
        }
        monkeypatch.setenv("TF_CONFIG", result.stdout)
        assert cluster.find().own == ("worker", index)


def test_eleven_pods_and_another_port():
    variables = {
        "WORKERS": "11",
        "WORKER_PORT": "3333",
        "JOBSET_NAME": "big",
        "REPLICATED_JOB": "w",
        "JOB_COMPLETION_INDEX": "10",
    }
    given = json.loads(run_worker("sh", variables).stdout)
    assert given["cluster"]["worker"] == [f"big-w-0-{index}.big:3333" for index in range(11)]
    assert given["task"]["index"] == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"JOB_COMPLETION_INDEX": "2"}, "must be less than WORKERS, 2"),
        ({"JOB_COMPLETION_INDEX": "x"}, "must be a whole number. Received: x"),
        ({"JOBSET_NAME": ""}, "JOBSET_NAME must be set"),
    ],
)
def test_a_wrong_environment_of_a_pod(change, message):
    result = run_worker("sh", settings() | {"JOB_COMPLETION_INDEX": "0"} | change)
    assert result.returncode == 1 and message in result.stderr and not result.stdout


def test_the_command_takes_the_place_of_the_wrapper():
    variables = settings() | {"JOB_COMPLETION_INDEX": "0"}
    result = run_worker("sh", variables, "sh", "-c", "kill -TERM $$")
    assert result.returncode == -15
    assert run_worker("sh", variables, "sh", "-c", 'printf "%s|" "$@"', "x", "a b", "c").stdout == (
        "a b|c|"
    )


@pytest.fixture
def slurm(tmp_path):
    """Runs slurm.sh with programs in place of Slurm's, which note their arguments."""
    log = tmp_path / "log"
    programs = {
        "srun": 'case "$*" in *--check) exit ${CHECKED:-0};; *) exit ${TRAINED:-0};; esac',
        "scontrol": "exit 0",
    }
    for name, rest in programs.items():
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\n{rest}\n')
        program.chmod(0o755)

    def run(*arguments, **variables):
        log.write_text("")
        given = {"CONFIG": "configs/electra_small.py", "DATA": "/d", "WORKDIR": "/w"} | variables
        path = f"{tmp_path}:{os.environ['PATH']}"
        result = subprocess.run(
            ["bash", FOLDER / "slurm.sh", *arguments],
            capture_output=True,
            text=True,
            env={"PATH": path, "SLURM_JOB_ID": "7", **given},
            timeout=60,
        )
        return result, log.read_text().splitlines()

    return run


def test_a_job_of_slurm_checks_and_trains(slurm):
    result, (check, train) = slurm("--config.train.batch_size=64", SLURM_CPUS_PER_TASK="3")
    assert result.returncode == 0, result.stderr
    assert check == f"{train} --check"
    options, _, command = train.partition(" electra_tf ")
    assert options == "srun --kill-on-bad-exit=1 --distribution=block --cpus-per-task=3"
    assert problem_of(command.split()) is None
    assert "--config.runtime.strategy=multi_worker" in command
    assert command.endswith("--config.train.batch_size=64")


def test_a_job_of_slurm_queues_again_only_when_it_was_stopped(slurm):
    result, calls = slurm(TRAINED="143")
    assert result.returncode == 143 and calls[2:] == ["scontrol requeue 7"]
    result, calls = slurm(TRAINED="1")
    assert result.returncode == 1 and len(calls) == 2
    result, calls = slurm(CHECKED="1")
    assert result.returncode == 1 and len(calls) == 1  # nothing was trained
    result, calls = slurm(WORKDIR="")
    assert "WORKDIR must be" in result.stderr and not calls


def test_what_slurm_is_asked_for():
    lines = (FOLDER / "slurm.sh").read_text().splitlines()
    asked = [line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")]
    assert {"ntasks-per-node=1", "requeue", "signal=TERM@120"} <= set(asked)
    first = next(number for number, line in enumerate(lines) if line and line[0] != "#")
    assert all(lines.index(f"#SBATCH --{each}") < first for each in asked)  # later ones are ignored

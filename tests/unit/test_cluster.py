"""Clusters of workers: TF_CONFIG as it is given, and as it is made in a step of Slurm."""

import json
import os

import pytest
import tensorflow as tf

from electra_tf.config import RuntimeConfig
from electra_tf.errors import UserError
from electra_tf.train import cluster, strategy

# What srun sets for task 2 of a step on four nodes, one task each.
STEP = {
    "SLURM_JOB_ID": "123456",
    "SLURM_PROCID": "2",
    "SLURM_STEP_NODELIST": "gpu[9-11],login",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "1(x4)",
    "SLURMD_NODENAME": "gpu11",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Nothing of a cluster in it, and what `find` adds is taken away."""
    monkeypatch.setenv("TF_CONFIG", "")
    for name in [name for name in os.environ if name.startswith("SLURM") or name == "TF_CONFIG"]:
        monkeypatch.delenv(name)


def in_step(monkeypatch, **changes):
    for name, value in {**STEP, **changes}.items():
        if value is not None:
            monkeypatch.setenv(name, value)


def test_a_step_of_slurm(monkeypatch):
    in_step(monkeypatch)
    found = cluster.find()
    # In the order of the nodes, which is that of the tasks: gpu9 before gpu10.
    hosts = ["gpu9", "gpu10", "gpu11", "login"]
    assert list(found.tasks.values()) == [f"{host}:23456" for host in hosts]
    assert found.own == ("worker", 2)
    assert found.num_workers == 4
    assert found.others() == {
        "worker 0": "gpu9:23456",
        "worker 1": "gpu10:23456",
        "worker 3": "login:23456",
    }
    # TensorFlow reads the same.
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    assert resolver.cluster_spec().as_dict() == {"worker": list(found.tasks.values())}
    assert (resolver.task_type, resolver.task_id) == ("worker", 2)


def test_tf_config_is_before_slurm(monkeypatch):
    in_step(monkeypatch)
    given = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(given))
    assert cluster.find().others() == {"worker 0": "a:1"}


def test_slurm_is_asked_only_where_several_workers_are_wanted(monkeypatch):
    in_step(monkeypatch)
    assert strategy.name_of(RuntimeConfig()) == "one_device"
    assert strategy.name_of(RuntimeConfig(strategy="multi_worker")) == "multi_worker"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SLURM_PROCID": None}, "srun must start every worker.*no SLURM_PROCID"),
        ({"SLURM_STEP_NODELIST": "gpu[9-"}, "must be lists of hosts.*set TF_CONFIG"),
        ({"SLURM_STEP_TASKS_PER_NODE": "one"}, "must be lists of hosts"),
        ({"SLURM_PROCID": "first"}, "and whole numbers"),
        ({"SLURM_STEP_TASKS_PER_NODE": "8(x4)"}, "one task per node.*--ntasks-per-node=1"),
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x3)"}, "must agree on the number of tasks"),
        ({"SLURM_STEP_NUM_TASKS": "5"}, "must agree on the number of tasks"),
        ({"SLURM_STEP_NODELIST": "gpu[9-11]"}, "must agree on the number of tasks"),
        ({"SLURM_PROCID": "4"}, "must agree on the number of tasks"),
        ({"SLURMD_NODENAME": "gpu9"}, "in the order of the nodes.*on gpu9; pass --distribution"),
    ],
)
def test_slurm_variables_that_do_not_fit_together(monkeypatch, changes, message):
    in_step(monkeypatch, **changes)
    with pytest.raises(UserError, match=message):
        cluster.find()
    assert "TF_CONFIG" not in os.environ


def test_neither():
    with pytest.raises(UserError, match="needs the environment variable TF_CONFIG.*no TF_CONFIG"):
        cluster.find()


def test_a_chief_is_first_and_an_evaluator_does_not_train(monkeypatch):
    given = {
        "cluster": {"worker": ["w:1"], "chief": ["c:1"], "evaluator": ["e:1"]},
        "task": {"type": "worker", "index": "0"},
    }
    monkeypatch.setenv("TF_CONFIG", json.dumps(given))
    found = cluster.find()
    assert list(found.tasks) == [("chief", 0), ("worker", 0)]
    assert found.others() == {"chief 0": "c:1"}

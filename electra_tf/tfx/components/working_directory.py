"""Where a component trains: a directory that outlives a killed execution, so the next continues.

TFX gives every execution new output directories and removes those of one that failed. So training
happens beside them, in a directory named after what is trained, and its result is copied:

    with working_directory("ElectraPretrainer", model.uri, {"config": …, "data": …}) as workdir:
        pretrain(config, workdir)
        publish(workdir, entries(config), model.uri)

An execution that is killed at any moment, or fails, leaves the working directory as it is; the
next one with the same component, inputs and config gets it again. It is gone when the block ends
well. Whoever changes config or inputs before that starts in another directory: the unfinished one
stays under `unfinished/` until someone removes it.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence

from electra_tf.config import JsonConfig

_BUCKET, _MOUNTED = "gs://", "/gcs/"


def local_path(uri: str) -> str:
    """The path of an artifact's uri on this machine.

    Training and checkpoints need a file system: Vertex AI mounts gs://BUCKET at /gcs/BUCKET.
    """
    return _MOUNTED + uri.removeprefix(_BUCKET) if uri.startswith(_BUCKET) else uri


@contextlib.contextmanager
def working_directory(
    component: str, output_uri: str, identity: Mapping[str, str]
) -> Iterator[str]:
    """Gives the directory in which an execution starts or continues, and removes it when done.

    Args:
        component: name of the component, which may share a folder with others on a cluster.
        output_uri: of one of its output artifacts. The directory is
            `unfinished/COMPONENT-FINGERPRINT` two levels above, beside the outputs of all
            executions.
        identity: everything that decides what is trained (a config's JSON, fingerprints or uris of
            the inputs); another value is another directory. See `what_is_trained`.

    Yields:
        Path of the directory, which exists: new, or with what a former execution left.
    """
    content = json.dumps(dict(identity), sort_keys=True)
    name = f"{component}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    node = os.path.dirname(os.path.dirname(os.path.abspath(local_path(output_uri))))
    folder = os.path.join(node, "unfinished")
    path = os.path.join(folder, name)
    done = path + ".done"
    shutil.rmtree(done, ignore_errors=True)  # of an execution that was killed while it tidied up
    os.makedirs(path, exist_ok=True)
    try:
        yield path
    except BaseException:
        with contextlib.suppress(OSError):
            os.rmdir(path)  # if nothing was written, there is nothing to continue
        raise
    os.rename(path, done)  # at once: half of a directory would not be one to continue in
    shutil.rmtree(done)
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def what_is_trained(config: JsonConfig) -> str:
    """A config for an identity: all of it but `runtime`, which may differ between machines."""
    fields = dataclasses.asdict(config)
    del fields["runtime"]
    return json.dumps(fields, sort_keys=True)


def publish(workdir: str, names: Sequence[str], output_uri: str) -> None:
    """Copies files and folders of a finished working directory into an output artifact.

    Until TFX has noted the artifact as complete nobody reads it, so a copy that is cut off does no
    harm: the working directory is still there.

    Args:
        workdir: what `working_directory` gave.
        names: of the files and folders in it.
        output_uri: of the artifact, whose directory TFX has made.
    """
    target = local_path(output_uri)
    os.makedirs(target, exist_ok=True)
    for name in names:
        source = os.path.join(workdir, name)
        copy = shutil.copytree if os.path.isdir(source) else shutil.copy2
        copy(source, os.path.join(target, name))

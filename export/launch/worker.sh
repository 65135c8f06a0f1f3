#!/bin/sh
# Runs a command as one worker of jobset.yaml: makes TF_CONFIG of the pod's completion index.
#
#   WORKERS=2 JOBSET_NAME=electra REPLICATED_JOB=workers JOB_COMPLETION_INDEX=0 \
#       sh worker.sh electra_tf pretrain …
#
# Pod I of the Job has the host name JOBSET_NAME-REPLICATED_JOB-0-I.JOBSET_NAME. WORKER_PORT is
# 2222 unless set.
set -eu

fail() {
    echo "error: $*" >&2
    exit 1
}

for name in WORKERS JOBSET_NAME REPLICATED_JOB JOB_COMPLETION_INDEX; do
    eval "value=\${$name:-}"
    [ -n "$value" ] || fail "$name must be set, as jobset.yaml does. Received: nothing"
done
for name in WORKERS JOB_COMPLETION_INDEX; do
    eval "value=\$$name"
    case $value in
    *[!0-9]*) fail "$name must be a whole number. Received: $value" ;;
    esac
done
[ "$JOB_COMPLETION_INDEX" -lt "$WORKERS" ] ||
    fail "JOB_COMPLETION_INDEX must be less than WORKERS, $WORKERS, which must be the Job's" \
        "completions. Received: $JOB_COMPLETION_INDEX"

workers=
index=0
while [ "$index" -lt "$WORKERS" ]; do
    host="$JOBSET_NAME-$REPLICATED_JOB-0-$index.$JOBSET_NAME"
    workers="$workers${workers:+, }\"$host:${WORKER_PORT:-2222}\""
    index=$((index + 1))
done
task="{\"type\": \"worker\", \"index\": $JOB_COMPLETION_INDEX}"
TF_CONFIG="{\"cluster\": {\"worker\": [$workers]}, \"task\": $task}"
export TF_CONFIG
exec "$@" # the command gets the pod's signals

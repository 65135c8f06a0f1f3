#!/bin/sh
# The one command on the GPU host, in the checkout's root:
#
#     sh tests/device/run.sh MEASURE_SECONDS TRAIN_SECONDS [flags of train.py]
#
# 0 leaves a part out. Everything ends within LIMIT seconds (default 565). MEASURE_FLAGS: flags for
# measure.py; PYTHON: the interpreter; DEVICE_KIT: what prepare.sh made, default .gpu. Results lie in $OUT.
set -u
begin=$(date +%s)
measure=${1:?seconds} train=${2:?seconds}
shift 2
here=$(cd "$(dirname "$0")" && pwd)
limit=${LIMIT:-565} python=${PYTHON:-python3}
export OUT="${OUT:-$PWD/runs/gpu/out}" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
mkdir -p "$OUT"
left() { echo $((limit - $(date +%s) + begin)); }
least() { if [ "$1" -lt "$2" ]; then echo "$1"; else echo "$2"; fi; }

site=$(mktemp -d)
"$python" "$here/site_packages.py" "${DEVICE_KIT:-.gpu}/wheels" "$site" || exit 1
export OWN_PYTHONPATH="${PYTHONPATH:-}"
export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
nvidia-smi --query-gpu=name,memory.total,driver_version,clocks.sm,clocks.max.sm --format=csv,noheader 2>/dev/null

if [ "$measure" -gt 0 ]; then
    # shellcheck disable=SC2086
    timeout -k 5 $((measure + 15)) "$python" "$here/measure.py" --seconds="$measure" ${MEASURE_FLAGS:-} "$@" \
        || echo "measure.py ended with $?; going on"
fi
status=0
if [ "$train" -gt 0 ]; then
    seconds=$(least "$train" $(($(left) - 3)))
    timeout -s TERM -k 10 "$seconds" "$python" "$here/train.py" --seconds="$((seconds - 2))" "$@"
    status=$?
    if [ $status -eq 1 ] && [ "$(left)" -gt 120 ] && ! ls "$OUT"/weights-*.npz >/dev/null 2>&1; then
        # Something in the compiler, perhaps: once more without its newer features.
        echo "train.py failed; once more, with careful settings"
        seconds=$(least "$train" $(($(left) - 3)))
        XLA_FLAGS="--xla_gpu_enable_command_buffer= --xla_gpu_enable_triton_gemm=false --xla_gpu_autotune_level=0 ${XLA_FLAGS:-}" \
            JAX_ENABLE_COMPILATION_CACHE=false \
            timeout -s TERM -k 10 "$seconds" "$python" "$here/train.py" --seconds="$((seconds - 2))" "$@"
        status=$?
    fi
fi
rm -rf "$site" "$OUT/staging"
ls -l "$OUT"
echo "$(left) s left of $limit"
exit $status

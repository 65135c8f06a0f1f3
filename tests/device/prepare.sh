#!/bin/sh
# Makes .gpu/, what the GPU host needs besides the checkout. Run it in the checkout's root,
# or `make device-kit CORPUS=...`:
#
#     sh tests/device/prepare.sh --corpus=FILES [--vocab=16384|FILE] [--length=128]
#                                [--packing=leftovers|documents|none] [--max_mib=58] [--kit=.gpu]
#                                [--wheels=yes|no]
#
# FILES as --input of `electra_tf build_dataset` takes them. The data set itself stays here, in
# runs/gpu/; what exists is kept.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
corpus= vocab=16384 packing=leftovers length=128 max_mib=58 kit=.gpu wheels=yes
for argument; do
    case $argument in
        --corpus=*) corpus=${argument#*=} ;;
        --vocab=*) vocab=${argument#*=} ;;
        --packing=*) packing=${argument#*=} ;;
        --length=*) length=${argument#*=} ;;
        --max_mib=*) max_mib=${argument#*=} ;;
        --kit=*) kit=${argument#*=} ;;
        --wheels=*) wheels=${argument#*=} ;;
        *) echo "error: unknown argument $argument; see the head of $0" >&2; exit 1 ;;
    esac
done
python=${PYTHON:-.venv/bin/python}
if [ ! -d electra_tf ] || [ ! -x "$python" ]; then
    echo "error: run this in the checkout's root, after \`make venv\`" >&2; exit 1
fi
if [ -z "$corpus" ]; then
    echo "error: --corpus=FILES is missing; see the head of $0" >&2; exit 1
fi
case $packing in
    leftovers) options= ;;
    documents) options=--packing=documents ;;
    none) options=--nokeep_leftovers ;;
    *) echo "error: --packing must be leftovers, documents or none. Received: $packing" >&2; exit 1 ;;
esac

# A data set is of one corpus: another one gets other files.
name=$(printf '%s' "$corpus" | cksum | cut -d' ' -f1)
mkdir -p runs/gpu "$kit"
case $vocab in
    *[!0-9]*) vocab_file=$vocab ;;
    *)  vocab_file=runs/gpu/vocab_${name}_$vocab.txt
        if [ ! -f "$vocab_file" ]; then
            echo "learning a vocabulary of $vocab tokens ..."
            "$python" -m electra_tf learn_vocab --input="$corpus" --vocab_size="$vocab" \
                --output="$vocab_file"
        fi ;;
esac
data=runs/gpu/data_${name}_$(basename "$vocab_file" .txt | sed 's/.*_//')_${packing}_$length
if [ ! -f "$data/dataset.json" ]; then
    echo "building $data ..."
    # shellcheck disable=SC2086
    "$python" -m electra_tf build_dataset --input="$corpus" --vocab="$vocab_file" \
        --output_dir="$data" --seq_length="$length" $options
fi

# What keras needs besides JAX, in this project's own versions, for the machine's Python.
target=${DEVICE_PYTHON:-3.12}
wanted="$target $(grep -E '^(keras|ml-collections|namex|optree)==' requirements/jax.txt | tr '\n' ' ')"
if [ "$wheels" = yes ] && [ "$(cat "$kit/wheels/wanted" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$kit/wheels" "$kit/wheels.tmp"
    echo "downloading ${wanted#* }for Python $target ..."
    # shellcheck disable=SC2086
    "$python" -m pip --disable-pip-version-check -q download --no-deps --only-binary=:all: \
        --python-version "$target" --implementation cp --platform manylinux_2_28_x86_64 \
        --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 \
        --platform manylinux2014_x86_64 -d "$kit/wheels.tmp" ${wanted#* }
    echo "$wanted" > "$kit/wheels.tmp/wanted"
    mv "$kit/wheels.tmp" "$kit/wheels"
fi

cp -f "$vocab_file" "$kit/vocab.txt"
if [ "$(cat "$kit/data.of" 2>/dev/null)" != "$data $max_mib" ] || [ ! -f "$kit/data.zip" ]; then
    echo "packing $data ..."
    rm -f "$kit/data.of"
    others=$(du -sb --exclude=data.zip "$kit" | cut -f1)
    TF_CPP_MIN_LOG_LEVEL=3 "$python" "$here/pack.py" --data_dir="$data" --heldout="$data.heldout" \
        --output="$kit/data.zip" --max_mib="$(awk "BEGIN { print $max_mib - $others / 1048576 }")"
    echo "$data $max_mib" > "$kit/data.of"
fi
echo "$kit: $(du -sh "$kit" | cut -f1). Held-out examples for electra_tf evaluate: --data_dir=$data.heldout"
echo "On the GPU host, in a copy of the checkout with $kit in it: see tests/device/README.md"

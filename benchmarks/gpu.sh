#!/bin/sh
# Measure training steps on a GPU, in a few minutes: sh benchmarks/gpu.sh FOLDER
#
# Needs python3 (or $PYTHON) with torch for CUDA and what tauscope imports, nothing installed and no network. FOLDER gets
# gpu.csv and gpu.txt.
set -eu
if [ $# -ne 1 ]; then
    echo "usage: sh benchmarks/gpu.sh FOLDER" >&2
    exit 2
fi
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
export PYTHONPATH="src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
# A pipe would hide the exit status. Interrupted, it prints what it has.
status=0
timeout -s INT -k 15 570 "${PYTHON:-python3}" -m benchmarks --device cuda --rounds 7 --csv "$folder/gpu.csv" \
    >"$folder/gpu.txt" 2>&1 || status=$?
cat "$folder/gpu.txt"
exit $status

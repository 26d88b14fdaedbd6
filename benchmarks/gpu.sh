#!/usr/bin/env bash
# All that needs a GPU, in one go of under six minutes, on a machine that reaches no package registry:
#
#     benchmarks/gpu.sh [--wheels FOLDER] [--deeplabcut FOLDER] [OPTION ...]
#
# Everything in FOLDER is installed beside the packages that the machine has (torch with CUDA among them) into an
# environment that is deleted afterwards; without --wheels the environment of this checkout is used, or $PYTHON. Wheels
# of the core and all plugins: 'make wheels', then 'pip download' what else the machine lacks. The wheels of DeepLabCut
# ('pip download deeplabcut==3.0.2', without torch) go into an environment of their own, since it needs other versions;
# without --deeplabcut that of 'make parity' is used, where there is one. All other options are those of
# benchmarks/gpu.py: --small tries everything out on a CPU.
set -euo pipefail
cd "$(dirname "$0")/.."

wheels= deeplabcut=
while [ "${1:-}" = --wheels ] || [ "${1:-}" = --deeplabcut ]; do
    [ -n "${2:-}" ] || { echo "$1 needs a folder" >&2; exit 2; }
    ls "$2"/*.whl > /dev/null 2>&1 || { echo "$2: holds no wheels" >&2; exit 2; }
    [ "$1" = --wheels ] && wheels=$2 || deeplabcut=$2
    shift 2
done

python=${PYTHON:-.venv/bin/python}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# No dependencies: what is not among the wheels must be on the machine, and pip could not fetch it.
install_wheels() {
    "${PYTHON:-python3}" -m venv --system-site-packages "$folder/$1"
    "$folder/$1/bin/python" -m pip install --quiet --no-index --no-deps "$2"/*.whl
}
if [ -n "$wheels" ]; then
    install_wheels environment "$wheels"
    python=$folder/environment/bin/python
fi
if [ -n "$deeplabcut" ]; then
    install_wheels original "$deeplabcut"
    set -- --oracle "$folder/original/bin/python parity/speed_oracle.py" "$@"
fi

# Nothing new is begun after 330 seconds; a check that never ends must not hold the machine.
timeout --kill-after=10 "${GPU_SECONDS:-355}" "$python" benchmarks/gpu.py "$@"

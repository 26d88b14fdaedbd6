#!/usr/bin/env bash
# All that needs a GPU, in one go of under six minutes, on a machine that reaches no package registry:
#
#     benchmarks/gpu.sh [--wheels FOLDER] [OPTION ...]
#
# Everything in FOLDER is installed beside the packages that the machine has (torch with CUDA among them) into an
# environment that is deleted afterwards; without --wheels the environment of this checkout is used, or $PYTHON. Wheels
# of the core and all plugins: 'make wheels', then 'pip download' what else the machine lacks. All other options are
# those of benchmarks/gpu.py: --small tries everything out on a CPU.
set -euo pipefail
cd "$(dirname "$0")/.."

wheels=
if [ "${1:-}" = --wheels ]; then
    wheels=${2:?--wheels needs a folder}
    shift 2
fi

python=${PYTHON:-.venv/bin/python}
if [ -n "$wheels" ]; then
    ls "$wheels"/*.whl > /dev/null || { echo "$wheels: holds no wheels" >&2; exit 2; }
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    "${PYTHON:-python3}" -m venv --system-site-packages "$folder/environment"
    python=$folder/environment/bin/python
    # No dependencies: what is not among the wheels must be on the machine, and pip could not fetch it.
    "$python" -m pip install --quiet --no-index --no-deps "$wheels"/*.whl
fi

# Nothing new is begun after 330 seconds; a check that never ends must not hold the machine.
timeout --kill-after=10 "${GPU_SECONDS:-355}" "$python" benchmarks/gpu.py "$@"

#!/usr/bin/env bash
# Makes .venv from requirements.lock. PYTHON names an interpreter; otherwise 3.11 is preferred and anything newer is fine.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/apt.sh

# One at a time, and only once: whoever waited finds the work done.
exec 9<.
flock 9
newer_than() { for source in "${@:2}"; do [ "$1" -nt "$source" ] || return 1; done; }
if newer_than .venv/.locked requirements.lock tools/venv.sh tools/apt.sh && .venv/bin/python -c '' 2>/dev/null; then
    exit 0
fi

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

if ! python=$(find_python); then
    if [ -n "${PYTHON:-}" ]; then
        echo "PYTHON=$PYTHON is not Python 3.11 or newer." >&2
        exit 1
    fi
    apt_install "Python 3.11 or newer with venv" python3 python3-venv
    python=$(find_python) || { echo "This system's python3 is older than 3.11; set PYTHON to a newer one." >&2; exit 1; }
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    apt_install "the venv module of $python" "python$version-venv"
fi

echo "Making .venv with $("$python" --version) from requirements.lock" >&2
"$python" -m venv --clear .venv
.venv/bin/python -m pip --quiet --disable-pip-version-check --no-input install \
    --require-hashes --only-binary :all: -r requirements.lock
# Python 3.11 puts an unlocked setuptools into every new environment, and that slows each start.
.venv/bin/python -m pip --quiet --disable-pip-version-check uninstall --yes setuptools 2>/dev/null
touch .venv/.locked

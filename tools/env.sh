#!/usr/bin/env bash
# Makes .venv from the locks. Finds a Python of 3.11 or later; on Debian as root it installs the
# venv module when that is missing. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}

die() {
    printf 'make env: %s\n' "$1" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local name
    for name in ${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3; do
        if new_enough "$name"; then
            echo "$name"
            return
        fi
    done
    die "no Python 3.11 or later found; install python3 (Debian 12 has 3.11) or say PYTHON=/path/to/python3"
}

need_venv_module() {
    local python=$1
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
    local wanted="$python-venv"
    [[ $python == python3* ]] || wanted=python3-venv
    if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
        echo "make env: installing $wanted"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "$wanted" >/dev/null
    else
        die "$python has no venv module; as root: apt-get install $wanted"
    fi
}

if [[ ! -x $venv/bin/python ]] || ! new_enough "$venv/bin/python"; then
    python=$(find_python)
    need_venv_module "$python"
    "$python" -m venv --clear "$venv"
fi

install() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

echo "make env: installing the locked packages into $venv"
install --require-hashes -r requirements.lock -r requirements-dev.lock
install --no-deps --no-build-isolation --editable .
touch "$venv/.installed"

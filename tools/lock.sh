#!/usr/bin/env bash
# Writes requirements.lock and requirements-dev.lock: exact versions with the hashes of every
# file of that version. Nothing about the machine that made them gets in: no index, no path.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${VENV:-.venv}/bin/python" -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet pip-tools

compile() { # OUT SOURCE
    local out=$1
    shift
    "$scratch/venv/bin/pip-compile" --quiet --upgrade --generate-hashes --allow-unsafe \
        --strip-extras --no-header --no-annotate --no-emit-options \
        --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
        --output-file "$scratch/$out" "$@"
    {
        echo "# Written by make lock. Do not edit."
        # Constraint lines repeat what is already installed from requirements.lock.
        grep -v '^-c ' "$scratch/$out"
    } >"$out"
    echo "$out: $(grep -c == "$out") packages"
}

compile requirements.lock pyproject.toml
compile requirements-dev.lock requirements-dev.in

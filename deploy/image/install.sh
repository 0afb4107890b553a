#!/bin/sh
# Install pixmill from a checkout into a virtual environment of its own, as the Dockerfile does it.
#
#   install.sh CHECKOUT VENV
#
# EXTRAS       optional parts of pixmill, separated by commas; default: postgres,s3,server
# TORCH_INDEX  package index that torch alone comes from, such as https://download.pytorch.org/whl/cpu;
#              default: the index that pip uses for everything, whose torch brings the CUDA libraries
#
# Versions are those of constraints.txt, with which pixmill is tested. Nothing stays but the environment: neither a
# cache nor pip itself, which nothing at run time needs.
set -eu

checkout=$1
venv=$2
pip() { python3 -m pip --python "$venv/bin/python" --disable-pip-version-check "$@"; }

python3 -m venv --without-pip "$venv"
if [ -n "${TORCH_INDEX:-}" ]; then
    # Alone and without its dependencies: no other name shall ever be looked for in that index.
    pip install --no-cache-dir --no-deps --index-url "$TORCH_INDEX" "$(grep '^torch==' "$checkout/constraints.txt")"
fi
pip install --no-cache-dir --constraint "$checkout/constraints.txt" \
    "pixmill[${EXTRAS:-postgres,s3,server}] @ file://$(cd "$checkout" && pwd)"

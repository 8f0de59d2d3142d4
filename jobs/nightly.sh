#!/bin/sh
# The nightly run. Exit codes are those of `batchscore run`; see README.md.
# BATCHSCORE is the command, for example /srv/ranking/.venv/bin/batchscore.
set -eu
cd "$(dirname "$0")"
exec "${BATCHSCORE:-batchscore}" run --config "${1:-run.toml}"

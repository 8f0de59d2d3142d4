#!/bin/sh
# The weekly training. Exit codes are those of `batchscore train`; see README.md.
# BATCHSCORE is the command, for example /srv/ranking/.venv/bin/batchscore.
set -eu
cd "$(dirname "$0")"
exec "${BATCHSCORE:-batchscore}" train --config "${1:-train.toml}"

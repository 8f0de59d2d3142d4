"""`python -m batchscore` is the command `batchscore`."""

from __future__ import annotations

from batchscore.cli import main

if __name__ == "__main__":
    main()

"""`python -m batchscore.reports` draws the page of a training: JSON on stdin, HTML on stdout."""

from __future__ import annotations

import sys

from batchscore.reports.training_page import TrainingPage, render_page

if __name__ == "__main__":
    sys.stdout.buffer.write(render_page(TrainingPage.from_json(sys.stdin.buffer.read())).encode())

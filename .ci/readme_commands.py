"""Print the two commands of the README: the shell lines of its first two ```sh blocks."""  # noqa: INP001 - a script

from __future__ import annotations

import re
import sys
from pathlib import Path

blocks = re.findall(r"^```sh\n(.*?)^```$", Path(sys.argv[1]).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
sys.stdout.write("".join(blocks[:2]))

"""`keyturn migrate` that is killed at its Nth step: `python -m tests.faults.mover N URL`.

A step is the beginning or the end of a function of the move. With N = 0 nothing is killed, and
the names of all steps are written to the end of the output.
"""

import os
import signal
import sys
from types import FrameType
from typing import Any

from keyturn.cli import main

MODULES = (
    "keyturn.cli.moving",
    "keyturn.storage.moving",
    "keyturn.storage.original",
    "keyturn.actions.guard_move",
)
MARK = "step "


def _run(last: int, url: str) -> None:
    steps: list[str] = []

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event not in ("call", "return") or frame.f_globals.get("__name__") not in MODULES:
            return
        step = f"{event} {frame.f_code.co_qualname}"
        steps.append(step)
        if len(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(note)
    try:
        main(["migrate", "--to", url], standalone_mode=False)
    finally:
        sys.setprofile(None)
        print("\n".join(MARK + step for step in steps))


if __name__ == "__main__":
    _run(int(sys.argv[1]), sys.argv[2])

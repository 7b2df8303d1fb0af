"""Shows what a program finds around itself, and ends as it is told."""

import json
import logging
import multiprocessing
import os
import resource
import signal
import sys
import threading
from pathlib import Path

LIMITS = {getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}


def surroundings() -> dict[str, object]:
    """All that a program can have from whoever started it."""
    return {
        "arguments": sys.argv,
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "search path": sys.path,
        "main": [__name__, __spec__.name],
        "files": sorted(file.name for file in Path("/proc/self/fd").iterdir()),
        "input": str(Path("/proc/self/fd/0").readlink()),
        "output": [file.line_buffering for file in (sys.stdout, sys.stderr)],
        "session of its own": os.getsid(0) == os.getpgid(0) == os.getpid(),
        "signals": {int(sign): str(signal.getsignal(sign)) for sign in signal.valid_signals()},
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "limits": [resource.getrlimit(number) for number in LIMITS],
        "processors": sorted(os.sched_getaffinity(0)),
        "umask": os.umask(0),
        "threads": threading.active_count(),
        "loggers": [logging.root.level, str(logging.root.handlers)],
        "parent": str(multiprocessing.parent_process()),
    }


if __name__ == "__main__":
    print(json.dumps(surroundings()), flush=True)
    if sys.argv[1] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[1] == "wait":
        signal.pause()
    if sys.argv[1] == "fail":
        raise RuntimeError("as it was told")
    sys.exit(int(sys.argv[1]))

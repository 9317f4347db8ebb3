"""Runs a command: `python process.py COMMAND...` prints its time, peak memory and output as JSON.

This is a small process of its own, because a child's peak memory includes the memory of its parent
at the fork.
"""

import json
import os
import sys
import time


def run(command):
    """The seconds from start to end, the peak of resident memory, the exit code and the output."""
    read, write = os.pipe()
    begin = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1)
        os.dup2(write, 2)
        os.close(read)
        os.close(write)
        try:
            os.execvp(command[0], command)
        finally:
            os._exit(127)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        output = file.read()
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - begin
    return {
        "seconds": seconds,
        "peak_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "code": os.waitstatus_to_exitcode(status),
        "output": output.decode(errors="replace"),
    }


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1:])))

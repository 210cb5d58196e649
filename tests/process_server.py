"""Calls functions of test modules in several processes at once, without torchrun's seconds.

Reads a JSON object a line (size, file, function, arguments, folder, seconds) and answers with the
exit codes. Each process is a fork of this one, taken before anything was computed, with the
environment that torchrun gives; what its function returns lies in the folder as ``RANK.json``.
"""

import json
import os
import runpy
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import pytest  # noqa: F401  # this and the following for the forks
import torchvision.transforms.v2  # noqa: F401

import fdmo_core.engine  # noqa: F401
from fdmo_cli.main import main  # noqa: F401
from fdmo_core.plugin_loading import load_plugins  # noqa: F401


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def become(rank: int, job: dict[str, Any], port: int) -> None:
    """Give this process its rank and streams of its own."""
    environment = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": job["size"]}
    os.environ |= {name: str(value) for name, value in environment.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    for descriptor, kind in ((0, "in"), (1, "out"), (2, "err")):
        path = Path(job["folder"], f"{rank}.{kind}")
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), descriptor)


def exit_code(rank: int, job: dict[str, Any]) -> int:
    """Call the function, keep what it returns, and give the code with which Python would leave."""
    try:
        found = runpy.run_path(job["file"])[job["function"]](*job["arguments"])
        Path(job["folder"], f"{rank}.json").write_text(json.dumps(found))
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
            return 1
        return leaving.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def start(rank: int, job: dict[str, Any], port: int) -> int:
    """Return the id of a new process that does the job as the given rank."""
    child = os.fork()
    if child == 0:
        become(rank, job, port)
        code = exit_code(rank, job)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return child


def wait(children: list[int], seconds: float) -> list[int]:
    """Return the exit codes of processes; kill those that take longer."""
    deadline, codes = time.monotonic() + seconds, dict[int, int]()
    while len(codes) < len(children):
        for child in (one for one in children if one not in codes):
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                codes[child] = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    return [codes[child] for child in children]


def serve() -> None:
    """Do each job and answer with the exit codes, until there are no more."""
    for line in sys.stdin:
        job = json.loads(line)
        port = free_port()
        children = [start(rank, job, port) for rank in range(job["size"])]
        print(json.dumps(wait(children, job["seconds"])), flush=True)


if __name__ == "__main__":
    serve()

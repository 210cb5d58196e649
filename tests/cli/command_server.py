"""Runs fdmo commands, each in a process of its own that need not import torch once more.

Reads a JSON object a line (argv, cwd, out, err) and answers with the exit code. A command is a
fork of this process, taken before anything was computed: it differs from a fresh process in the
modules that it finds imported, and in leaving without the seconds in which torch is unloaded.
"""

import json
import os
import sys
import traceback

import onnxscript  # noqa: F401  # this and the following for the forks
import torchvision.transforms.v2  # noqa: F401

import fdmo_export.write  # noqa: F401
from fdmo_cli.main import main


def redirect(job: dict[str, str]) -> None:
    """Give this process the folder, the arguments and the streams of a job."""
    os.chdir(job["cwd"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, path in ((1, job["out"]), (2, job["err"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = ["fdmo", *job["argv"]]


def exit_code() -> int:
    """Run the command and return the code with which Python would leave."""
    try:
        main()
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
            return 1
        return leaving.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def serve() -> None:
    """Fork for each job and answer with its exit code, until there are no more."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            redirect(json.loads(line))
            code = exit_code()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()

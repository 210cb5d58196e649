"""The ``fdmo`` command: reads arguments, calls the engine, prints results and errors.

Commands import the engine inside the function, so that ``fdmo --help`` need not wait for torch.
"""

import sys

import typer

from fdmo_cli import (
    bench,
    compare,
    config,
    data,
    diagnose,
    dictionary,
    doctor,
    evaluate,
    export,
    features,
    predict,
    reproduce,
    reproduce_run,
    runs,
    train,
    verify,
)
from fdmo_cli.plugins.app import app as plugins_app
from fdmo_cli.plugins.choice import choose_plugins, to_the_front

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train image classifiers on long-tailed data, and export them to ONNX.",
)
app.callback()(choose_plugins)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.add_typer(export.app, name="export", help="Write a trained run for other applications.")
app.command("verify")(verify.verify)
app.add_typer(data.app, name="data", help="Check images before training; draw look-alikes.")
app.add_typer(features.app, name="features", help="Write the features of images as a file.")
app.command("diagnose")(diagnose.diagnose)
app.add_typer(dictionary.app, name="dictionary", help="Show what artificial features are made of.")
app.command("compare")(compare.compare)
app.command("reproduce")(reproduce.reproduce)
app.command("reproduce-run")(reproduce_run.reproduce_run)
app.add_typer(runs.app, name="runs", help="List, show, verify and remove run folders.")
app.add_typer(plugins_app, name="plugins", help="Show, check and write plugins.")
app.command("doctor")(doctor.doctor)
app.add_typer(bench.app, name="bench", help="Measure how fast exported files answer.")
app.add_typer(config.app, name="config", help="Show configurations and their JSON schema.")


def main() -> None:
    """Run the command; an expected error becomes one message on stderr and exit code 1.

    A run that was asked to stop ends with 128 more than the signal's number, as shells count.
    """
    try:
        app(to_the_front(sys.argv[1:]))
    except SystemExit:
        raise
    except BaseException as error:
        from fdmo_core.errors import FdmoError
        from fdmo_core.stopping import Interrupted

        if isinstance(error, Interrupted):
            print(error, file=sys.stderr)
            sys.exit(128 + error.signal)
        if not isinstance(error, FdmoError):
            raise
        from fdmo_cli.printable import printable

        lines = f"Error: {error}".split("\n")  # its lines are fdmo's, what is in them may not be
        sys.exit("\n".join(map(printable, lines)))

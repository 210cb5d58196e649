"""``fdmo predict`` in processes of its own."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from fdmo_export import OnnxClassifier

Command = Callable[..., subprocess.CompletedProcess[str]]
Fresh = Callable[..., subprocess.CompletedProcess[bytes]]

FRESH = """
import sys
from fdmo_cli.main import main

sys.argv = ["fdmo", *sys.argv[1:]]
try:
    main()
finally:
    unwanted = {"torch", "fdmo_plugins"} & set(sys.modules)
    if unwanted:
        print("imported", unwanted, file=sys.stderr)
"""


@pytest.fixture
def images(make_images: Callable[..., Path]) -> Path:
    """Seven images in two folders, and a file that is none."""
    folder = make_images(green=4, red=3)
    (folder / "red" / "0.png").write_text("no image")
    return folder


@pytest.fixture
def fresh() -> Fresh:
    """A function that runs ``fdmo`` in a fresh process, with bytes in and out."""

    def run(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-c", FRESH, *map(str, arguments)]
        return subprocess.run(command, input=stdin, capture_output=True, check=False)

    return run


def answers(text: str) -> list[Mapping[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_person_gets_a_line_a_file_and_the_bad_ones_at_the_end(
    fdmo: Command, onnx_file: Path, images: Path
) -> None:
    result = fdmo("predict", onnx_file, images)

    assert result.returncode == 3
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    good = [images / "green" / f"{number}.jpg" for number in range(4)]
    good += [images / "red" / f"{number}.jpg" for number in range(3)]
    assert [line[0] for line in lines] == list(map(str, good))
    for line, answer in zip(lines, OnnxClassifier(onnx_file).predict(good), strict=True):
        assert line[1] == answer.class_name
        assert float(line[2]) == pytest.approx(answer.probability, abs=0.02)
    assert result.stderr.splitlines() == [
        "1 file(s) could not be classified:",
        f"  Image '{images}/red/0.png' is no image of a known kind. Expected one of BMP, GIF, "
        f"JPEG, PNG, PPM, TIFF, WEBP. Convert, replace or delete the file.",
    ]


def test_good_files_alone_are_exit_code_0_and_nothing_on_stderr(
    fdmo: Command, onnx_file: Path, images: Path
) -> None:
    result = fdmo("predict", onnx_file, images / "green", "--json", "--top", 3, "--batch", 2)

    assert (result.returncode, result.stderr) == (0, "")
    found = answers(result.stdout)
    assert [one["file"] for one in found] == [f"{images}/green/{number}.jpg" for number in range(4)]
    assert all(isinstance(one["top"], list) and len(one["top"]) == 3 for one in found)


def test_csv_has_a_header_and_a_row_a_file(fdmo: Command, onnx_file: Path, images: Path) -> None:
    result = fdmo("predict", onnx_file, images / "green", "--csv", "--top", 2)

    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [row["file"] for row in rows] == [f"{images}/green/{number}.jpg" for number in range(4)]
    assert all(float(row["probability"]) >= float(row["probability_2"]) for row in rows)


def test_a_fresh_process_imports_neither_torch_nor_plugins(
    fresh: Fresh, onnx_file: Path, images: Path
) -> None:
    result = fresh("predict", onnx_file, images / "green")

    assert (result.returncode, result.stderr) == (0, b"")


def test_names_come_from_stdin_and_keep_their_bytes(
    fresh: Fresh, onnx_file: Path, images: Path
) -> None:
    odd = images / os.fsdecode(b"\xff\xfe.jpg")
    (images / "green" / "0.jpg").rename(odd)
    names = b"".join(os.fsencode(one) + b"\n" for one in (odd, images / "green" / "1.jpg"))

    as_csv = fresh("predict", onnx_file, "-", "--csv", stdin=names)
    as_json = fresh("predict", onnx_file, "-", "--json", stdin=names)

    assert as_csv.returncode == as_json.returncode == 0
    assert as_csv.stdout.splitlines()[1].startswith(b'"' + os.fsencode(odd) + b'",')
    assert json.loads(as_json.stdout.splitlines()[0])["file"] == str(odd)


@pytest.mark.parametrize("format", ["--json", "--csv"])
def test_a_later_run_adds_what_the_output_lacks(
    fdmo: Command, onnx_file: Path, images: Path, tmp_path: Path, format: str
) -> None:
    out = tmp_path / "answers"
    first = fdmo("predict", onnx_file, images / "green", format, "--out", out)
    begun = out.read_bytes()
    whole = fdmo("predict", onnx_file, images / "green", images / "red" / "1.jpg", format)

    out.write_bytes(begun[:-4])
    again = fdmo(
        "predict", onnx_file, images / "green", images / "red" / "1.jpg", format, "--out", out
    )

    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    assert (again.returncode, again.stdout) == (0, "")
    assert again.stderr == f"{out} keeps 3 answer(s), without a last line that was cut.\n"
    names = [line.partition('"model"')[0] for line in whole.stdout.splitlines()]
    assert [line.partition('"model"')[0] for line in out.read_text().splitlines()] == names


def test_an_output_of_other_dials_is_an_error_and_stays(
    fdmo: Command, onnx_file: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "answers"
    fdmo("predict", onnx_file, images / "green", "--json", "--out", out)
    before = out.read_bytes()

    result = fdmo(
        *("predict", onnx_file, images / "green", "--json", "--out", out),
        *("--target-prior", "training"),
    )

    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: {out} holds something else than this run would write")
    assert out.read_bytes() == before


def test_the_dials_reach_the_file(
    fdmo: Command, onnx_file: Path, images: Path, tmp_path: Path
) -> None:
    classifier = OnnxClassifier(onnx_file)
    names = classifier.class_names
    prior = {name: (0.89 if at == 2 else 0.01) for at, name in enumerate(names)}
    (tmp_path / "prior.json").write_text(json.dumps(prior))

    result = fdmo(
        *("predict", onnx_file, images / "green" / "0.jpg", "--json"),
        *("--target-prior", tmp_path / "prior.json", "--tau", 2),
    )

    (found,) = answers(result.stdout)
    (expected,) = classifier.predict(images / "green" / "0.jpg", target_prior=prior, tau=2)
    assert found["class"] == expected.class_name
    assert found["probability"] == pytest.approx(expected.probability, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--top", 0), "--top is 0. Expected at least 1. Give a positive number."),
        (("--batch", -1), "--batch is -1. Expected at least 1. Give a positive number."),
        (("--max-pixels", 0), "--max-pixels is 0. Expected at least 1. Give a positive number."),
        (
            ("--json", "--csv"),
            "--json and --csv are both given. Expected one of them. Choose one.",
        ),
        (
            ("--out", "answers"),
            "--out is given without a format. Expected --json or --csv. Add one of them.",
        ),
        (("--tau", "nan"), "tau is nan. Expected a number from -1000 to 1000: 0"),
        (
            ("--target-prior", "natural"),
            "--target-prior natural cannot be read ([Errno 2] No such file or directory: "
            "'natural'). Expected 'balanced', 'training' or a JSON file",
        ),
        (("--provider", "gpu"), "provider is 'gpu'. Expected one of auto, cpu, cuda, tensorrt."),
    ],
)
def test_wrong_options_are_an_error(
    fdmo: Command, onnx_file: Path, images: Path, arguments: tuple[object, ...], message: str
) -> None:
    result = fdmo("predict", onnx_file, images, *arguments)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {message}")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_provider_that_cannot_start_is_exit_code_1_or_told_where_the_cpu_is_allowed(
    fdmo: Command, onnx_file: Path, images: Path
) -> None:
    refused = fdmo("predict", onnx_file, images / "green", "--provider", "cuda")
    allowed = fdmo("predict", onnx_file, images / "green", "--provider", "cuda", "--allow-cpu")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Error: Provider 'cuda' is not active: ")
    assert allowed.returncode == 0
    assert len(allowed.stdout.splitlines()) == 4
    assert allowed.stderr.startswith("Provider 'cpu' is used; cuda: ")
    assert allowed.stderr.count("\n") == 1


def test_a_model_that_is_not_there_is_exit_code_1(fdmo: Command, images: Path) -> None:
    result = fdmo("predict", "model.onnx", images)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: model.onnx is not there. ")


def test_a_folder_without_images_is_an_error(
    fdmo: Command, onnx_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()

    result = fdmo("predict", onnx_file, tmp_path / "empty", "--csv", "--out", tmp_path / "answers")

    assert result.returncode == 1
    assert not (tmp_path / "answers").exists()
    assert result.stderr == (
        f"Error: There is no image in {tmp_path}/empty. Expected image files, or folders of them. "
        f"Correct the paths.\n"
    )


def test_a_file_that_is_not_there_is_a_bad_file(
    fdmo: Command, onnx_file: Path, images: Path
) -> None:
    result = fdmo("predict", onnx_file, "nowhere.jpg", images / "green" / "0.jpg", "--json")

    assert result.returncode == 3
    assert len(answers(result.stdout)) == 1
    assert "Image 'nowhere.jpg' cannot be opened (No such file or directory)." in result.stderr


def test_an_image_of_too_many_pixels_is_a_bad_file(
    fdmo: Command, onnx_file: Path, images: Path
) -> None:
    result = fdmo("predict", onnx_file, images / "green" / "0.jpg", "--max-pixels", 479)

    assert result.returncode == 3
    assert "has 24 x 20 pixels. Expected at most 479 (max_pixels)." in result.stderr


def test_a_reader_that_leaves_gets_no_complaint(
    onnx_file: Path, make_images: Callable[..., Path]
) -> None:
    folder = make_images(green=40)
    command = [sys.executable, "-c", FRESH, "predict", str(onnx_file), str(folder), "--batch", "1"]

    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()

    assert process.stderr.read() == b""
    assert process.wait() == 0
    process.stderr.close()

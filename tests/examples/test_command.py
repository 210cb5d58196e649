"""The command, in Python and in Node: answers as onnxruntime's, and refusals that say why."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from fdmo_core.samples import Splits
from fdmo_export.contract import DIGEST_KEY, GOLDEN_KEY, METADATA_KEY
from fdmo_export.seal import sealed_bytes

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "python-numpy" / "classify.py"
CLOSE = 2e-3  # in a batch, a pixel may be rounded to the other side

Command = Callable[..., "subprocess.CompletedProcess[str]"]
RightAnswers = Callable[..., dict[str, NDArray[np.float32]]]


@pytest.fixture(params=["python", "node"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def command(language: str, request: pytest.FixtureRequest) -> Command:
    run: Command = request.getfixturevalue(f"run_{language}")
    script = SCRIPT if language == "python" else "classify.mjs"
    return lambda *words: run(script, *words)


@pytest.fixture
def pixels(tiny_splits: Splits) -> list[NDArray[np.uint8]]:
    """Pictures of several sizes, a photograph among them."""
    datasets = pytest.importorskip("sklearn.datasets")
    photograph = datasets.load_sample_image("flower.jpg")[::3, ::2]
    return [tiny_splits.test[row].image for row in (0, 5, 9, 14)] + [photograph]


@pytest.fixture
def pictures(language: str, pixels: list[NDArray[np.uint8]], tmp_path: Path) -> list[Path]:
    """Their files, which hold them without loss."""
    suffix = {"python": "ppm", "node": "png"}[language]
    paths = [tmp_path / f"{row}.{suffix}" for row in range(len(pixels))]
    for path, one in zip(paths, pixels, strict=True):
        Image.fromarray(one).save(path)
    return paths


@pytest.fixture
def class_names(onnx_file: Path) -> list[str]:
    names: list[str] = json.loads(metadata(onnx.load(onnx_file))[METADATA_KEY].value)["class_names"]
    return names


def metadata(model: onnx.ModelProto) -> dict[str, onnx.StringStringEntryProto]:
    return {entry.key: entry for entry in model.metadata_props}


def printed(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def probabilities(answers: list[dict[str, Any]], class_names: list[str]) -> NDArray[np.float64]:
    return np.array([[one["probabilities"][name] for name in class_names] for one in answers])


def test_pictures_of_several_sizes_in_one_batch_get_the_answers_that_they_get_alone(
    command: Command,
    onnx_file: Path,
    pictures: list[Path],
    pixels: list[NDArray[np.uint8]],
    class_names: list[str],
    right_answers: RightAnswers,
) -> None:
    expected = right_answers(pixels)

    found = printed(command(onnx_file, *pictures, "--json"))

    assert len({one.shape for one in pixels}) > 2
    assert [one["file"] for one in found] == [str(path) for path in pictures]
    assert probabilities(found, class_names) == pytest.approx(expected["probabilities"], abs=CLOSE)
    best = expected["probabilities"].argmax(axis=1)
    assert [one["class"] for one in found] == [class_names[label] for label in best]


def test_a_box_ends_where_its_picture_ends(
    command: Command,
    onnx_file: Path,
    pictures: list[Path],
    pixels: list[NDArray[np.uint8]],
    class_names: list[str],
    right_answers: RightAnswers,
) -> None:
    expected = right_answers(pixels, box=[[5, 9, 200, 100]])["probabilities"]

    found = printed(command(onnx_file, *pictures, "--json", "--box", "5,9,200,100"))

    assert probabilities(found, class_names) == pytest.approx(expected, abs=CLOSE)
    assert min(one.shape[1] for one in pixels) < 200 < max(one.shape[1] for one in pixels)


@pytest.mark.parametrize("box", ["9,9,9,20", "5000,0,6000,9", "20,20,9,9"])
def test_a_box_without_area_is_refused(
    command: Command, onnx_file: Path, pictures: list[Path], box: str
) -> None:
    done = command(onnx_file, pictures[0], "--box", box)

    assert (done.returncode, done.stdout) == (2, "")
    assert "A box has no area inside its image of" in done.stderr


def test_landmarks_are_named_and_in_pixels_of_the_picture(
    command: Command,
    onnx_file: Path,
    pictures: list[Path],
    pixels: list[NDArray[np.uint8]],
    right_answers: RightAnswers,
) -> None:
    names = json.loads(metadata(onnx.load(onnx_file))[METADATA_KEY].value)["landmark_names"]
    expected = right_answers(pixels)

    found = [one["landmarks"] for one in printed(command(onnx_file, *pictures, "--json"))]

    assert [[point["name"] for point in row] for row in found] == [names] * len(pictures)
    places = np.array([[[point["x"], point["y"]] for point in row] for row in found])
    assert places == pytest.approx(expected["landmarks"], abs=1e-3)
    visibility = np.array([[point["visibility"] for point in row] for row in found])
    assert visibility == pytest.approx(expected["visibility"], abs=CLOSE)


def test_a_line_has_file_class_and_probability(
    command: Command, onnx_file: Path, pictures: list[Path]
) -> None:
    answers = printed(command(onnx_file, *pictures, "--json"))

    lines = command(onnx_file, *pictures, "--batch", 2).stdout.splitlines()

    assert lines == [
        f"{one['file']}\t{one['class']}\t{max(one['probabilities'].values()):.4f}"
        for one in answers
    ]


@pytest.mark.parametrize("tau", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("balanced", [True, False])
def test_the_dials_are_those_of_the_file(
    command: Command,
    onnx_file: Path,
    pictures: list[Path],
    pixels: list[NDArray[np.uint8]],
    class_names: list[str],
    right_answers: RightAnswers,
    tmp_path: Path,
    tau: float,
    balanced: bool,
) -> None:
    count = len(class_names)
    prior = (np.ones(count) if balanced else np.arange(count)) + 0.0
    prior /= prior.sum()
    (tmp_path / "prior.json").write_text(json.dumps(dict(zip(class_names, prior, strict=True))))
    expected = right_answers(pixels, target_prior=prior, tau=tau)["probabilities"]
    unmoved = right_answers(pixels)["probabilities"]

    option = ["--balanced"] if balanced else ["--prior", tmp_path / "prior.json"]
    found = printed(command(onnx_file, *pictures, "--json", *option, "--tau", tau))

    assert probabilities(found, class_names) == pytest.approx(expected, abs=CLOSE)
    assert (abs(expected - unmoved).max() > 0.01) == (tau > 0)


def test_the_self_test_passes(command: Command, onnx_file: Path) -> None:
    done = command(onnx_file, "--self-test")

    assert done.returncode == 0
    assert done.stdout.startswith("passed: 8 examples, 0 with another class, probabilities differ")


@pytest.mark.parametrize(
    ("precision", "passes"), [("fp32", False), ("fp16", False), ("int8", True)]
)
def test_the_self_test_fails_where_an_answer_is_further_off_than_the_precision_allows(
    command: Command, onnx_file: Path, tmp_path: Path, precision: str, passes: bool
) -> None:
    model = onnx.load(onnx_file)
    entries = metadata(model)
    golden, about = (json.loads(entries[key].value) for key in (GOLDEN_KEY, METADATA_KEY))
    golden[3]["outputs"]["probabilities"][0] += 0.2
    about["precision"]["name"] = precision
    entries[GOLDEN_KEY].value, entries[METADATA_KEY].value = json.dumps(golden), json.dumps(about)
    model.metadata_props.remove(entries[DIGEST_KEY])
    (tmp_path / "other.onnx").write_bytes(sealed_bytes(model))

    done = command(tmp_path / "other.onnx", "--self-test")

    assert done.returncode == (0 if passes else 1)
    assert done.stdout.startswith("passed: 8" if passes else "FAILED: 8")
    assert "probabilities differ by at most 2.0e-" in done.stdout


def test_a_changed_byte_and_a_file_cut_short_are_refused(
    command: Command, onnx_file: Path, tmp_path: Path
) -> None:
    content = onnx_file.read_bytes()
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]

    for one in (changed, content[:middle], b"", b"no ONNX file"):
        (tmp_path / "changed.onnx").write_bytes(one)
        done = command(tmp_path / "changed.onnx", "--self-test")

        assert (done.returncode, done.stdout) == (2, "")
        assert "its digest is missing or wrong. Expected an unchanged file" in done.stderr


def test_a_file_for_letterboxed_images_is_refused(command: Command, letterboxed_file: Path) -> None:
    done = command(letterboxed_file, "--self-test")

    assert (done.returncode, done.stdout) == (2, "")
    assert f"{letterboxed_file} takes no whole images" in done.stderr


def test_pictures_that_cannot_be_read_are_named_and_the_others_answered(
    command: Command, onnx_file: Path, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "text.ppm").write_text("no picture")
    (tmp_path / f"short{pictures[0].suffix}").write_bytes(pictures[0].read_bytes()[:900])
    bad = [tmp_path / "text.ppm", tmp_path / f"short{pictures[0].suffix}", tmp_path / "missing.ppm"]

    done = command(onnx_file, pictures[0], *bad, pictures[1])

    assert done.returncode == 3
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [
        str(pictures[0]),
        str(pictures[1]),
    ]
    for path in bad:
        assert str(path) in done.stderr


@pytest.mark.parametrize(
    "change", [{"extra": 0.0}, {"striped tee": 0.9}, {"striped tee": -0.1}], ids=str
)
def test_a_prior_that_does_not_fit_is_refused(
    command: Command,
    onnx_file: Path,
    pictures: list[Path],
    class_names: list[str],
    tmp_path: Path,
    change: dict[str, float],
) -> None:
    prior = dict.fromkeys(class_names, 1 / len(class_names)) | change
    (tmp_path / "prior.json").write_text(json.dumps(prior))

    done = command(onnx_file, pictures[0], "--prior", tmp_path / "prior.json")

    assert (done.returncode, done.stdout) == (2, "")
    assert "Expected numbers from 0 on with sum 1, one for each of" in done.stderr


def test_nothing_to_do_is_a_wrong_call(command: Command, onnx_file: Path) -> None:
    done = command(onnx_file)

    assert done.returncode == 2
    assert "--self-test" in done.stderr

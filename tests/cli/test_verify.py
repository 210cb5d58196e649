"""``fdmo verify`` in processes of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Command = Callable[..., subprocess.CompletedProcess[str]]

SCRIPT = """
import sys
from fdmo_cli.main import main

sys.argv = ["fdmo", *sys.argv[1:]]
try:
    main()
finally:
    print("torch" in sys.modules)
"""


def test_a_good_file_is_shown_example_by_example(fdmo: Command, onnx_file: Path) -> None:
    result = fdmo("verify", onnx_file, "--provider", "cpu")

    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == f"{onnx_file}: digest and structure are right; golden examples:"
    assert [line.split("│")[1].strip() for line in lines if line.startswith("│")] == list(
        "12345678"
    )
    assert lines[-1].startswith("cpu: largest difference of a probability ")
    assert ", allowed at fp32 0.02; " in lines[-1]
    assert lines[-1].endswith(" of 64 landmarks lie elsewhere")


def test_json_holds_each_answer(fdmo: Command, onnx_file: Path) -> None:
    result = fdmo("verify", onnx_file, "--provider", "cpu", "--json")

    found = json.loads(result.stdout)
    assert found["file"] == str(onnx_file)
    assert [len(one["answers"]) for one in found["providers"]] == [8]
    assert found["providers"][0]["agrees"] is True


def test_providers_that_cannot_be_used_are_named(fdmo: Command, onnx_file: Path) -> None:
    found = json.loads(fdmo("verify", onnx_file, "--json").stdout)

    result = fdmo("verify", onnx_file)

    assert result.returncode == 0
    for name, reason in found["unusable"].items():
        assert f"{name} was not checked: {reason}" in result.stdout


def test_it_needs_no_torch(onnx_file: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, "verify", str(onnx_file), "--provider", "cpu"]

    result = subprocess.run(command, capture_output=True, text=True, check=True)

    assert result.stdout.endswith("False\n")


def test_a_changed_file_is_an_error(fdmo: Command, onnx_file: Path, tmp_path: Path) -> None:
    content = bytearray(onnx_file.read_bytes())
    content[len(content) // 3] ^= 1
    (tmp_path / "net.onnx").write_bytes(bytes(content))

    result = fdmo("verify", "net.onnx", cwd=tmp_path)

    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        "Error: net.onnx was changed or damaged after its export: its digest is not that of its "
        "content. Expected the file as 'fdmo export onnx' wrote it. Fetch the file again, or "
        "export the run again.\n"
    )


def test_a_file_that_answers_otherwise_is_shown_and_is_an_error(
    fdmo: Command, onnx_file: Path, tmp_path: Path
) -> None:
    path = with_other_answers(onnx_file, tmp_path / "net.onnx")

    result = fdmo("verify", path, "--provider", "cpu")

    assert result.returncode == 1
    assert "too far off" in result.stdout
    assert result.stderr.startswith(
        f"Error: {path} answers otherwise on cpu than the trained network: on cpu the examples "
        f"with a probability too far off are 1, "
    )
    assert json.loads(fdmo("verify", path, "--provider", "cpu", "--json").stdout)


def with_other_answers(source: Path, path: Path) -> Path:
    """Write a file, sealed, whose golden examples tell of other probabilities."""
    import onnx

    from fdmo_export.contract import DIGEST_KEY, GOLDEN_KEY
    from fdmo_export.seal import sealed_bytes

    model = onnx.load(source)
    kept = {one.key: one.value for one in model.metadata_props if one.key != DIGEST_KEY}
    examples = json.loads(kept[GOLDEN_KEY])
    for one in examples:
        one["outputs"]["probabilities"].reverse()
    kept[GOLDEN_KEY] = json.dumps(examples)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, kept)
    path.write_bytes(sealed_bytes(model))
    return path

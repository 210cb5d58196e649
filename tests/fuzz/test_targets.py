"""Each target on bytes that are nearly right, and on some that are not right at all."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fdmo_core.errors import FdmoError

sys.path.insert(0, str(Path(__file__).parent))
from targets import TARGETS, survives  # atheris imports it by this name as well

EXAMPLES = 40


REFUSED = {"table", "onnx"}  # whose first seeds lack images, and what only an export writes


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_reads_its_first_seed(name: str) -> None:
    target = TARGETS[name]

    if name in REFUSED:
        with pytest.raises(FdmoError):
            target.read(target.seeds()[0])
    else:
        target.read(target.seeds()[0])


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_bytes_that_were_changed_are_read_or_refused(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    content = bytearray(data.draw(st.sampled_from(target.seeds())))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 8))
        content[place : place + length] = data.draw(st.binary(max_size=8))

    survives(target.read, bytes(content))


@pytest.mark.parametrize("name", TARGETS)
@given(content=st.binary(max_size=200))
@settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None)
def test_any_bytes_are_read_or_refused(name: str, content: bytes) -> None:
    survives(TARGETS[name].read, content)


@pytest.mark.parametrize("name", TARGETS)
def test_bytes_that_end_early_are_read_or_refused(name: str) -> None:
    target = TARGETS[name]

    for content in target.seeds():
        for end in range(0, len(content), max(1, len(content) // 25)):
            survives(target.read, content[:end])

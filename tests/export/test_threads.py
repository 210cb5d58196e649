"""How many threads a process in a container may use."""

import os
from pathlib import Path

import pytest

from fdmo_export.threads import available_threads

CORES = len(os.sched_getaffinity(0))


def control_group(root: Path, groups: str, **files: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.fixture
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen cores, as if the affinity said so."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def test_without_control_groups_the_affinity_decides(tmp_path: Path) -> None:
    assert available_threads(tmp_path) == CORES


@pytest.mark.usefixtures("many_cores")
@pytest.mark.parametrize(
    ("quota", "threads"),
    [
        ("max 100000", 16),
        ("150000 100000", 2),
        ("400000 100000", 4),
        ("10000 100000", 1),
        ("9900000 100000", 16),
    ],
)
def test_a_quota_of_version_2_is_rounded_up(tmp_path: Path, quota: str, threads: int) -> None:
    root = control_group(tmp_path, "0::/pod/app\n", pod__app__cpu_dot_max=quota)

    assert available_threads(root) == threads


@pytest.mark.usefixtures("many_cores")
def test_a_smaller_quota_of_a_group_above_holds(tmp_path: Path) -> None:
    root = control_group(
        tmp_path,
        "0::/pod/app\n",
        pod__app__cpu_dot_max="800000 100000",
        pod__cpu_dot_max="300000 100000",
    )

    assert available_threads(root) == 3


@pytest.mark.usefixtures("many_cores")
@pytest.mark.parametrize(("quota", "threads"), [("-1", 16), ("250000", 3)])
def test_a_quota_of_version_1_is_rounded_up(tmp_path: Path, quota: str, threads: int) -> None:
    root = control_group(
        tmp_path,
        "5:memory:/a\n4:cpu,cpuacct:/a\n0::/\n",
        cpu__a__cpu_dot_cfs_quota_us=quota + "\n",
        cpu__a__cpu_dot_cfs_period_us="100000\n",
    )

    assert available_threads(root) == threads


@pytest.mark.usefixtures("many_cores")
def test_a_group_that_cannot_be_seen_from_inside_a_container_leaves_its_root(
    tmp_path: Path,
) -> None:
    root = control_group(
        tmp_path,
        "4:cpu,cpuacct:/docker/0123\n",
        cpu__cpu_dot_cfs_quota_us="200000",
        cpu__cpu_dot_cfs_period_us="100000",
    )

    assert available_threads(root) == 2

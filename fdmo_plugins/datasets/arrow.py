"""The package that reads Parquet files, which is an extra."""

from typing import Any

from fdmo_core import ConfigError


def import_pyarrow(*, instead: str) -> Any:
    """Return pyarrow with its submodules for Parquet.

    Args:
        instead: What a person without it may do, for the message.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            f"Parquet files are read with pyarrow, which is not installed. Expected pyarrow 15 or "
            f"later. Install it with: pip install 'fdmo[parquet]', or {instead}."
        ) from error
    return pyarrow

"""Every error that a user can act on: what is wrong, what was expected, what to do."""


class FdmoError(Exception):
    """Base of all errors that a person can resolve; anything else that escapes is a bug."""


class ConfigError(FdmoError, ValueError):
    """A setting is unknown, missing, of the wrong type or out of range."""


class UnknownComponentError(ConfigError):
    """No loaded plugin supplies a component of that name."""


class PluginError(FdmoError):
    """A plugin cannot be loaded, or a component that a plugin should supply is not there."""


class DataError(FdmoError, ValueError):
    """A data set is missing, empty, unreadable or inconsistent."""


class ShapeError(FdmoError, ValueError):
    """Two tensors, or a tensor and a setting, do not fit together."""


class TrainingError(FdmoError):
    """Training has come to numbers with which it cannot go on."""


class NonFiniteError(TrainingError):
    """A loss, a gradient, a feature or a weight is infinite or NaN."""


class RunFolderError(FdmoError):
    """A run folder exists already, is incomplete, or was written by another version."""


class ExportError(FdmoError):
    """A trained run cannot be exported, or the exported file disagrees with it."""


class MissingRuntimeError(ExportError, ImportError):
    """The onnxruntime package is not installed."""


class MissingExtraError(FdmoError, ImportError):
    """A package is not installed that only an extra of fdmo brings."""

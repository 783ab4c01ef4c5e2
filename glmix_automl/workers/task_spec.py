"""A task by its dotted name and plain arguments, so that no code crosses a process border."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from glmix_automl.errors import ConfigError
from glmix_automl.workers.executor import Task


@dataclass(frozen=True)
class TaskSpec:
    """A task specification: how every rank makes its `Task`.

    Attributes:
        name: dotted name of a callable that returns the task, usually a class: `package.module.Name`.
        arguments: its keyword arguments; what `json.dumps` takes.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def resolve(self) -> Any:
        """Imports the callable, and with it whatever its module imports.

        Raises:
            ConfigError: there is no such module or name in it. Errors raised by the import itself pass.
        """
        module_name, _, attribute = self.name.rpartition(".")
        if not module_name:
            raise ConfigError(f"task {self.name!r}: expected a dotted name such as package.module.Name")
        try:
            return getattr(importlib.import_module(module_name), attribute)
        except ModuleNotFoundError as error:
            if error.name is None or not module_name.startswith(error.name):
                raise
            raise ConfigError(f"task {self.name!r}: no module {error.name!r} on this worker") from error
        except AttributeError as error:
            raise ConfigError(f"task {self.name!r}: no {attribute!r} in {module_name}") from error

    def make(self) -> Task:
        """The task."""
        task: Task = self.resolve()(**self.arguments)
        return task

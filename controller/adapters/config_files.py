"""Configuration files of the controller: YAML, or one sentence about what is wrong with the file."""

from pathlib import Path
from typing import Any

import yaml

from controller.adapters.kube_errors import ConfigError


def read_yaml(path: Path, title: str) -> Any:
    """The document of a file; None where it is empty. Raises `ConfigError`.

    Args:
        path: of the file.
        title: what it is, at the beginning of the sentence.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{title} {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{title} {path} is not valid YAML.") from error

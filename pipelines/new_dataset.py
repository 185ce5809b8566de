"""Makes the folder of a dataset of one's own, ready for `tfds build`."""

from __future__ import annotations

from pathlib import Path

from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write
from thresher.pipelines.recipe import require_name
from thresher.pipelines.recipe_file import FILE_NAME

_RECIPE = """\
name: {name}
version: 1.0.0
description: What the robot did, where, and who acted.
release_notes:
  1.0.0: First version.
sources:                     # paths are relative to this file, or to --manual_dir
  - logs: logs               # raw logs of `thresher collect` or `thresher ingest`
# - logs: bags/*.mcap        # other recordings, with a mapping that says
#   mapping: mapping.yaml    # which topic is which feature
# labels: [labels.csv]       # success, language, task that people added later
checks:
  dark: 4.0                  # a frame's mean brightness, of 255
  too_short: {{threshold: 2, action: reject}}
# where: success or length > 5
split:
  group: scene_id            # episodes of one scene never straddle splits
  shares: {{train: 0.9, val: 0.1}}
rebalance:
  target: 0.5                # as many successes as failures; `rebalance: off` for none
  method: downsample         # or duplicate, or weights
"""

_BUILDER = '''\
"""{title}: built with `tfds build` from its recipe."""

from __future__ import annotations

from typing import ClassVar

from thresher.rlds_builders.sealed_builder import (
    SealedBuilder,
    dataset_recipe,
    tfds_configs,
    tfds_version,
)

_RECIPE = dataset_recipe(__file__)


class Builder(SealedBuilder):
    """{title}."""

    RECIPE_FILE = _RECIPE
    VERSION = tfds_version(_RECIPE)
    RELEASE_NOTES: ClassVar = dict(_RECIPE.notes)
    BUILDER_CONFIGS: ClassVar = tfds_configs(_RECIPE)
'''

_README = """\
What the robot did, where, and who acted. Built by its `recipe.yaml`:

    tfds build --data_dir ../data
"""

_CITATIONS = """\
@misc{{{name},
  title={{{title}}},
  year={{{year}}}
}}
"""

_TAGS = "ml.task.reinforcement-learning # Relates to Reinforcement Learning.\n"


def new_dataset(folder: Path, year: int) -> list[Path]:
    """Makes a dataset's folder; its name is the dataset's.

    Args:
      folder: Must not exist yet, or be empty.
      year: For the citation.

    Returns:
      The files that were made.

    Raises:
      UserError: A name that no dataset can have, something is there already, or the
        folder cannot be written.
    """
    name = folder.name
    require_name("dataset", name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already; choose another name, or empty it")
    title = name.replace("_", " ").capitalize()
    facts = {"name": name, "title": title, "year": year}
    files = {
        FILE_NAME: _RECIPE.format(**facts),
        f"{name}_dataset_builder.py": _BUILDER.format(**facts),
        "__init__.py": f'"""{title}."""\n',
        "README.md": _README.format(**facts),
        "CITATIONS.bib": _CITATIONS.format(**facts),
        "TAGS.txt": _TAGS,
    }
    try:
        for file, text in files.items():
            atomic_write(folder / file, text)
    except OSError as error:
        raise UserError(
            f"cannot make {folder}: {error.strerror}; choose a folder that can be "
            "written"
        ) from error
    return [folder / file for file in files]

"""The base of every dataset here: `tfds build` by plan → write → seal."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import tensorflow_datasets as tfds

from thresher.episodes.errors import EXIT_USER_ERROR, UserError
from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.tfds_features import features_dict
from thresher.episodes.version import SPEC
from thresher.pipelines.build import Build, build_version
from thresher.pipelines.plan import PlanConfig
from thresher.pipelines.recipe import Recipe


# TFDS hides the keyword from type checkers.
class SealedBuilder(  # type: ignore[call-arg]
    tfds.core.GeneratorBasedBuilder, skip_registration=True
):
    """A dataset that is built by Thresher and read by TFDS.

    A subclass states `RECIPE`, `VERSION` (the recipe's) and `default_spec`.
    `tfds build` takes the raw logs from `--manual_dir`.
    """

    RECIPE: Recipe

    def default_spec(self) -> EpisodeSpec:
        """Returns the spec to describe before any version is there."""
        raise NotImplementedError("a dataset states the spec of its episodes")

    def _info(self) -> tfds.core.DatasetInfo:
        # What is on disk knows best: image sizes vary from collection to collection.
        written = Path(self.data_dir) / SPEC
        spec = (
            EpisodeSpec.from_json(written.read_text())
            if written.exists()
            else self.default_spec()
        )
        return self.dataset_info_from_configs(features=features_dict(spec))

    def download_and_prepare(
        self,
        *,
        download_dir: Any = None,
        download_config: Optional[tfds.download.DownloadConfig] = None,
        file_format: Any = None,
        permissions: Any = None,
    ) -> None:
        """Builds the version from the raw logs in the configuration's manual_dir.

        A version that is there is reused, as TFDS does; if the raw logs are named, it
        must have been built from them.

        Raises:
          SystemExit: What the user can mend, told in one message (exit status 2):
            TFDS's command line would wrap it in a traceback.
        """
        config = download_config or tfds.download.DownloadConfig()
        if config.manual_dir is None and Path(self.data_dir).exists():
            return
        try:
            build_version(self._build(config))
        except UserError as error:
            print(f"thresher: {error}", file=sys.stderr)
            raise SystemExit(EXIT_USER_ERROR) from error
        self.info.read_from_directory(self.data_dir)

    def _build(self, config: tfds.download.DownloadConfig) -> Build:
        if config.manual_dir is None:
            raise UserError(
                f"{self.name} is built from raw logs: name the folder that holds them "
                "with --manual_dir"
            )
        if config.max_examples_per_split is not None:
            raise UserError(
                "--max_examples_per_split would make another dataset under the same "
                "version; collect fewer episodes into a folder of their own instead"
            )
        plan = self.RECIPE.plan
        changes = {
            "num_shards": config.num_shards or plan.num_shards,
            "max_shard_bytes": config.max_shard_size or plan.max_shard_bytes,
        }
        plan = PlanConfig(**{**dataclasses.asdict(plan), **changes})
        return Build(
            recipe=dataclasses.replace(self.RECIPE, plan=plan),
            root=Path(config.manual_dir),
            target=Path(self.data_dir),
            options=config.beam_options,
        )

    # TFDS takes only classes that say how examples are generated for builders; here
    # the write stage does it, shard by shard.
    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        raise AssertionError("versions are written by plan, write and seal")

    def _generate_examples(self, *args: Any) -> Iterator[Any]:
        raise AssertionError("versions are written by plan, write and seal")

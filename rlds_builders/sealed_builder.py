"""The base of every dataset here: `tfds build` by plan → write → seal."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, Optional

import tensorflow_datasets as tfds

from thresher.episodes.errors import EXIT_USER_ERROR, UserError
from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.tfds_features import features_dict
from thresher.episodes.version import CHECKSUMS, SPEC, open_version
from thresher.pipelines.build import Build, build_version
from thresher.pipelines.plan import PlanConfig
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.recipe_file import RecipeFile, read_recipe

# Described where no version is there yet, and the recipe states no spec.
_UNKNOWN_SPEC = EpisodeSpec("unknown", (), 1.0)


def dataset_recipe(builder_file: str) -> RecipeFile:
    """Returns the recipe beside a builder's file; ends the command if it is wrong."""
    try:
        return read_recipe(Path(builder_file).parent)
    except UserError as error:
        _end(error)


def tfds_version(recipe: RecipeFile) -> tfds.core.Version:
    """Returns the version that a recipe makes."""
    return tfds.core.Version(recipe.recipe.version)


def tfds_configs(recipe: RecipeFile) -> list[tfds.core.BuilderConfig]:
    """Returns TFDS's view of a recipe's variants."""
    return [
        tfds.core.BuilderConfig(
            name=name, version=variant.version, description=variant.description
        )
        for name, variant in recipe.variants.items()
    ]


def _end(error: UserError) -> NoReturn:
    """Ends with one message and status 2: TFDS's commands would add a traceback."""
    print(f"thresher: {error}", file=sys.stderr)
    raise SystemExit(EXIT_USER_ERROR) from error


# TFDS hides the keyword from type checkers.
class SealedBuilder(  # type: ignore[call-arg]
    tfds.core.GeneratorBasedBuilder, skip_registration=True
):
    """A dataset that is built by Thresher and read by TFDS.

    A subclass states `RECIPE_FILE` and, from it, `VERSION`, `RELEASE_NOTES` and
    `BUILDER_CONFIGS`. Paths in the recipe are relative to `--manual_dir`, or, without
    it, to the recipe; a recipe without sources takes raw logs from `--manual_dir`.
    """

    RECIPE_FILE: RecipeFile
    _sealed_info: Optional[tfds.core.DatasetInfo] = None

    def __init__(self, *, file_format: Any = None, **arguments: Any) -> None:
        # TFDS puts its own default where none was asked for; here the recipe has one.
        self._asked_format = file_format
        super().__init__(file_format=file_format, **arguments)

    @property
    def info(self) -> tfds.core.DatasetInfo:
        """What TFDS knows of the dataset; of the version, once it was built.

        TFDS keeps the first description for good, made before the logs were read.
        """
        return self._sealed_info or super().info

    def default_spec(self) -> EpisodeSpec:
        """Returns the spec to describe before any version is there."""
        return _UNKNOWN_SPEC

    @property
    def recipe(self) -> Recipe:
        """The recipe of the builder's config."""
        config = self.builder_config
        return self.RECIPE_FILE.variant(config.name if config else "")

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
        """Builds the version from the recipe's sources.

        A version that is there is reused, as TFDS does, and if the recipe is another
        by now, that is told; if the raw logs are named, it must have been built from
        them.

        Raises:
          SystemExit: What the user can mend, told in one message (exit status 2):
            TFDS's command line would wrap it in a traceback.
        """
        config = download_config or tfds.download.DownloadConfig()
        if config.manual_dir is None and (Path(self.data_dir) / CHECKSUMS).exists():
            self._tell_if_built_otherwise(config, file_format)
            return
        try:
            build_version(self._build(config, file_format))
        except UserError as error:
            _end(error)
        except KeyboardInterrupt:
            print(
                "thresher: interrupted; the same command goes on from here",
                file=sys.stderr,
            )
            raise SystemExit(130) from None
        self._sealed_info = tfds.builder_from_directory(self.data_dir).info

    def _tell_if_built_otherwise(
        self, config: tfds.download.DownloadConfig, file_format: Any
    ) -> None:
        """Says on stderr where the version that stays is not what the recipe says."""
        plan = self._plan(config, file_format)
        asked = dataclasses.replace(self.recipe, plan=plan).to_dict()
        try:
            built = open_version(Path(self.data_dir)).lineage["recipe"]
        except UserError as error:
            _end(error)
        keys = sorted(k for k in {*asked, *built} if asked.get(k) != built.get(k))
        if keys:
            named = ", ".join("shards" if key == "plan" else key for key in keys)
            print(
                f"thresher: {self.data_dir} stays as it is, though it was built from "
                f"another recipe: {named} differ; raise the version number, or "
                "build with --overwrite",
                file=sys.stderr,
            )

    def _build(self, config: tfds.download.DownloadConfig, file_format: Any) -> Build:
        recipe = self.recipe
        if config.manual_dir is None and not recipe.sources:
            raise UserError(
                f"{self.name} is built from raw logs: name the folder that holds them "
                "with --manual_dir"
            )
        root = config.manual_dir or self.RECIPE_FILE.path.parent
        return Build(
            recipe=dataclasses.replace(recipe, plan=self._plan(config, file_format)),
            root=Path(root),
            target=Path(self.data_dir),
            options=config.beam_options,
        )

    def _plan(
        self, config: tfds.download.DownloadConfig, file_format: Any
    ) -> PlanConfig:
        plan = self.recipe.plan
        asked = file_format or self._asked_format
        return dataclasses.replace(
            plan,
            num_shards=config.num_shards or plan.num_shards,
            max_shard_bytes=self._max_shard_bytes(config),
            max_examples_per_split=config.max_examples_per_split
            or plan.max_examples_per_split,
            file_format=getattr(asked, "value", asked) or plan.file_format,
        )

    def _max_shard_bytes(self, config: tfds.download.DownloadConfig) -> int:
        default = tfds.download.DownloadConfig().max_shard_size
        size = config.max_shard_size
        if size is None or size == default:
            return self.recipe.plan.max_shard_bytes
        return int(size)

    # TFDS takes only classes that say how examples are generated for builders; here
    # the write stage does it, shard by shard.
    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        raise AssertionError("versions are written by plan, write and seal")

    def _generate_examples(self, *args: Any) -> Iterator[Any]:
        raise AssertionError("versions are written by plan, write and seal")

"""The `thresher` command: thin; a command imports what it needs when it runs."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thresher.commands import datasets, recordings
from thresher.episodes.errors import EXIT_USER_ERROR, UserError

if TYPE_CHECKING:
    from thresher.eval.intervals import Proportion

app = typer.Typer(
    name="thresher",
    help="Robot episodes in, policies out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
train_app = typer.Typer(no_args_is_help=True, help="Train a policy offline.")
app.add_typer(train_app, name="train")

EXIT_INTERRUPTED = 130


_SCENES_HELP = "Settled scenes to draw from; 0 for the world's own number."


_ARM_HELP = "What carries the gripper: gantry or kuka."
_RANDOMISE_HELP = "looks, dynamics, latency, all, or a JSON file of ranges by name."


def _world_options(
    image_size: int, scenes: int, arm: str, randomise: str
) -> dict[str, Any]:
    """Returns the options that differ from the world's own defaults."""
    options: dict[str, Any] = {"image_size": image_size}
    if scenes:
        options["bank_size"] = scenes
    if arm != "gantry":
        options["arm"] = arm
    if randomise:
        options["randomise"] = _ranges(randomise)
    return options


def _ranges(name_or_file: str) -> str | dict[str, Any]:
    path = Path(name_or_file)
    if path.suffix != ".json":
        return name_or_file
    try:
        ranges: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read ranges from {path}: {error}") from error
    return ranges


@app.command()
def collect(
    out: Annotated[Path, typer.Option(help="Run folder for raw logs and record.")],
    episodes: Annotated[int, typer.Option(help="Exactly how many episodes.")] = 1000,
    policy: Annotated[
        str,
        typer.Option(help="random, scripted, scripted:SKILL, oracle, or a folder."),
    ] = "scripted",
    world: Annotated[str, typer.Option(help="Name of the world.")] = "bin_grasping",
    seed: Annotated[int, typer.Option(help="All randomness derives from it.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes; 0 for one a processor.")] = 0,
    image_size: Annotated[int, typer.Option(help="Pixels a side.")] = 64,
    scenes: Annotated[int, typer.Option(help=_SCENES_HELP)] = 0,
    objects: Annotated[str, typer.Option(help="Object set: train or eval.")] = "train",
    fresh_scenes: Annotated[
        bool, typer.Option(help="Settle a scene of its own for every episode.")
    ] = False,
    arm: Annotated[str, typer.Option(help=_ARM_HELP)] = "gantry",
    randomise: Annotated[str, typer.Option(help=_RANDOMISE_HELP)] = "",
    check_grasps: Annotated[
        bool, typer.Option(help="Label also by what a robot itself can see.")
    ] = False,
    noise: Annotated[
        float, typer.Option(help="Exploration noise on every action entry.")
    ] = 0.0,
    noise_correlation: Annotated[
        float, typer.Option(help="Of that noise from step to step, 0 to 1.")
    ] = 0.0,
    episode_seconds: Annotated[
        float, typer.Option(help="A world that takes longer hangs and is restarted.")
    ] = 60.0,
    force: Annotated[
        bool, typer.Option(help="Collect with a learned policy of unproven success.")
    ] = False,
) -> None:
    """Run a policy in a world and keep raw logs (MCAP). Resumes where it was."""
    from thresher.pipelines.collect import CollectConfig
    from thresher.pipelines.collect import collect as run_collect

    config = CollectConfig(
        policy=policy,
        world=world,
        world_options={
            "object_set": objects,
            **_world_options(image_size, scenes, arm, randomise),
            **({"fresh_scenes": True} if fresh_scenes else {}),
            **({"check_grasps": True} if check_grasps else {}),
        },
        episodes=episodes,
        seed=seed,
        noise=noise,
        noise_correlation=noise_correlation,
        episode_seconds=episode_seconds,
    )
    record = run_collect(config, out, workers=workers, force=force)
    found = record.results
    typer.echo(
        f"{found['episodes']:,} episodes in {out}: success {found['success_ratio']:.1%}"
        f", {found['trials_per_hour']:,.0f} an hour, {found['restarts']} restarts"
    )


@train_app.command("qt-opt")
def train_qt_opt(
    dataset: Annotated[Path, typer.Option(help="A sealed version's folder.")],
    out: Annotated[Path, typer.Option(help="Run folder.")],
    steps: Annotated[int, typer.Option(help="Gradient steps.")] = 2400,
    batch_size: Annotated[int, typer.Option(help="Transitions a step.")] = 64,
    n_step: Annotated[
        int,
        typer.Option(
            help="Rewards before bootstrapping; 0: all of them (Monte-Carlo)."
        ),
    ] = 0,
    network: Annotated[
        str, typer.Option(help="projected (camera known) or article (unknown).")
    ] = "projected",
    sampling: Annotated[
        str,
        typer.Option(
            help="stratified by success, uniform, or weighted by the version."
        ),
    ] = "stratified",
    seed: Annotated[int, typer.Option(help="All randomness derives from it.")] = 0,
) -> None:
    """Learn to grasp from a dataset version alone, with QT-Opt's Q-function.

    With --n-step 0 the targets are Monte-Carlo returns: one step of improvement over
    the collector, not Q-learning, and the policy is named so.
    """
    from thresher.offline_rl.train import TrainConfig, train

    config = TrainConfig(
        learner="qt-opt",
        settings={"n_step": n_step or None, "network": network},
        steps=steps,
        batch_size=batch_size,
        sampling=sampling,
        seed=seed,
    )
    train(dataset, out, config)
    typer.echo(f"policy: {out / 'policy'}")


@app.command()
def evaluate(
    policy: Annotated[
        str, typer.Argument(help="Name of a policy, or folder of an exported one.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for record and episodes.")],
    episodes: Annotated[int, typer.Option(help="How many; 250 give ± 6 points.")] = 250,
    seed: Annotated[int, typer.Option(help="Same seed, same scenes.")] = 1_000_000,
    world: Annotated[str, typer.Option(help="Name of the world.")] = "bin_grasping",
    image_size: Annotated[int, typer.Option(help="Pixels a side.")] = 64,
    scenes: Annotated[int, typer.Option(help=_SCENES_HELP)] = 0,
    objects: Annotated[str, typer.Option(help="Object set: eval or train.")] = "eval",
    arm: Annotated[str, typer.Option(help=_ARM_HELP)] = "gantry",
    randomise: Annotated[str, typer.Option(help=_RANDOMISE_HELP)] = "",
    allow_training_objects: Annotated[
        bool, typer.Option(help="Evaluate on objects seen in training all the same.")
    ] = False,
) -> None:
    """Measure a policy's success on unseen objects, with its interval."""
    from thresher.eval.evaluate import EvaluationConfig, proportion
    from thresher.eval.evaluate import evaluate as run_evaluation

    config = EvaluationConfig(
        policy=policy,
        world=world,
        world_options=_world_options(image_size, scenes, arm, randomise),
        object_set=objects,
        episodes=episodes,
        seed=seed,
    )
    record = run_evaluation(config, out, allow_training_objects=allow_training_objects)
    typer.echo(f"{record.results['policy_id']}: {proportion(record)}")


@app.command()
def report(
    folders: Annotated[
        list[Path], typer.Argument(help="Run folders and dataset versions.")
    ],
    out: Annotated[Path, typer.Option(help="The HTML file to write.")],
    title: Annotated[str, typer.Option(help="Its heading.")] = "Thresher report",
) -> None:
    """Write one self-contained HTML page about some runs and versions."""
    from thresher.eval.report.write import write_report

    contents = write_report(folders, out, title)
    if contents.evaluations:
        _print_success_table([(e.label, e.rate) for e in contents.evaluations])
    typer.echo(f"report: {out.absolute()}")


recordings.register(app)
datasets.register(app)


def _print_success_table(rates: list[tuple[str, Proportion]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("policy", "success", "95 % interval", "episodes")
    for label, rate in rates:
        low, high = rate.interval
        table.add_row(
            label, f"{rate.rate:.1%}", f"{low:.1%} – {high:.1%}", str(rate.trials)
        )
    Console().print(table)


def main() -> None:
    """Runs the command line; user errors end in one message and status 2."""
    # TensorFlow tells of every processor feature it finds, Beam of every client
    # library that it could use and does not.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger().addFilter(lambda record: "apitools" not in str(record.msg))
    try:
        app()
    except UserError as error:
        print(f"thresher: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except (KeyboardInterrupt, SystemExit) as ended:
        stop = _interruption(ended)
        if stop is None:
            raise
        how = str(stop) or "interrupted; the same command goes on from here"
        print(f"thresher: {how}", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def _interruption(ended: BaseException) -> KeyboardInterrupt | None:
    """Returns the interrupt behind an end: Typer makes a silent exit of it."""
    cause: BaseException | None = ended
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return cause


if __name__ == "__main__":
    main()

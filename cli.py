"""The `thresher` command: thin; a command imports what it needs when it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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


def _world_options(image_size: int, scenes: int) -> dict[str, int]:
    options = {"image_size": image_size}
    return {**options, "bank_size": scenes} if scenes else options


@app.command()
def collect(
    out: Annotated[Path, typer.Option(help="Run folder for raw logs and record.")],
    episodes: Annotated[int, typer.Option(help="Exactly how many episodes.")] = 1000,
    policy: Annotated[
        str, typer.Option(help="Name of a policy, or folder of an exported one.")
    ] = "scripted",
    world: Annotated[str, typer.Option(help="Name of the world.")] = "bin_grasping",
    seed: Annotated[int, typer.Option(help="All randomness derives from it.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes; 0 for one a processor.")] = 0,
    image_size: Annotated[int, typer.Option(help="Pixels a side.")] = 64,
    scenes: Annotated[int, typer.Option(help=_SCENES_HELP)] = 0,
    objects: Annotated[str, typer.Option(help="Object set: train or eval.")] = "train",
) -> None:
    """Run a policy in a world and keep raw logs (MCAP). Resumes where it was."""
    from thresher.pipelines.collect import CollectConfig
    from thresher.pipelines.collect import collect as run_collect

    config = CollectConfig(
        policy=policy,
        world=world,
        world_options={
            "object_set": objects,
            **_world_options(image_size, scenes),
        },
        episodes=episodes,
        seed=seed,
    )
    record = run_collect(config, out, workers=workers)
    typer.echo(f"{record.results['episodes']:,} episodes in {out}")


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
        str, typer.Option(help="stratified by success, or uniform.")
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
        world_options=_world_options(image_size, scenes),
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
    # TensorFlow tells of every processor feature it finds.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        app()
    except UserError as error:
        print(f"thresher: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except KeyboardInterrupt as stop:
        how = str(stop) or "interrupted; the same command goes on from here"
        print(f"thresher: {how}", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()

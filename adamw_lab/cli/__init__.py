"""The command line `adamw-lab`: one training run, the studies, notebooks, figures and data.

Exit codes: 0 done; 1 some points, notebooks or tests failed; 2 bad input, told in one line on stderr.
What a command needs is imported inside it, so that `--help` answers at once.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

import adamw_lab
from adamw_lab.cli.settings import one_line, settings_from
from adamw_lab.provenance import CHECKOUT


class Commands(TyperGroup):
    """Bad input and unusable files end a command with one line and exit code 2, not with a traceback."""

    def invoke(self, ctx: typer.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader, `head` for one, has had enough
            raise
        except (ValueError, OSError) as error:
            typer.echo(f"adamw-lab: {one_line(error)}", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
Executor = Annotated[str, typer.Option(help="local, or ray for many machines.")]
Address = Annotated[str | None, typer.Option(help="A Ray cluster, host:port.", show_default="one of our own, here")]
Retry = Annotated[str, typer.Option("--retry-failed", metavar="yes|no", help="Try again what failed before.")]
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"adamw-lab {adamw_lab.__version__}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A tested workbook about the Adam family: optimizers, pruning, notebooks, studies."""


@app.command()
def fit(
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Fields of TrainConfig: model=lenet5 lr=1e-3 ..."),
    ] = None,
    run_dir: Annotated[str | None, typer.Option(help="Where the run is kept, and resumed from.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Begin with a full-size recipe: cifar10_resnet18_sgd, ...")] = None,
    checkpoint_minutes: Annotated[float, typer.Option(help="Time between checkpoints within an epoch.")] = 10.0,
    tensorboard: Annotated[Path | None, typer.Option(help="Write the run's events here too, for TensorBoard.")] = None,
) -> None:
    """Train one model and print its summary. Under torchrun, on all of its processes."""
    from adamw_lab import training
    from adamw_lab.training.recipes import recipe as from_recipe
    from adamw_lab.training.tensorboard import check_export, export_tensorboard

    given = settings_from(settings or [])
    config = training.TrainConfig(**given) if recipe is None else from_recipe(recipe, **given)
    if tensorboard is not None:
        check_export(run_dir)
    summary = training.fit(config, run_dir=run_dir, checkpoint_minutes=checkpoint_minutes).summary
    if int(os.environ.get("RANK", "0")) > 0:
        return
    if tensorboard is not None:
        export_tensorboard(run_dir, tensorboard)
    for name, value in summary.items():
        if name != "config":
            typer.echo(f"{name:<20} {value:.4g}" if isinstance(value, float) else f"{name:<20} {value}")


@app.command()
def study(
    name: Annotated[str | None, typer.Argument(help="A named study, such as optimizers.")] = None,
    profile: Annotated[str, typer.Option(help="Which data, at which size.")] = "quick",
    jobs: Annotated[int | None, typer.Option(min=1, help="Points at once.", show_default="by cores")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the runs go.", show_default="under runs/")] = None,
    record: Annotated[bool, typer.Option("--record", help="Also keep the numbers in figures/data.")] = False,
    collect: Annotated[bool, typer.Option("--collect", help="Run nothing; show what is done so far.")] = False,
    executor: Executor = "local",
    address: Address = None,
    retry_failed: Retry = "yes",
    list_studies: Annotated[bool, typer.Option("--list", help="List the studies and run nothing.")] = False,
) -> None:
    """Run those points of a study that are not done yet, then print its table and draw its figure."""
    from adamw_lab.experiments import STUDIES, run_study

    if list_studies:
        for known, one in STUDIES.items():
            typer.echo(f"{known}: {one.question}\n    profiles: {', '.join(map(one.arithmetic, one.profiles))}")
        return
    if name is None:
        raise ValueError(f"which study? allowed: {', '.join(STUDIES)}")
    with told_when_stopped():
        raise typer.Exit(run_study(name, profile=profile, jobs=jobs, out=out, record=record, collect=collect,
                                   executor=executor, address=address, retry_failed=yes(retry_failed)))


@app.command()
def batch(
    notebook: Annotated[
        Path | None, typer.Argument(help="A notebook with a cell tagged 'parameters'; anybody's.", show_default=False)
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", metavar="NAME=V1,V2", help="Values of a parameter; seed=0..4 counts.")
    ] = None,
    grid: Annotated[Path | None, typer.Option(help="YAML with base, axes, zip, include, exclude.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where results go.", show_default="runs/<notebook>")] = None,
    depends: Annotated[
        list[Path] | None,
        typer.Option(help="A file or folder that the results depend on.", show_default="this package"),
    ] = None,
    retry_failed: Retry = "yes",
    jobs: Annotated[int | None, typer.Option(min=1, help="Points at once.", show_default="one a core")] = None,
    gpus: Annotated[str | None, typer.Option(help="GPUs of this machine, such as 0,1; a point sees one.")] = None,
    jobs_per_gpu: Annotated[int | None, typer.Option(min=1, help="Points at once on each.", show_default="1")] = None,
    executor: Executor = "local",
    address: Address = None,
    cpus: Annotated[float | None, typer.Option(min=0, help="Ray: cores a point takes.", show_default="threads")] = None,
    gpus_per_point: Annotated[float, typer.Option(min=0, help="Ray: GPUs a point takes.")] = 0,
    preload: Annotated[
        list[str] | None, typer.Option(help="A module that kernels start with, beside those known to bear it.")
    ] = None,
    cold_kernels: Annotated[bool, typer.Option("--cold-kernels", help="Start every kernel from nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the points and run nothing.")] = False,
    list_parameters: Annotated[
        bool, typer.Option("--list-parameters", help="List the notebook's parameters and run nothing.")
    ] = False,
    status: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Say where the points in DIR are, and run nothing.")
    ] = None,
) -> None:
    """Execute a notebook over a grid of its parameters. What is done is not run again."""
    from adamw_lab.cli import batches
    from adamw_lab.experiments.progress import status as status_of

    if status is not None:
        typer.echo("\n".join(status_of(status)))
        return
    if notebook is None:
        raise ValueError("which notebook? adamw-lab batch NOTEBOOK -p name=v1,v2 …")
    if list_parameters:
        typer.echo(batches.list_parameters(notebook))
        return
    where = batches.where(jobs=jobs, executor=executor, preload=preload, cold=cold_kernels, gpus=gpus,
                          jobs_per_gpu=jobs_per_gpu, address=address, cpus=cpus, gpus_per_point=gpus_per_point)
    made = batches.make_grid(parameter or [], grid)
    with told_when_stopped():
        raise typer.Exit(batches.run(notebook, made, out=out, depends=depends, dry=dry_run,
                                     retry_failed=yes(retry_failed), **where))


def yes(answer: str) -> bool:
    if answer not in ("yes", "no"):
        raise ValueError(f"--retry-failed {answer!r}; allowed: yes, no")
    return answer == "yes"


@contextmanager
def told_when_stopped() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("stopped; the same command takes up what is not done")
        raise


@app.command()
def notebooks(
    names: Annotated[
        list[str] | None, typer.Argument(help="Beginnings of file names, such as 00 08.", show_default="all")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the executed notebooks go.")] = Path("runs/notebooks"),
) -> None:
    """Execute the notebooks, each with its own default parameters."""
    folder = checkout("notebooks")
    chosen = [p for p in sorted(folder.glob("*.ipynb")) if p.name.startswith(tuple(names or [""]))]
    if not chosen:
        raise ValueError(f"no notebook in {folder} begins with {' or '.join(names or [])}")
    out.mkdir(parents=True, exist_ok=True)
    failed = [path for path in chosen if not executes(path, out / path.name)]
    typer.echo(f"{len(chosen) - len(failed)} executed, {len(failed)} failed, all in {out}/")
    raise typer.Exit(1 if failed else 0)


def executes(notebook: Path, result: Path) -> bool:
    """Executes a notebook in its own folder, as JupyterLab would; if a cell fails, says so and is False."""
    from nbclient.exceptions import DeadKernelError
    from papermill import PapermillExecutionError, execute_notebook

    typer.echo(notebook.name)
    try:
        execute_notebook(str(notebook), str(result.resolve()), cwd=str(notebook.parent), progress_bar=False)
    except PapermillExecutionError as error:
        why = f"cell {error.exec_count}: {error.ename}: {error.evalue}"
    except DeadKernelError as error:
        why = str(error)
    else:
        return True
    typer.echo(f"{notebook.name} failed in {why}; see {result}", err=True)
    return False


@app.command()
def figures(
    names: Annotated[list[str] | None, typer.Argument(help="Which figures.", show_default="all")] = None,
    out: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("figures"),
    data: Annotated[Path, typer.Option(help="The recorded numbers.")] = Path("figures/data"),
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="svg, png or pdf; may be repeated.", show_default="svg, png")
    ] = None,
    width: Annotated[float | None, typer.Option(help="Inches; 3.3 is a column.", show_default="each its own")] = None,
) -> None:
    """Redraw the committed figures from their recorded numbers, or export them for a write-up."""
    from adamw_lab.cli.pictures import redraw

    for path in redraw(names or [], out, data, formats or [], width):
        typer.echo(path)


@app.command()
def claims(
    out: Annotated[Path, typer.Option(help="Where the ledger goes.")] = Path("figures/data/claims.csv"),
) -> None:
    """Compute the verdicts on the claims of the note and of the README from the recorded studies."""
    from adamw_lab.analysis.claims import ledger, write_ledger

    typer.echo(write_ledger(out))
    for said, count in ledger()["verdict"].value_counts().items():
        typer.echo(f"{count:>3} {said}")


@app.command()
def record(
    names: Annotated[list[str], typer.Argument(help="decay or switches.")],
    out: Annotated[Path, typer.Option(help="Where the tables go.")] = Path("figures/data"),
) -> None:
    """Train the small runs behind figures of notebooks 03 and 04 again, some minutes, and keep their numbers."""
    from adamw_lab.experiments.tables import check_table, record_table

    for name in names:
        check_table(name)
    for name in names:
        typer.echo(record_table(name, out))


@app.command()
def gallery(
    out: Annotated[Path, typer.Option(help="Where the site goes.")] = Path("runs/gallery"),
    jobs: Annotated[int | None, typer.Option(min=1, help="Notebooks at once.", show_default="one a core")] = None,
) -> None:
    """Execute all notebooks and write them as a static site."""
    from adamw_lab.cli.gallery import build

    with told_when_stopped():
        raise typer.Exit(build(checkout("notebooks"), out, jobs))


@app.command()
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="step_time, memory, selection, training, batch.", show_default="all")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the tables go; figures/data records them.")] = Path("runs/bench"),
) -> None:
    """Measure speed and memory on this machine, quiet if the numbers are to mean anything, and keep the tables."""
    from adamw_lab.cli.benchmarks import measure

    for path in measure(names or [], out):
        typer.echo(path)


@app.command()
def data(
    names: Annotated[list[str], typer.Argument(help="digits, fashion_mnist, cifar10 or cifar100.")],
) -> None:
    """Get data sets, unless they are here already."""
    from adamw_lab.data import fetch

    for name in names:
        typer.echo(f"{name}: {fetch(name)}")


@app.command()
def doctor() -> None:
    """What is installed here, what works, what will be used; exit code 1 if something does not work that ought to."""
    from adamw_lab.cli.doctor import examine

    raise typer.Exit(1 if examine(typer.echo) else 0)


@app.command(context_settings=PASS_ON)
def lab(ctx: typer.Context) -> None:
    """Start JupyterLab on notebooks/00_start_here.ipynb, on 127.0.0.1 with a token. Other options go to JupyterLab."""
    from adamw_lab.cli.lab import lab_arguments

    become("jupyterlab", *lab_arguments(checkout("notebooks").parent), *ctx.args)


@app.command(context_settings=PASS_ON)
def test(ctx: typer.Context) -> None:
    """Run the test suite, a process for each core, four at most. Other options go to pytest; -n 0: in one process."""
    os.chdir(checkout("tests").parent)
    become("pytest", "--numprocesses=logical", "--maxprocesses=4", "--dist=loadfile", *ctx.args)


@app.command(context_settings=PASS_ON)
def lint(ctx: typer.Context) -> None:
    """Check the code's style. Other options go to ruff."""
    os.chdir(checkout("tests").parent)
    become("ruff", "check", ".", *ctx.args)


def checkout(part: str) -> Path:
    """The folder `part` of the source checkout that holds the package. ValueError if there is none."""
    folder = CHECKOUT / part
    if not folder.is_dir():
        raise ValueError(f"no folder {folder}: this command needs a checkout, installed by pip install -e")
    return folder


def become(module: str, *arguments: str) -> None:
    """`python -m module arguments` in place of this process: Ctrl-C and the exit code are its own."""
    if find_spec(module) is None:
        raise ValueError(f"{module} is not installed: pip install -e '.[lab,dev]'")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])

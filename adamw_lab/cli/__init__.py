"""The command line `adamw-lab`: one training run, the studies, notebooks, figures and data.

Exit codes: 0 done; 1 some points, notebooks or tests failed; 2 bad input, told in one line on stderr.
What a command needs is imported inside it, so that `--help` answers at once.
"""

import os
import sys
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
    run_dir: Annotated[Path | None, typer.Option(help="Where the run is kept, and resumed from.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Begin with a full-size recipe: cifar10_resnet18_sgd, ...")] = None,
) -> None:
    """Train one model and print its summary. Under torchrun, on all of its processes."""
    from adamw_lab import training
    from adamw_lab.training.recipes import recipe as from_recipe

    given = settings_from(settings or [])
    config = training.TrainConfig(**given) if recipe is None else from_recipe(recipe, **given)
    summary = training.fit(config, run_dir=run_dir).summary
    if int(os.environ.get("RANK", "0")) > 0:
        return
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
    raise typer.Exit(run_study(name, profile=profile, jobs=jobs, out=out, record=record, collect=collect))


@app.command()
def batch(
    notebook: Annotated[Path, typer.Argument(help="A notebook with a cell tagged 'parameters'; anybody's.")],
    parameter: Annotated[
        list[str] | None, typer.Option("-p", metavar="NAME=V1,V2", help="Values of a parameter; seed=0..4 counts.")
    ] = None,
    grid: Annotated[Path | None, typer.Option(help="YAML with base, axes, zip, include, exclude.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Points at once.", show_default="one a core")] = None,
    out: Annotated[Path | None, typer.Option(help="Where results go.", show_default="runs/<notebook>")] = None,
    depends: Annotated[
        list[Path] | None,
        typer.Option(help="A file or folder that the results depend on.", show_default="this package"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the points and run nothing.")] = False,
    list_parameters: Annotated[
        bool, typer.Option("--list-parameters", help="List the notebook's parameters and run nothing.")
    ] = False,
) -> None:
    """Execute a notebook over a grid of its parameters. What is done is not run again."""
    from adamw_lab.cli import batches

    if list_parameters:
        typer.echo(batches.list_parameters(notebook))
        return
    made = batches.make_grid(parameter or [], grid)
    raise typer.Exit(batches.run(notebook, made, out=out, jobs=jobs, depends=depends, dry=dry_run))


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
    out: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("figures"),
    data: Annotated[Path, typer.Option(help="The recorded numbers.")] = Path("figures/data"),
) -> None:
    """Redraw every committed figure from its recorded numbers."""
    from adamw_lab.figures import draw_all

    for path in draw_all(out, data):
        typer.echo(path)


@app.command()
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="step_time, memory, selection, training.", show_default="all")
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
    """What is installed here and what will be used: versions, devices, kernels, data sets."""
    from adamw_lab.cli.doctor import findings

    for name, value in findings():
        typer.echo(f"{name:<18} {value}")


@app.command(context_settings=PASS_ON)
def lab(ctx: typer.Context) -> None:
    """Start JupyterLab in notebooks/, on 127.0.0.1 with a token. Other options go to JupyterLab."""
    root = f"--ServerApp.root_dir={checkout('notebooks')}"
    become("jupyterlab", root, "--ServerApp.ip=127.0.0.1", *ctx.args)


@app.command(context_settings=PASS_ON)
def test(ctx: typer.Context) -> None:
    """Run the test suite. Other options go to pytest."""
    os.chdir(checkout("tests").parent)
    become("pytest", *ctx.args)


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

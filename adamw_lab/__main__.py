"""The entry point of `adamw-lab` and of `python -m adamw_lab`."""

import sys
from importlib.util import find_spec


def main() -> None:
    if find_spec("typer") is None:
        sys.exit("adamw-lab: the command line needs the extra 'lab': pip install 'adamw-lab[lab]'")
    from adamw_lab.cli import app

    app(prog_name="adamw-lab")


if __name__ == "__main__":
    main()

"""Whether somebody looks: a widget is worth its messages only where a front end answers them."""

import sys


def cell_id() -> str | None:
    """The cell that runs, as the front end calls it; None where no front end is.

    JupyterLab, Notebook 7 and VS Code say with every execution which cell they mean. nbclient, and so papermill and
    nbconvert, do not, nor does a console; a script has no kernel.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return None
    return kernel.get_parent("shell").get("metadata", {}).get("cellId")

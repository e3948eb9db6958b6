"""How JupyterLab is started."""

import os
from pathlib import Path


def lab_arguments(folder: Path) -> list[str]:
    """JupyterLab's own, for a checkout in `folder`: what it serves and opens, on this machine alone."""
    # Not the folder of the notebooks, outside of which the figures would be that they show.
    arguments = [f"--ServerApp.root_dir={folder}", "--ServerApp.ip=127.0.0.1",
                 "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb"]
    # In a container everything is done as root, and it would refuse.
    return [*arguments, "--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else arguments

"""`adamw-lab figures`: the committed figures drawn again, or exported."""

from pathlib import Path


def redraw(names: list[str], out: Path, data: Path, formats: list[str], width: float | None) -> list[Path]:
    """Draw figures into `out`; of all of them, as they are committed, the manifest too. See `figures.draw_all`."""
    from adamw_lab.experiments import write_json
    from adamw_lab.figures import draw_all, manifest

    if formats or width is not None or names:
        return draw_all(out, data, names=names, width=width, **({"formats": formats} if formats else {}))
    written = draw_all(out, data)
    write_json(out / "manifest.json", manifest(data))
    return [*written, out / "manifest.json"]

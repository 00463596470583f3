"""Settings of sphinx-gallery: the order of the examples, and a scraper for their figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from sphinx_gallery.scrapers import figure_rst

ORDER = (
    "watch_a_curriculum.py",
    "measure_timescales.py",
    "your_own_network.py",
    "ablate_and_perturb.py",
    "prune_a_network.py",
    "flip_flop.py",
    "step_function.py",
    "adapting_cell.py",
    "recall_task.py",
    "stable_timescale.py",
    "doubling_curriculum.py",
    "sparseness.py",
    "silent_replay.py",
    "parallel_in_time.py",
    "small_paper.py",
)

DPI = 120


def position(name: str) -> int:
    """Return the place of an example in the gallery."""
    return ORDER.index(name)


def save_figures(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the new figures of the Axes among an example's variables, and return their markup.

    sphinx-gallery's scraper for matplotlib finds figures through pyplot, which does not know tauscope's figures.
    """
    del block
    axes = [value for value in block_vars["example_globals"].values() if isinstance(value, Axes)]
    saved = []
    for figure in dict.fromkeys(ax.figure for ax in axes):
        if not hasattr(figure, "saved_for_gallery"):
            path = Path(next(block_vars["image_path_iterator"]))
            fine = path.with_stem(f"{path.stem}_2_00x")
            figure.savefig(path, dpi=DPI)
            figure.savefig(fine, dpi=2 * DPI)
            saved.append({0: str(path), 2.0: str(fine)})
            figure.saved_for_gallery = True
    return figure_rst([paths[0] for paths in saved], gallery_conf["src_dir"], srcsetpaths=saved)

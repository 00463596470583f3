"""The page of a run: all of it is there, none of it from elsewhere, and what is damaged is named."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
from dataclasses import fields
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread

from few import ON_BITS
from sweeping import record
from tauscope import TrainConfig
from tauscope.measurements import MEASUREMENTS
from tauscope.report import UNDRAWN, report_page
from tauscope.runs.checkpoints import save_weights
from tauscope.runs.published import to_published
from tauscope.runs.results import load_result, save_result

SHOWN = "Connectivity of rnn_N2_N3: eigenvalues"
HOSTILE = """x"><img src=//evil onerror='alert(1)'><script>alert(2)</script>&amp;"""


def alts(page) -> list[str]:
    return [image["alt"] for image in page.all("img")]


def test_every_picture_is_inside_the_page_and_described(full_page, read):
    images = read(full_page).all("img")
    assert len(images) == len({image["alt"] for image in images})
    for image in images:
        kind, content = image["src"].split(",")
        assert kind == "data:image/png;base64"
        height, width = imread(io.BytesIO(base64.b64decode(content, validate=True)), format="png").shape[:2]
        assert (width, height) == (int(image["width"]), int(image["height"]))
        assert len(image["alt"]) > 10


def test_nothing_is_loaded_from_elsewhere(full_page, read):
    page = read(full_page)
    assert not page.all("script")
    for _, attributes in page.elements:
        assert attributes.get("src", "data:").startswith("data:")
        assert not re.match(r"([a-z]+:)?//", attributes.get("href", ""))
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert "url(" not in full_page
    assert "@import" not in full_page


def test_a_phone_is_told_to_show_it_at_its_own_width(full_page, read):
    (viewport,) = [meta for meta in read(full_page).all("meta") if meta.get("name") == "viewport"]
    assert viewport["content"] == "width=device-width, initial-scale=1"


def test_every_link_leads_to_a_file_or_a_section(full_run, full_page, read):
    page = read(full_page)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    links = [link["href"] for link in page.all("a")]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} == set(ids)
    files = {unquote(link) for link in links if not link.startswith("#")}
    assert all((full_run / file).is_file() for file in files)
    data = {f"analysis/{path.name}" for path in (full_run / "analysis").glob("*.nc")}
    assert files >= data | {"config.json", "environment.json", "metrics.jsonl", "rnn_N2_N2", "rnn_N2_N3"}


def test_every_measurement_has_its_figures_and_captions(full_page, read):
    page = read(full_page)
    ids = [section["id"] for section in page.all("section")]
    others = {"performance", "reactivation", "closed_loop"}
    assert set(MEASUREMENTS) - others <= set(ids), "all but those of trials, of noise and of clones"
    measured = [name for name in ids if name in MEASUREMENTS]
    assert measured == sorted(measured, key=list(MEASUREMENTS).index)
    for name in measured:
        listed = MEASUREMENTS[name]
        assert listed.about in page.text
        for figure_name, figure in listed.figures.items():
            assert f"{figure.caption} 1 network" in page.text
            assert f"{listed.title} of rnn_N2_N3" + (f": {figure_name}" if figure_name else "") in alts(page)
    assert f"1 network, {ON_BITS['n_trials']} trials of {ON_BITS['n_steps']} steps." in page.text
    assert f"1 network, {ON_BITS['n_sequences']} sequences." in page.text


def test_main_numbers_name_numbers_of_their_measurement(full_run):
    for file in (full_run / "analysis").glob("rnn_N2_N3_*.nc"):
        result, source = load_result(file)
        name = source["analysis"]
        numbers = MEASUREMENTS[name].numbers(result)
        for pattern in MEASUREMENTS[name].main:
            matching = re.compile(re.escape(pattern).replace(r"\*", ".*"))
            assert any(matching.fullmatch(number) for number in numbers), (name, pattern)


def test_numbers_are_those_of_the_results(full_run, full_page, read):
    rows = read(full_page).rows
    weights = TrainConfig(num_neurons=12, seed=7).model().layers[0].recurrent_weights.detach().double().numpy()
    radius = f"{np.abs(np.linalg.eigvals(weights)).max():.4g}"
    assert rows.count(["spectral radius (layer 1, recurrent)", radius]) == 2
    result, _ = load_result(full_run / "analysis/rnn_N2_N3_dimensionality.nc")
    assert ["participation ratio", f"{float(result.participation_ratio.mean()):.4g}"] in rows


def test_configuration_and_provenance(full_run, full_page, read):
    page = read(full_page)
    options = json.loads((full_run / "config.json").read_text())
    shown = {row[0]: row[1] for row in page.rows if len(row) == 3}
    for option in fields(TrainConfig):
        assert option.name in shown
        if options.get(option.name) is not None:
            assert shown[option.name] == str(options[option.name])
    # What follows from the cell is filled in, what nothing sets is said to be the default.
    assert (shown["lr"], shown["optimizer"], shown["tau"]) == ("0.05", "sgd", "default")
    (session,) = json.loads((full_run / "environment.json").read_text())
    for name, value in session.items():
        assert [name.replace("_", " "), str(value)] in page.rows
    assert f"tauscope {session['tauscope']}" in page.text
    assert "seed 0" in page.text


def test_training_curves_and_facts(full_page, read):
    page = read(full_page)
    assert {"Accuracy and loss after every epoch", "Largest N solved after every epoch"} <= set(alts(page))
    assert "1 network, 3 epochs." in page.text
    for fact in ("12 units", "N-parity", "multi-head", "3 epochs; last loss 0.1667 nats; 1:30:00", "N = 3: 99.0%"):
        assert fact in page.text


def test_evaluations(full_page, read):
    rows = read(full_page).rows
    assert ["1", "no head", "", "0.500"] in rows
    assert ["2", "0.700", "0.610 - 0.790", "0.667"] in rows
    assert ["head", "N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}2", "N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}3"] in rows
    assert ["3", "0.43", "0.94"] in rows


def test_a_picture_of_an_evaluation_is_shown(run, read):
    (run / "evaluation_rnn_N2_N3.csv").write_text("N,low,high,chance,accuracy\n")
    shutil.copy(run / "analysis/rnn_N2_N3_connectivity_weights.png", run / "evaluation_rnn_N2_N3.png")
    assert "Accuracy of rnn_N2_N3 for each N by its own head, with 95 % intervals" in alts(read(report_page(run)))


def test_several_checkpoints_are_summed_up_against_N(full_page, read):
    page = read(full_page)
    against = [alt for alt in alts(page) if alt.endswith("against N")]
    assert against == [
        "mean tau (steps) against N",
        "mean tau_net, units > 1 (steps) against N",
        "mean weight (layer 1, recurrent) against N",
        "spectral radius (layer 1, recurrent) against N",
    ]
    table = [row for row in page.rows if len(row) == 3 and row[0].startswith("rnn_")]
    assert [row[0] for row in table] == ["rnn_N2_N2", "rnn_N2_N3"] * 2


def test_one_checkpoint_is_not_summed_up(run, read):
    page = read(report_page(run))
    assert not [alt for alt in alts(page) if alt.endswith("against N")]
    assert SHOWN in alts(page)


def test_no_path_of_this_machine(full_run, full_page, run):
    assert str(full_run.parent) not in full_page
    for name in ("config.json", "environment.json", "analysis/rnn_N2_N3_connectivity.nc"):
        (run / name).write_text("{")
    (run / "metrics.jsonl").write_text("5\n")
    page = report_page(run)
    assert "config.json" in page
    assert str(run.parent) not in page
    assert str(Path.home()) + os.sep not in page


def test_the_same_files_give_the_same_page(run):
    assert report_page(run) == report_page(run)


def test_a_page_elsewhere_links_to_the_run(run, tmp_path, read):
    folder = tmp_path / "pages"
    folder.mkdir()
    page = read(report_page(run, page=folder))
    links = [unquote(link["href"]) for link in page.all("a") if not link["href"].startswith("#")]
    assert f"../{run.name}/analysis/rnn_N2_N3_connectivity.nc" in links
    assert all((folder / link).is_file() for link in links)


def test_a_run_without_analyses_says_which_commands_make_them(run, read):
    shutil.rmtree(run / "analysis")
    text = read(report_page(run)).text
    assert f"tauscope analyze all {run.name}" in text
    assert f"tauscope evaluate {run.name}" in text


def test_what_is_missing_is_named(run, full_page, read):
    text = read(report_page(run)).text
    assert f"tauscope analyze timescales {run.name}" in text
    assert f"tauscope analyze perturbation {run.name}" in text
    assert "analyze connectivity" not in text
    assert "analyze all" not in text
    assert "Not measured yet" not in read(full_page).text


def test_a_run_that_solved_nothing(run, read):
    for path in run.glob("rnn_*"):
        path.unlink()
    shutil.rmtree(run / "analysis")
    page = read(report_page(run))
    assert "No checkpoint yet" in page.text
    assert "no N yet" in page.text
    assert not page.all("img")


def test_results_measured_into_another_folder(run, tmp_path, read):
    home = tmp_path / "results" / run.name
    shutil.move(run / "analysis", home / "analysis")
    assert SHOWN not in alts(read(report_page(run)))
    assert SHOWN in alts(read(report_page(run, measured=home)))


def test_nothing_of_a_name_or_an_option_is_taken_for_markup(run, read):
    hostile = run.rename(run.with_name(f"cumulative_parity_{HOSTILE.replace('/', '')}_network_1"))
    options = json.loads((hostile / "config.json").read_text())
    del options["checksum"]
    (hostile / "config.json").write_text(json.dumps(options | {"cell": f"module:{HOSTILE}"}))
    (hostile / "environment.json").write_text(json.dumps([{HOSTILE: HOSTILE}]))
    (hostile / f"evaluation_{HOSTILE.replace('/', '')}.csv").write_text("N,low\n")
    shutil.copy(hostile / "analysis/rnn_N2_N3_connectivity.nc", hostile / f"analysis/{HOSTILE.replace('/', '')}.nc")
    shutil.copy(hostile / "analysis/rnn_N2_N3_connectivity.nc", hostile / "analysis/javascript:alert(1).nc")
    (hostile / "analysis/<b>.nc").write_text("no netCDF")
    page = read(report_page(hostile, page=hostile / "analysis"))
    assert not page.all("script")
    assert not page.all("b")
    assert all(image["src"].startswith("data:image/png") for image in page.all("img"))
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not [link for link in page.all("a") if re.match(r"\w+:", link["href"])]
    assert [HOSTILE, HOSTILE] in page.rows
    assert ["cell", f"module:{HOSTILE}"] in [row[:2] for row in page.rows]
    assert hostile.name in page.text


@pytest.mark.parametrize("case", ["made with it", "made later", "damaged"])
def test_a_picture_beside_a_result_is_shown_if_it_was_made_with_it(run, read, case):
    result = run / "analysis/rnn_N2_N3_connectivity.nc"
    there = result.with_name("rnn_N2_N3_connectivity_eigenvalues.png")
    if case == "damaged":
        there.write_bytes(there.read_bytes()[:60])
    later = result.stat().st_mtime + (5 if case == "made later" else -5)
    os.utime(there, (later, later))
    (shown,) = [image for image in read(report_page(run)).all("img") if image["alt"] == SHOWN]
    assert (shown["width"] == "30") == (case == "made with it")


def damage(path: Path, case: str) -> None:
    result, source = load_result(path)
    if case == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    elif case == "no netCDF":
        path.write_text("no netCDF")
    elif case == "foreign":
        path.write_bytes(bytes(xr.Dataset({"x": 1}).to_netcdf(engine="h5netcdf")))
    elif case == "strange provenance":
        save_result(path, result, ["connectivity"])  # type: ignore[arg-type]
    elif case == "unknown measurement":
        save_result(path, result, source | {"analysis": "astrology"})
    elif case == "unknown checkpoint":
        save_result(path, result, source | {"checkpoint": f"{path.parent.parent.name}/x"})
    elif case == "other content":
        save_result(path, result.drop_vars("spectral_radius"), source)
    elif case == "undrawable":
        save_result(path, result.drop_vars("eigenvalues"), source)


@pytest.mark.parametrize(
    "case",
    ["truncated", "no netCDF", "foreign", "strange provenance", "unknown measurement", "unknown checkpoint",
     "other content", "undrawable"],
)  # fmt: skip
def test_a_damaged_result_is_named_and_the_rest_is_shown(run, read, case):
    sound = run / "analysis/rnn_N2_N3_connectivity.nc"
    broken = Path(shutil.copy(sound, run / "analysis/broken.nc"))
    damage(broken, case)
    page = read(report_page(run))
    assert "Files that could not be shown" in page.text
    assert re.search(r"\n\s*broken\.nc: .{20,}", page.text)
    assert str(run.parent) not in page.text
    assert SHOWN in alts(page)
    assert len(page.all("details")) == (4 if case == "undrawable" else 3)


def test_a_result_of_another_network_is_not_shown(run, read):
    config = TrainConfig(num_neurons=12, seed=8)
    save_weights(run / "rnn_N2_N3", to_published(config.model()))
    page = read(report_page(run))
    assert "rnn_N2_N3_connectivity.nc: was measured on another network than rnn_N2_N3" in page.text
    assert SHOWN not in alts(page)


def test_a_result_outlives_its_checkpoint_under_the_name_of_its_run(run, read):
    (run / "rnn_N2_N3").unlink()
    assert SHOWN in alts(read(report_page(run)))
    (run / "analysis/rnn_N2_N3_connectivity_weights.png").unlink()
    page = read(report_page(run))
    assert "rnn_N2_N3_connectivity.nc: has a figure that cannot be drawn" in page.text
    assert str(run.parent) not in page.text
    assert SHOWN in alts(page)
    assert [row[0] for row in page.rows].count("spectral radius (layer 1, recurrent)") == 1
    renamed = run.rename(run.with_name("cumulative_parity_network_9"))
    assert "was measured on another network" in read(report_page(renamed)).text


@pytest.mark.parametrize(
    ("name", "content"),
    [("config.json", "{"), ("config.json", '{"colour": "red"}'), ("environment.json", "[1]"), ("environment.json", ""),
     ("metrics.jsonl", "5\n"), ("metrics.jsonl", '{"epoch": 1}\n'), ("evaluation_x.csv", "a,b\n1,2\n"),
     ("evaluation_x_all_heads.csv", "head,N,accuracy\n2,2,much\n"), ("stats.npy", "no array")],
)  # fmt: skip
def test_a_damaged_file_is_named_and_the_rest_is_shown(run, read, name, content):
    (run / name).write_text(content)
    page = read(report_page(run))
    assert re.search(rf"\n\s*{re.escape(name)}: .{{20,}}", page.text)
    assert str(run.parent) not in page.text
    assert SHOWN in alts(page)


@pytest.mark.parametrize(("name", "value"), [("epoch", [[2]]), ("epoch", 1e308), ("accuracy", ["a"]), ("loss", {})])
def test_a_wrong_record_is_named_by_its_line_and_the_rest_is_whole(run, read, name, value):
    lines = [record(1, 2, False), record(2, 2, True) | {name: value}, record(3, 3, False)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = report_page(run)
    assert UNDRAWN not in text
    page = read(text)
    assert re.search(rf"\n\s*metrics\.jsonl: {name} of line 2 is .*; expected ", page.text)
    assert SHOWN in alts(page)


def test_without_a_configuration_the_weights_and_the_name_tell(run, read):
    for name in ("config.json", "environment.json"):
        (run / name).unlink()
    page = read(report_page(run))
    for fact in ("12 units (LeakyCell)", "N-parity", "multi-head", "no readable config.json", "no records of epochs"):
        assert fact in page.text
    assert "Files that could not be shown" not in page.text


@pytest.mark.reference
def test_a_published_folder(reference, read, tmp_path):
    page = read(report_page(reference / "trained_models/single_parity_network_1", page=tmp_path))
    for fact in ("500 units (LeakyCell)", "single-head", "N = 2, 5, 8", "273 epochs", "tauscope analyze all"):
        assert fact in page.text
    assert alts(page) == ["Accuracy and loss after every epoch"]

"""Navigation: walks have the statistics of the published ones, walls turn them, and codes are decoded as their definition says."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tauscope import InputError
from tauscope.tasks import HeadDirection, PathIntegration
from tauscope.tasks.check import check_task
from tauscope.tasks.navigation import BOX, CodedTask, avoid_walls, walk, wrapped

N_MANY = 4000
TASKS = (PathIntegration(n_cells=32), PathIntegration(n_cells=32, biased=True), HeadDirection(n_cells=32), HeadDirection(n_cells=32, biased=True))  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_a_position_is_the_start_and_all_movements_since(task: CodedTask, generator: torch.Generator) -> None:
    batch = task.sample(50, generator)
    steps, positions = batch.inputs.double(), batch.targets[:, :, 0].double()
    start = positions[0] - steps[0]
    difference = start + steps.cumsum(dim=0) - positions
    difference = wrapped(difference) if task.periodic else difference
    assert difference.abs().max() < 1e-6
    assert batch.start is not None
    torch.testing.assert_close(batch.start, task.code(start).float(), rtol=0, atol=1e-5)
    again = task.sample(50, torch.Generator().manual_seed(0))
    assert torch.equal(batch.inputs, again.inputs)
    assert torch.equal(batch.targets, again.targets)
    check_task(task)


@pytest.mark.parametrize(
    ("biased", "step", "late", "early", "net"),
    [(False, 0.0197, 0.68, None, 1.06), (True, 0.0174, 0.236, 0.28, None)],
)
def test_walks_have_the_statistics_of_the_published_ones(
    biased: bool, step: float, late: float, early: float | None, net: float | None
) -> None:
    # Other seeds than those with which the numbers were found.
    path = walk(101, N_MANY, biased, torch.Generator().manual_seed(7))[1:].numpy()
    moved = np.linalg.norm(np.diff(path, axis=0), axis=-1)
    # The number of the biased walk leaves out its first step, which is pulled most.
    means = moved[int(biased) :].mean(axis=0)
    assert abs(means.mean() - step) < 5 * means.std() / math.sqrt(N_MANY) + 5e-5

    def spread(at: np.ndarray, expected: float) -> None:
        # Positions in a box have a kurtosis below 3: √(2 / n) bounds the relative error of a variance.
        assert abs(at.std(axis=0) / expected - 1).max() < 5 / math.sqrt(2 * N_MANY) + 0.005 / expected

    spread(path[100], late)
    if early is not None:
        spread(path[20], early)
    if net is not None:
        far = np.linalg.norm(path[100] - path[0], axis=-1)
        assert abs(far.mean() - net) < 5 * far.std() / math.sqrt(N_MANY) + 0.005
    outside = np.abs(path).max(axis=-1) - BOX / 2
    assert outside.max() < 0.02 * 0.26 * math.pi * 6  # one step
    assert (outside > 0).mean() == pytest.approx(0.0 if biased else 0.008, abs=0.002)


@pytest.mark.parametrize(
    ("at", "heading", "slowed", "turn"),
    [
        ((1.08, 0.0), 0.0, 0.25, 0.0),  # straight at a wall
        ((1.08, 0.0), math.pi / 6, 0.25, math.pi / 3),
        ((1.08, 0.0), -math.pi / 6, 0.25, -math.pi / 3),
        ((-1.08, 0.3), math.pi - 0.1, 0.25, 0.1 - math.pi / 2),
        ((0.3, 1.08), math.pi / 2 + 0.2, 0.25, math.pi / 2 - 0.2),
        ((0.3, -1.09), -math.pi / 2 + 0.2, 0.25, math.pi / 2 - 0.2),
        ((0.3, -1.09), 3 * math.pi / 2 + 0.2, 0.25, math.pi / 2 - 0.2),
        ((1.11, 0.0), 0.1, 0.25, math.pi / 2 - 0.1),  # outside already
        ((1.08, 0.0), math.pi / 2 + 0.01, 1.0, 0.0),  # away from it
        ((1.06, 0.0), 0.1, 1.0, 0.0),  # 4 cm from it
        ((0.0, 0.0), 0.1, 1.0, 0.0),
    ],
)
def test_a_walk_avoids_the_nearest_wall(at: tuple[float, float], heading: float, slowed: float, turn: float) -> None:
    found = avoid_walls(np.array([at]), np.array([heading]))
    np.testing.assert_allclose(np.array(found)[:, 0], [slowed, turn], atol=1e-12)


def test_after_turning_a_walk_runs_along_the_wall() -> None:
    heading = np.linspace(-3, 3, 50)
    for at, along in (((1.08, 0.0), np.cos), ((0.0, -1.08), np.sin)):
        slowed, turn = avoid_walls(np.tile(at, (50, 1)), heading)
        np.testing.assert_allclose(along(heading + turn)[(slowed < 1) & (turn != 0)], 0, atol=1e-12)


def test_turns_of_the_head_have_their_size(generator: torch.Generator) -> None:
    turns = HeadDirection().sample(N_MANY, generator).inputs.double()
    assert turns.mean().abs() < 5 * 0.2304 / math.sqrt(turns.numel())
    assert abs(turns.std() / 0.2304 - 1) < 5 / math.sqrt(2 * turns.numel())
    left = HeadDirection(biased=True).sample(N_MANY, generator).inputs.double()
    assert left.min() >= 0
    assert abs(left.mean() - 0.2304 * math.sqrt(2 / math.pi)) < 5 * 0.14 / math.sqrt(left.numel())


@settings(deadline=None, max_examples=30)
@given(n_cells=st.integers(1, 60), seed=st.integers(0, 2**20), x=st.floats(-1.1, 1.1), y=st.floats(-1.1, 1.1))
def test_a_place_code_is_the_normalised_field_of_every_cell(n_cells: int, seed: int, x: float, y: float) -> None:
    task = PathIntegration(n_cells=n_cells, place_seed=seed)
    code = task.code(torch.tensor([x, y], dtype=torch.float64))
    assert abs(float(code.sum()) - 1) < 1e-6
    centres = task.centres.double().numpy()
    assert (np.abs(centres) <= BOX / 2).all()
    fields = np.exp(-np.square(centres - [x, y]).sum(axis=1) / (2 * 0.2**2))
    np.testing.assert_allclose(code.numpy(), fields / fields.sum(), rtol=1e-6, atol=1e-12)


def test_a_code_at_a_centre_is_decoded_as_the_mean_of_its_neighbours() -> None:
    task = PathIntegration(n_cells=100, place_seed=3)
    centres = task.centres.double()
    found = task.decode(task.code(centres))
    distances = torch.cdist(centres, centres)
    for i in range(100):
        nearest = distances[i].argsort()[:3]
        torch.testing.assert_close(found[i], centres[nearest].mean(dim=0).float(), rtol=0, atol=1e-6)


def test_directions_are_evenly_round_the_ring() -> None:
    task = HeadDirection(n_cells=12)
    centres = task.centres[:, 0]
    torch.testing.assert_close(centres, torch.tensor([-math.pi + 2 * math.pi * i / 12 for i in range(12)]))
    code = task.code(task.centres)
    torch.testing.assert_close(code.diagonal(), torch.ones(12))
    # The three most active cells are a cell and its two neighbours, whose mean direction is its own, also across ±π.
    assert (wrapped(task.decode(code) - task.centres).abs() < 1e-6).all()


@pytest.mark.parametrize(("n_cells", "floor"), [(32, 0.057), (64, 0.028), (128, 0.014)])
def test_decoding_a_direction_has_its_floor(n_cells: int, floor: float, generator: torch.Generator) -> None:
    task = HeadDirection(n_cells=n_cells)
    batch = task.sample(500, generator)
    assert float(task.score(task.code(batch.targets), batch)) == pytest.approx(floor, rel=0.03)


@pytest.mark.parametrize("task", TASKS)
def test_a_score_is_the_root_mean_square_distance_also_of_several_batches(
    task: CodedTask, generator: torch.Generator
) -> None:
    batches = [task.sample(n, generator) for n in (3, 5)]
    outputs = [torch.randn(100, n, 1, 32, generator=generator) for n in (3, 5)]
    squares = []
    for batch, output in zip(batches, outputs, strict=True):
        difference = (task.decode(output) - batch.targets).double()
        difference = torch.atan2(difference.sin(), difference.cos()) if task.periodic else difference
        squares.append(difference.square().sum(dim=-1).flatten())
    sums = torch.stack([torch.stack(task.tally(*pair)).double() for pair in zip(outputs, batches, strict=True)])
    found = float(task.of_sums(*sums.sum(dim=0)))
    assert found == pytest.approx(float(torch.cat(squares).mean().sqrt()), rel=1e-5)


@pytest.mark.parametrize("task", TASKS[::2])
def test_the_loss_is_the_mean_squared_error_of_codes(task: CodedTask, generator: torch.Generator) -> None:
    batch = task.sample(4, generator)
    code = task.code(batch.targets)
    assert float(task.loss(code, batch)) == 0
    assert float(task.loss(code + 0.5, batch)) == pytest.approx(0.25, rel=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_chance_is_the_error_of_the_best_constant_answer(task: CodedTask, generator: torch.Generator) -> None:
    positions = task.sample(N_MANY, generator).targets
    error = task.distance(positions, torch.zeros(positions.shape[-1])).square().mean().sqrt()
    assert float(error) == pytest.approx(task.heads["out"].chance, rel=0.03)


def test_angles_are_wrapped_into_one_turn() -> None:
    assert wrapped(torch.tensor([math.pi, -math.pi, 0.0])).tolist() == pytest.approx([math.pi, math.pi, 0.0])
    angles = torch.linspace(-20, 20, 401, dtype=torch.float64)
    found = wrapped(angles)
    assert ((found > -math.pi) & (found <= math.pi)).all()
    torch.testing.assert_close(found.cos(), angles.cos())
    assert all(abs(a - b) < 0.2 or abs(abs(a - b) - 2 * math.pi) < 0.2 for a, b in pairwise(found.tolist()))


@pytest.mark.parametrize(
    "options", [{"n_cells": 0}, {"n_cells": 2.5}, {"n_steps": 0}, {"biased": "yes"}, {"place_seed": -1}]
)
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        PathIntegration(**options)  # type: ignore[arg-type]
    if "place_seed" not in options:
        with pytest.raises(InputError):
            HeadDirection(**options)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore")
def test_places_and_walks_are_like_those_of_ratinabox() -> None:
    """RatInABox (George et al., eLife 2024) has fields and walks of its own; it is compared where it is installed."""
    pytest.importorskip("ratinabox", reason="RatInABox is not installed")
    from ratinabox.Agent import Agent
    from ratinabox.Environment import Environment
    from ratinabox.Neurons import PlaceCells

    task = PathIntegration(n_cells=50, place_seed=1)
    box = Environment(params={"scale": BOX})
    # Theirs is at [0, 2.2]², ours is around 0; the mean of Rayleigh speeds is scale · √(π / 2) in both.
    agent = Agent(box, params={"dt": 0.02, "speed_mean": 0.26 * math.pi})
    cells = PlaceCells(
        agent,
        params={
            "n": 50, "place_cell_centres": task.centres.numpy() + BOX / 2, "widths": 0.2, "description": "gaussian",
            "wall_geometry": "euclidean",
        },
    )  # fmt: skip
    at = walk(20, 10, False, torch.Generator().manual_seed(0)).reshape(-1, 2).clamp(-1.09, 1.09)
    rates = np.asarray(cells.get_state(evaluate_at=None, pos=at.numpy() + BOX / 2)).T
    np.testing.assert_allclose(task.code(at).numpy(), rates / rates.sum(axis=1, keepdims=True), atol=1e-4)
    for _ in range(20_000):
        agent.update()
    theirs = np.asarray(agent.history["pos"]) - BOX / 2
    ours = walk(2000, 20, False, torch.Generator().manual_seed(0)).reshape(-1, 2).numpy()
    # Both are nearly everywhere in the box: 20 000 steps of one walk leave an error of a fifth.
    assert theirs.var(axis=0).sum() == pytest.approx(ours.var(axis=0).sum(), rel=0.3)

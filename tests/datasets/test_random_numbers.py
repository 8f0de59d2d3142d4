import numpy as np

from batchscore.datasets.random_numbers import Draws


def test_the_numbers_of_a_seed_never_change():
    assert Draws(2).bits(3).tolist() == [4825892087074085057, 5506189730829267300, 15019813854969311518]
    assert Draws(2).uniform(2).tolist() == [0.2616121342493164, 0.2984911434141233]
    assert Draws(2).below(1000, 2).tolist() == [261, 298]


def test_bell_is_the_sum_of_twelve_uniform_numbers():
    draws = Draws(7)
    expected = draws.uniform(4)
    for _ in range(11):
        expected = expected + draws.uniform(4)
    assert Draws(7).bell(4).tolist() == (expected - 6).tolist()


def test_shapes_means_and_ranges():
    uniform, below, bell = Draws(0).uniform(100, 200), Draws(1).below(6, 20_000), Draws(2).bell(200, 100)
    assert (uniform.shape, below.shape, bell.shape) == ((100, 200), (20_000,), (200, 100))
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.01
    assert np.all(np.abs(np.bincount(below, minlength=6) / 20_000 - 1 / 6) < 0.01)
    assert abs(bell.mean()) < 0.03
    assert abs(bell.std() - 1) < 0.03

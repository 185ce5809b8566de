"""What may be sampled, how often, and that it can be repeated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.episodes.errors import UserError
from thresher.offline_rl.transitions.cache import TransitionCache
from thresher.offline_rl.transitions.sampler import TransitionSampler


def _cache(lengths, success, weight=None):
    """A cache of episodes of so many steps each; the sampler reads nothing else."""
    starts = np.concatenate([[0], np.cumsum(lengths)])
    empty = np.zeros(0)
    return TransitionCache(
        path=None,
        spec=None,
        observation={},
        action=empty,
        reward=empty,
        discount=empty,
        episode_starts=starts,
        success=np.array(success, np.int8),
        weight=np.ones(len(lengths)) if weight is None else np.array(weight),
    )


@st.composite
def _caches(draw):
    lengths = draw(st.lists(st.integers(2, 9), min_size=2, max_size=30))
    outcomes = st.sampled_from([-1, 0, 1])
    success = draw(st.lists(outcomes, min_size=len(lengths), max_size=len(lengths)))
    return _cache(lengths, [1, 0, *success[2:]])


@settings(deadline=None)
@given(
    _caches(),
    st.integers(1, 40),
    st.integers(0, 2**31),
    st.sampled_from(["stratified", "uniform", "weighted"]),
)
def test_no_batch_holds_a_final_step(cache, batch_size, seed, sampling):
    sampler = TransitionSampler(
        cache, batch_size=batch_size, seed=seed, sampling=sampling
    )
    for number in range(3):
        rows = sampler.batch(number)
        assert rows.shape == (batch_size,)
        assert not cache.is_last[rows].any()


@settings(deadline=None)
@given(_caches(), st.integers(1, 40), st.integers(0, 2**31))
def test_stratified_batches_are_half_success_half_failure(cache, batch_size, seed):
    sampler = TransitionSampler(
        cache, batch_size=batch_size, seed=seed, sampling="stratified"
    )
    success = [cache.success[cache.episode_of(sampler.batch(n))] for n in range(2)]
    assert not np.any(np.concatenate(success) == -1)
    # Over two batches an odd extra row has gone to each class once.
    assert np.sum(np.concatenate(success) == 1) == batch_size


@settings(deadline=None)
@given(_caches(), st.integers(0, 2**31), st.integers(0, 5))
def test_a_restored_sampler_goes_on_where_it_was(cache, seed, used):
    def sampler():
        return TransitionSampler(cache, batch_size=7, seed=seed, sampling="uniform")

    first = sampler()
    for _ in range(used):
        first.advance()
    second = sampler()
    second.restore(first.state())
    assert second.position == used
    np.testing.assert_array_equal(
        first.batch(first.position), second.batch(second.position)
    )


def test_every_transition_is_drawn_alike():
    cache = _cache([3, 5], [1, 0])
    sampler = TransitionSampler(cache, batch_size=6000, seed=0, sampling="uniform")
    rows, counts = np.unique(sampler.batch(0), return_counts=True)
    np.testing.assert_array_equal(rows, [0, 1, 3, 4, 5, 6])
    assert counts.min() > 900 and counts.max() < 1100


def test_another_seed_draws_other_batches():
    cache = _cache([9, 9], [1, 0])
    drawn = [
        TransitionSampler(cache, batch_size=16, seed=s, sampling="uniform").batch(0)
        for s in (0, 1)
    ]
    assert not np.array_equal(*drawn)


@pytest.mark.parametrize(
    ("success", "message"),
    [
        ([1, 1], "there is no failed episode"),
        ([0, -1], "there is no successful episode"),
        ([-1, -1], "all 2 episodes are of unknown success"),
    ],
)
def test_stratifying_needs_both_outcomes(success, message):
    with pytest.raises(UserError, match=message):
        TransitionSampler(
            _cache([2, 2], success), batch_size=2, seed=0, sampling="stratified"
        )


def test_an_unknown_sampling_is_told_the_near_ones():
    with pytest.raises(UserError, match="did you mean 'stratified'"):
        TransitionSampler(
            _cache([2, 2], [0, 1]), batch_size=2, seed=0, sampling="stratfied"
        )


def test_weighted_batches_have_the_ratio_that_was_asked_for_whatever_the_lengths():
    # One long failure and three short successes; weights ask for a quarter successes.
    cache = _cache([40, 3, 3, 3], [0, 1, 1, 1], weight=[3.0, 1 / 3, 1 / 3, 1 / 3])
    sampler = TransitionSampler(cache, batch_size=4000, seed=1, sampling="weighted")
    episodes = cache.episode_of(sampler.batch(0))
    assert np.mean(cache.success[episodes] == 1) == pytest.approx(0.25, abs=0.03)
    shares = np.bincount(episodes, minlength=4)[1:] / 4000
    np.testing.assert_allclose(shares, 1 / 12, atol=0.02)


def test_an_episode_of_no_weight_is_never_drawn():
    cache = _cache([5, 5, 5], [1, 0, 0], weight=[1.0, 0.0, 1.0])
    sampler = TransitionSampler(cache, batch_size=500, seed=0, sampling="weighted")
    assert set(cache.episode_of(sampler.batch(3))) == {0, 2}

"""The area under the ROC curve, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thresher.offline_rl.ranking import roc_auc


@pytest.mark.parametrize(
    ("scores", "positive", "area"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 1.0),
        ([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], 0.0),
        # Of the four pairs three are in order.
        ([0.1, 0.6, 0.5, 0.9], [0, 0, 1, 1], 0.75),
        ([0.5, 0.5, 0.5], [0, 1, 1], 0.5),
    ],
)
def test_area_is_the_share_of_pairs_in_order(scores, positive, area):
    assert roc_auc(np.array(scores), np.array(positive)) == area


def test_one_class_alone_has_no_ranking():
    assert math.isnan(roc_auc(np.array([0.1, 0.2]), np.array([1, 1])))


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="differ"):
        roc_auc(np.array([0.1, 0.2]), np.array([1]))

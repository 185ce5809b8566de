"""Seeded numbers that depend on what a thing is, never on where it stands.

Orders, splits and choices derive from these, so neither the number nor the order of
workers, files or rows can change them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def text_hash(text: str, seed: int) -> int:
    """Returns 64 bits of a text and a seed: the first of a SHA-256."""
    digest = hashlib.sha256(f"{seed}/{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def id_words(ids: Sequence[str]) -> np.ndarray:
    """Returns ids of 32 hexadecimal digits as numbers, uint64 [N, 2].

    An empty id (of what could not be read) is all zeros.
    """
    joined = "".join(name or "0" * 32 for name in ids)
    return np.frombuffer(bytes.fromhex(joined), dtype=">u8").reshape(-1, 2).astype("u8")


def id_text(words: np.ndarray) -> str:
    """Returns the id of two words."""
    return f"{int(words[0]):016x}{int(words[1]):016x}"


def ranks(ids: np.ndarray, seed: int, salt: int | np.ndarray = 0) -> np.ndarray:
    """Returns a random-looking number for every id, uint64 [N].

    Ids are digests already; one finaliser (Steele, Lea, Flood 2014, splitmix64) a word
    is enough to make another seed another order.

    Args:
      ids: As `id_words` returned.
      seed: Another seed, other numbers.
      salt: Tells copies of one episode apart; one number, or one for each id.
    """
    start = np.uint64(text_hash("ranks", seed))
    salted = start + np.asarray(salt, dtype=np.uint64) * _GOLDEN
    return _mix(ids[:, 1] ^ _mix(ids[:, 0] ^ salted))


def _mix(words: np.ndarray) -> np.ndarray:
    words = words + _GOLDEN
    words = (words ^ (words >> np.uint64(30))) * _MIX_1
    words = (words ^ (words >> np.uint64(27))) * _MIX_2
    return np.asarray(words ^ (words >> np.uint64(31)))

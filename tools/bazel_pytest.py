"""Runs pytest on the files named; the main program of every Bazel test."""

import sys

import pytest

if __name__ == "__main__":
    options = ["--import-mode=importlib", "-p", "no:cacheprovider"]
    sys.exit(pytest.main([*options, *sys.argv[1:]]))

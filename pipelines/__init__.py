"""Pipelines: collect, ingest, check, split, rebalance, plan, write, seal."""

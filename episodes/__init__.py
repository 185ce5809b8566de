"""What an episode is: spec, contract, raw log, index. Imports nothing of ours."""

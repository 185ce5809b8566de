"""What an episode is: spec, episode, contract, raw log, index. Imports nothing of ours."""

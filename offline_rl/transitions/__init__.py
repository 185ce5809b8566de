"""From a sealed dataset version to seeded, resumable batches of transitions."""

"""The commands of `thresher`, by what they are about; each imports what it needs."""

"""The grasping episodes as a user of TFDS alone would build them."""

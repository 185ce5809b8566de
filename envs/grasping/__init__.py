"""Bin grasping: a gantry gripper over a tray of random objects, simulated fast."""

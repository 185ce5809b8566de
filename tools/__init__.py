"""Tools that set up and check this repository; not shipped in the wheel."""

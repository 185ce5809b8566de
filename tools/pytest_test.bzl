"""A test that pytest runs, in a sandbox that holds only its declared dependencies."""

def pytest_test(name, srcs, deps = [], **kwargs):
    native.py_test(
        name = name,
        srcs = srcs + ["//tools:bazel_pytest"],
        main = "//tools:bazel_pytest.py",
        args = ["$(location %s)" % src for src in srcs],
        deps = deps,
        **kwargs
    )

#!/bin/sh
# Builds every target with Bazel and runs the tests that need nothing heavy, offline.
# Usage: VENV=.venv sh tools/bazel.sh [bazel command and its arguments]
# Without arguments: build //... and then test all but the heavy tests.
set -eu
if ! command -v bazel >/dev/null 2>&1; then
    echo 'make bazel needs Bazel in workspace mode (4 to 7). On Debian 12:' >&2
    echo '    apt-get install bazel-bootstrap bazel-rules-java' >&2
    exit 1
fi
work=.build/bazel
rules_java=${RULES_JAVA:-/usr/share/bazel/rules/java}

# Bazel's own workspace names three repositories that it would download though nothing
# here is Java or C++: Debian packages one, and empty ones do for the others.
rm -rf "$work/rules_cc" "$work/remote_coverage_tools"
mkdir -p "$work/rules_cc/cc" "$work/remote_coverage_tools"
echo 'workspace(name = "rules_cc")' > "$work/rules_cc/WORKSPACE"
: > "$work/rules_cc/cc/BUILD"
for rule in cc_binary cc_import cc_library cc_proto_library cc_test cc_toolchain \
    cc_toolchain_suite fdo_prefetch_hints fdo_profile objc_import objc_library; do
    echo "$rule = native.$rule"
done > "$work/rules_cc/cc/defs.bzl"
echo 'workspace(name = "remote_coverage_tools")' > "$work/remote_coverage_tools/WORKSPACE"
echo 'filegroup(name = "coverage_report_generator", visibility = ["//visibility:public"])' \
    > "$work/remote_coverage_tools/BUILD"

# The tests' interpreter is the environment's: Bazel's Python toolchain takes the
# python3 that it finds on the path.
path=$(cd "$VENV/bin" && pwd):/usr/bin:/bin
run() {
    command=$1
    shift
    bazel --output_user_root="$PWD/$work/output" "$command" \
        --override_repository=rules_java="$rules_java" \
        --override_repository=rules_cc="$PWD/$work/rules_cc" \
        --override_repository=remote_coverage_tools="$PWD/$work/remote_coverage_tools" \
        "$@"
}
if [ $# -gt 0 ]; then
    run "$@"
else
    run build //...
    run test //tests/... --test_tag_filters=-heavy --test_env=PATH="$path" \
        --test_output=errors
fi

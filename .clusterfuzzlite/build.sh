#!/usr/bin/env bash
# Builds the fuzzing targets into $OUT, each with its seeds, dictionary and options: for ClusterFuzzLite, for OSS-Fuzz
# (oss-fuzz/build.sh runs this), and for .ci/oss-fuzz, which runs it without a container.
#
# From the builder: $SRC (the checkout is $SRC/mkwrite), $OUT, $SANITIZER, $FUZZING_ENGINE, $RUSTUP_TOOLCHAIN, and
# RUSTFLAGS, CFLAGS and CXXFLAGS for the sanitizer. Which targets there are is in fuzz/Cargo.toml alone.
set -eu -o pipefail

if [ "$FUZZING_ENGINE" != libfuzzer ]; then
  echo "the targets are libFuzzer's: FUZZING_ENGINE=$FUZZING_ENGINE is not supported" >&2
  exit 1
fi
cd "$SRC/mkwrite"
echo "$(rustc --version), RUSTUP_TOOLCHAIN=${RUSTUP_TOOLCHAIN:-unset}, SANITIZER=$SANITIZER"

case $SANITIZER in
  # RUSTFLAGS has the flags of coverage already; the builder's cargo makes a plain build of this.
  none | coverage) sanitizer=none ;;
  *) sanitizer=$SANITIZER ;;
esac
if [ "$sanitizer" != none ]; then
  # With link-time optimisation AddressSanitizer's destructors name coverage sections that are gone: it does not link.
  export CARGO_PROFILE_RELEASE_LTO=off
fi
if [ "$SANITIZER" = coverage ]; then
  # The report looks for sources by absolute paths; those of a member are relative to the workspace.
  for manifest in */Cargo.toml; do
    member=$(dirname "$manifest")
    RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix $member=$PWD/$member"
  done
  export RUSTFLAGS
fi
cargo fuzz build -O --debug-assertions --sanitizer "$sanitizer"

# A member of a workspace is built into the root's folder. (`cargo-fuzz` and not `cargo fuzz`: for coverage the
# builder's cargo turns each of its commands into a build.)
triple=$(rustc -vV | sed -n 's/^host: //p')
built=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/$triple/release
for target in $(cargo-fuzz list); do
  cp "$built/$target" "$OUT/$target"
done

# The program that writes the rest runs here, so that it is built for here: no sanitizer, no coverage, and in a folder
# of its own, where nothing built with other flags is taken for its.
env -u RUSTFLAGS -u CFLAGS -u CXXFLAGS CARGO_PROFILE_DEV_DEBUG=0 \
  cargo run --quiet --package mkwrite --target-dir "$built/../../seeds" -- seeds corpus --out "$OUT"

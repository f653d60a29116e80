#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts there: the program runs, the manual page and the completions
# are found, and a program of somebody else's is built with pkg-config, shared and static.
# Usage: install.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"
build=$(dirname "$SMELT")
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
if [ -n "$(cached SMELT_SANITIZE)" ] || [ "$(cached SMELT_COVERAGE)" = ON ]; then
  ok "an instrumented library is for no other program # SKIP"
  finish
fi

check "it is installed" cmake --install "$build" --prefix "$WORK/x"
mv x moved
for f in bin/smelt share/man/man1/smelt.1 share/bash-completion/completions/smelt \
         share/zsh/site-functions/_smelt share/fish/vendor_completions.d/smelt.fish; do
  check "$f" test -s "moved/$f"
done
check "the program runs" moved/bin/smelt version
# so that two checkouts of one commit, wherever they are, give the same bytes
for f in "$SMELT" "$build/libsmelt.so"; do
  check "${f##*/} does not say where it was built" bash -c '! grep -qF "$1" "$2"' - "$ROOT" "$f"
done

PKG_CONFIG_PATH=$(dirname "$(find "$WORK/moved" -name smelt.pc)")
export PKG_CONFIG_PATH
cat > other.c <<'C'
#include <smelt/store.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    sm_err err = {0};
    sm_store *store = NULL;
    sm_status s = sm_store_open(&store, argc > 1 ? argv[1] : ".", &err);
    puts(s ? err.msg : sm_store_dir(store));
    sm_store_close(store);
    return s != SM_OK;
}
C
smelt init >/dev/null
cc=$(cached CMAKE_C_COMPILER)
# shellcheck disable=SC2046  # lists of flags
shared() { "$cc" -std=c17 -Wall -Werror other.c $(pkg-config --cflags --libs smelt) -o shared; }
# shellcheck disable=SC2046
static() {
  "$cc" -std=c17 other.c $(pkg-config --cflags smelt) -Wl,-Bstatic -lsmelt -Wl,-Bdynamic \
    -L"$(pkg-config --variable=libdir smelt)" \
    $(pkg-config --static --libs smelt | sed 's/-lsmelt//') -o static
}
check "a program with the shared library" shared
check "runs" env LD_LIBRARY_PATH="$(pkg-config --variable=libdir smelt)" ./shared
check "a program with libsmelt.a" static
check "runs without libsmelt.so" ./static
cp "$ROOT/examples/generate.c" .
# shellcheck disable=SC2046
generate() { "$cc" -std=c17 -Wall -Wextra -Wpedantic -Werror generate.c $(pkg-config --cflags --libs smelt) -o generate; }
check "examples/generate.c" generate
tiny_corpus
tiny_pipeline
check "a release" "$SMELT" run tiny.yaml -q
export LD_LIBRARY_PATH
LD_LIBRARY_PATH=$(pkg-config --variable=libdir smelt)
says() { [ "$(./generate release "$1")" = "$(smelt chat release --prompt "$1" --temperature 0 --max-tokens 32 -q)" ]; }
check "continues as chat does" says "The files of"
printf 'gate: strict\nrequire:\n  - {figure: heldout.bpb, max: 0.1}\n' > strict.yaml
smelt gate tiny figures idx --gate strict.yaml -q > /dev/null
check "refuses what no gate passed" bash -c '! ./generate tiny The 2> said; grep -q "no gate" said'
check "without a workspace it says so" bash -c '! ./static /nowhere > said; grep -q nowhere said'
finish

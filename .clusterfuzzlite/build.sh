#!/bin/bash
# Builds all fuzz targets for OSS-Fuzz and ClusterFuzzLite, each with its seeds, dictionary and options. They set $CC,
# $CXX, $CFLAGS, $CXXFLAGS, $LIB_FUZZING_ENGINE, $SRC, $WORK and $OUT.
set -eu -o pipefail

cmake -S "$SRC/jansson" -B "$WORK/jansson/build" -DCMAKE_INSTALL_PREFIX="$WORK/jansson" \
    -DJANSSON_BUILD_DOCS=OFF -DJANSSON_EXAMPLES=OFF -DJANSSON_WITHOUT_TESTS=ON >"$WORK/jansson.log" ||
    { cat "$WORK/jansson.log"; exit 1; }
make -s -C "$WORK/jansson/build" install >"$WORK/jansson.log" || { cat "$WORK/jansson.log"; exit 1; }

cd "$SRC/add-cow"
export LLVM_PROFILE_FILE=/dev/null # a build for coverage runs make_seeds, whose profile nobody needs
make -s -j"$(nproc)" B="$WORK/build" CC="$CC" OPT="$CFLAGS -I$WORK/jansson/include" WARNINGS= \
    LIB_FUZZING_ENGINE="$LIB_FUZZING_ENGINE" FUZZ_LD="$CXX $CXXFLAGS -L$WORK/jansson/lib" \
    fuzzers "$WORK/build/fuzz/seeds"

for source in fuzz/targets/fuzz_*.c; do
    target=$(basename "$source" .c)
    cp "$WORK/build/fuzz/$target" "$OUT/"
    rm -f "$OUT/${target}_seed_corpus.zip"
    find "$WORK/build/fuzz/seeds" fuzz -path "*/$target/*" -type f | sort |
        zip -q -j -@ "$OUT/${target}_seed_corpus.zip"
    [ ! -e "fuzz/targets/$target.dict" ] || cp -L "fuzz/targets/$target.dict" "$OUT/"
    printf '[libfuzzer]\nmax_len = 8192\ntimeout = 25\n' >"$OUT/$target.options"
done

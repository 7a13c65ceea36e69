#!/usr/bin/env bats
# shellcheck disable=SC2154,SC2317 # what common.bash defines, and what `run` calls
# addcow compare and measure.

load common

# A disk of 10,000,000 bytes over a base of 3,000,000, and the raw file `model` that it equals.
compared_overlay() {
    overlay 10000000 3000000
    overlay_write 4000000 5000
}

# compared STATUS OUTPUT ARGUMENT...: what compare answers.
compared() {
    local wanted=$1 text=$2
    shift 2
    run --separate-stderr addcow compare "$@"
    echo "status $status, output '$output', error '$stderr'"
    [ "$status" -eq "$wanted" ] && [ "$output" = "$text" ] && [ -z "$stderr" ]
}

@test "compare: the same content, in whatever files it is" {
    compared_overlay
    compared 0 "Images are identical." -F raw disk.addcow model
    compared 0 "Images are identical." -f raw --second-format=add-cow model disk.addcow
    compared 0 "Images are identical." -f raw -F raw -s model model
    compared 0 "" -q -F raw disk.addcow model
    addcow create -q -i copy.raw --size 10000000 copy.addcow
    addcow write copy.addcow <model
    compared 0 "Images are identical." --strict disk.addcow copy.addcow
}

@test "compare: the offset of the first difference" {
    compared_overlay
    addcow create -q -b model -i image2.raw disk2.addcow
    for at in 0 2999999 5000001 9999999; do
        printf '\252' | addcow write disk2.addcow $at
        addcow read disk2.addcow >other
        first=$(cmp model other | sed 's/.*byte \([0-9]*\),.*/\1/') || true
        compared 1 "Content mismatch at offset $((first - 1))!" disk.addcow disk2.addcow
        compared 1 "Content mismatch at offset $((first - 1))!" -F raw disk.addcow other
        compared 1 "" -q -F raw disk.addcow other
        addcow write -i model disk2.addcow
    done
    compared 0 "Images are identical." disk.addcow disk2.addcow
}

@test "compare: a shorter disk has zeros past its end, unless --strict is given" {
    compared_overlay
    cp model longer
    truncate -s 11000000 longer
    compared 0 "Warning: Image size mismatch!
Images are identical." -F raw disk.addcow longer
    compared 1 "Strict mode: Image size mismatch!" -s -F raw disk.addcow longer
    printf x | dd of=longer bs=1 seek=10999999 conv=notrunc status=none
    compared 1 "Content mismatch at offset 10999999!" -F raw disk.addcow longer
    compared 1 "Content mismatch at offset 10999999!" -f raw longer disk.addcow
}

@test "compare: past the end of the shorter one, in a later chunk, where the chunk before had data" {
    random 5000003 short
    # Zeros that are written: without holes, all of them are read.
    { cat short && head -c 5000000 /dev/zero; } >longer
    compared 0 "Warning: Image size mismatch!
Images are identical." -f raw -F raw short longer
    compared 0 "Warning: Image size mismatch!
Images are identical." -f raw -F raw longer short
    # What stands in the buffer of the shorter one from the chunk before, 4 MiB earlier, counts for nothing.
    { cat short && tail -c +805700 short | head -c 3000000; } >longer
    compared 1 "Content mismatch at offset 5000003!" -f raw -F raw short longer
    compared 1 "Content mismatch at offset 5000003!" -f raw -F raw longer short
}

@test "compare: what cannot be opened or read is no difference" {
    compared_overlay
    refused 2 "nowhere: No such file" compare -F raw disk.addcow nowhere
    refused 2 "nowhere: cannot open" compare nowhere disk.addcow
    refused 2 "neither raw nor add-cow" compare -F qcow2 disk.addcow model
    refused 2 "has a length" compare -F raw disk.addcow /dev/null
    refused 2 "HDR-0" compare disk.addcow model
    refused 2 "too few operands" compare disk.addcow
    # An answer that does not arrive is none.
    lost() { addcow compare "$@" >/dev/full; }
    printf x >tiny
    refused_run 4 "standard output: No space left" lost -F raw disk.addcow model
    refused_run 4 "standard output: No space left" lost -F raw disk.addcow tiny
    refused_run 2 "nowhere: cannot open" lost nowhere disk.addcow
    strace -qq -o /dev/null true 2>/dev/null || skip "strace cannot be used here"
    refused_run 4 "Input/output error" env ASAN_OPTIONS=detect_leaks=0 strace -qq -o strace.log -P "$PWD/model" \
        -e trace=pread64 -e inject=pread64:error=EIO:when=1 "$addcow" compare -F raw disk.addcow model
}

@test "compare agrees with qemu-img on raw files" {
    command -v qemu-img >/dev/null || skip "no qemu-img here"
    compared_overlay
    cp model other
    printf x | dd of=other bs=1 seek=8388608 conv=notrunc status=none
    truncate -s 12000000 other
    for pair in "model model" "model other" "other model"; do
        for strict in "" -s; do
            # shellcheck disable=SC2086 # words are meant
            run qemu-img compare $strict -f raw -F raw $pair
            # shellcheck disable=SC2086
            compared "$status" "$output" $strict -f raw -F raw $pair
        done
    done
}

@test "measure: what a new disk needs" {
    # A header of one cluster, and a bitmap that is padded to one.
    run addcow measure --size 40G
    [ "$status" -eq 0 ] && [ "$output" = "required size: 196608
fully allocated size: $((196608 + (40 << 30)))" ]
    addcow create -q -i image.raw --size 40G disk.addcow
    [ "$(length disk.addcow)" -eq 196608 ]
    for options in "-c 4k" "-c 2M" "--layout=r9"; do
        for size in 0 1 4096 268435456 268435457; do
            truncate -s "$size" base.raw
            # shellcheck disable=SC2086 # words are meant
            addcow create -q $options -f -b base.raw -i "image-$size$options.raw" disk.addcow
            # shellcheck disable=SC2086
            addcow measure $options --output=json --size "$size" >out
            [ "$(json out "j['required']")" -eq "$(length disk.addcow)" ]
            [ "$(json out "j['fully-allocated']")" -eq $(($(length disk.addcow) + size)) ]
        done
    done
}

@test "measure: the data of a disk or of a raw file" {
    truncate -s 10000000 base.raw
    printf x | dd of=base.raw bs=1 seek=70000 conv=notrunc status=none
    printf x | dd of=base.raw bs=1 seek=9999990 conv=notrunc status=none
    addcow measure -f raw --output=json base.raw >out
    # Cluster 1 and the last one, which is cut; header and bitmap.
    last=$((10000000 % 65536))
    [ "$(json out "j['required']")" -eq $((131072 + 65536 + last)) ]
    [ "$(json out "j['fully-allocated']")" -eq $((131072 + 10000000)) ]
    addcow create -q -b base.raw -i image.raw disk.addcow
    printf x | addcow write disk.addcow 3000000
    addcow measure --output=json disk.addcow >out
    [ "$(json out "j['required']")" -eq $((131072 + 2 * 65536 + last)) ]
    [ "$(addcow measure -O raw disk.addcow | head -n 1)" = "required size: $((2 * 65536 + last))" ]
    # Read from a disk without a backing file, it is what the image takes.
    truncate -s 0 empty.raw
    addcow create -q -i empty.raw empty.addcow
    [ "$(addcow measure empty.addcow)" = "required size: 65536
fully allocated size: 65536" ]
}

# clusters SIZE CLUSTER OFFSET...: the bytes of the clusters of a disk of SIZE bytes that hold one of the offsets.
clusters() {
    local size=$1 cluster=$2 number
    shift 2
    for offset in "$@"; do
        echo $((offset / cluster))
    done | sort -nu | while read -r number; do
        echo $(((number + 1) * cluster > size ? size - number * cluster : cluster))
    done | awk '{ sum += $1 } END { print sum + 0 }'
}

@test "measure: holes that begin and end inside clusters, and at the end of the disk" {
    for size in 10000000 9961472 70000; do
        for places in "" "0" "65535" "65536 65600" "4096 69999" "0 9000000 9961471" "61440 65536 131071 200000"; do
            rm -f base.raw
            truncate -s "$size" base.raw
            local inside=()
            for place in $places; do
                [ "$place" -lt "$size" ] || continue
                printf x | dd of=base.raw bs=1 seek="$place" conv=notrunc status=none
                inside+=("$place")
            done
            for cluster in 4096 65536 2097152; do
                addcow measure -O raw -f raw -c $cluster base.raw >out
                [ "$(head -n 1 out)" = "required size: $(clusters "$size" $cluster "${inside[@]}")" ]
            done
        done
    done
}

@test "wrong usage of measure" {
    truncate -s 4096 image.raw
    refused 2 "either --size or FILE" measure
    refused 2 "either --size or FILE" measure --size 1M image.raw
    refused 2 "requires FILE" measure -f raw --size 1M
    refused 2 "power of two" measure -c 5000 --size 1M
    refused 2 "layout r9" measure -c 4k --layout=r9 --size 1M
    refused 2 "target format" measure -O qcow2 --size 1M
    refused 1 "above 2^62" measure --size 8E
    refused 1 "image.raw" measure image.raw
}

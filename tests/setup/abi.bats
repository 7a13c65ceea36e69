#!/usr/bin/env bats
# scripts/abi: the interface of the library cannot change unnoticed. Each test changes a copy.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    copy=$BATS_TEST_TMPDIR/copy
    mkdir "$copy" "$copy/ref" "$copy/fast"
    cp "$root/GNUmakefile" "$copy"
    cp "$root/ref/addcow_format.h" "$copy/ref"
    cp "$root"/fast/{addcow_fast.h,addcow_storage.h,addcow_version.h,libaddcow.map,libaddcow.abi} "$copy/fast"
}

# abi STATUS [OPTION]...
abi() {
    local wanted=$1
    shift
    run env CC=gcc "$root/scripts/abi" --root "$copy" "$@"
    echo "$output"
    [ "$status" -eq "$wanted" ]
}

# change FILE SED-COMMAND: which must change it.
change() {
    cp "$copy/$1" "$BATS_TEST_TMPDIR/before"
    sed -i -E "$2" "$copy/$1"
    run cmp -s "$copy/$1" "$BATS_TEST_TMPDIR/before"
    [ "$status" -eq 1 ]
}

raise_version() {
    change fast/addcow_version.h 's/(ADDCOW_VERSION_MINOR) [0-9]+/\1 77/'
}

raise_soname() {
    change GNUmakefile 's/^(SOVERSION :=) .*/\1 99/'
}

@test "the recorded interface is that of the public headers" {
    abi 0
    [[ "$output" == *"as recorded" ]]
}

@test "a new member at the end of a struct needs a new version, and a confirmation" {
    change fast/addcow_fast.h 's|^( *)unsigned chain_depth;.*|&\n\1uint64_t added;|'
    abi 1
    [[ "$output" == *"+struct addcow_info at 112, 8 bytes: uint64_t added"*"raise the version"* ]]
    abi 1 --update # the version is the same
    raise_version
    abi 1
    [[ "$output" == *"make abi-update"* ]]
    abi 0 --update
    abi 0
    [ "$(sed -n 2p "$copy/fast/libaddcow.abi")" = "version 0.77.0" ]
}

@test "a new function needs a new version, and a place in the list of exported names" {
    change fast/addcow_fast.h 's|^uint64_t addcow_size.*|&\nvoid addcow_new(struct addcow *disk);|'
    abi 2
    [[ "$output" == *"libaddcow.map and the public headers differ: addcow_new" ]]
    change fast/libaddcow.map 's|^( *)addcow_open;|\1addcow_new;\n&|'
    abi 1
    raise_version
    abi 0 --update
    abi 0
}

@test "a pattern in the list of exported names is refused" {
    change fast/libaddcow.map 's|^( *)addcow_open;|\1addcow_o*;|'
    abi 2
    [[ "$output" == *"not a name: addcow_o*"* ]]
}

@test "a change that breaks compiled programs needs a new name of the shared library" {
    local changes=(
        's|^    int errnum; .*|    long errnum;|'                                      # another size
        's|^    bool replace; .*||'                                                    # a member is gone
        's|^(    uint64_t length; .*)|    bool early;\n\1|'                            # a member before others
        's|^    unsigned chain_depth;|    unsigned inserted;\n&|'                      # and at the end
        's|^    unsigned chain_depth;.*|&\n    unsigned in_padding;|'                  # where old structs have padding
        's|^    ADDCOW_OPEN_READWRITE = 1|    ADDCOW_OPEN_READWRITE = 2|'              # a value
        's|^#define ADDCOW_CHAIN_MAX 16|#define ADDCOW_CHAIN_MAX 17|'                  # a constant
        's|^uint64_t addcow_size\(struct addcow \*disk\)|uint32_t addcow_size(struct addcow *disk)|' # a result
        's|^void addcow_get_info\(struct addcow \*disk|void addcow_get_info(const struct addcow *disk|' # a parameter
    )
    cp -r "$copy" "$BATS_TEST_TMPDIR/clean"
    for command in "${changes[@]}"; do
        rm -rf "$copy"
        cp -r "$BATS_TEST_TMPDIR/clean" "$copy"
        change fast/addcow_fast.h "$command"
        raise_version
        abi 1 --update
        [[ "$output" == *"raise SOVERSION"* ]]
    done
    raise_soname
    abi 0 --update
    abi 0
}

@test "a change in each of the public headers is noticed" {
    change ref/addcow_format.h 's|^    ADDCOW_BUSY,|&\n    ADDCOW_NEW,|'
    abi 1
    [[ "$output" == *"+enum addcow_status: ADDCOW_NEW = 9"* ]]
    change fast/addcow_storage.h 's|^(    int \(\*close\)).*|&\n    int (*added)(struct addcow_file *file);|'
    abi 1
    [[ "$output" == *"+struct addcow_file_ops at 88, 8 bytes: int (*added)(struct addcow_file *file)"* ]]
}

@test "a new name of the shared library alone is a change too" {
    raise_soname
    abi 1
    raise_version
    abi 0 --update
}

@test "a new version alone is no change of the interface" {
    raise_version
    abi 0
}

@test "a declaration of unknown form is an error, not overlooked" {
    change fast/addcow_fast.h 's|^uint64_t addcow_size.*|&\nextern int addcow_variable;|'
    abi 2
    [[ "$output" == *"not understood: extern int addcow_variable;" ]]
}

@test "without a record, nothing is as recorded" {
    rm "$copy/fast/libaddcow.abi"
    abi 1
}

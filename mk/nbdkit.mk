# The plugin for nbdkit. It is built and installed if nbdkit's headers are there; else it is named as left out.
#
# nbdkit looks for plugins only in a directory of its own. `addcow nbd` also finds one that is installed elsewhere, by
# its place relative to the command, and one that is built beside it.

NBDKITDIR ?= $(LIBDIR)/nbdkit/plugins
TO_NBDKIT = $(call to,$(NBDKITDIR))

PLUGIN := $(B)/nbdkit-addcow-plugin.so
PLUGIN_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard nbdkit/*.c))
NBD_TESTS := $(wildcard tests/nbd/*.bats)

NBDKIT_CFLAGS = $(eval NBDKIT_CFLAGS := $$(shell $(PKG_CONFIG) --cflags nbdkit 2>/dev/null))$(NBDKIT_CFLAGS)
$(PLUGIN_OBJECTS): NEEDED_CPPFLAGS += $(NBDKIT_CFLAGS)

# A sanitizer would have to be in nbdkit, too.
HAS_NBDKIT = $(if $(SAN),false,mk/has-nbdkit $(CC) $(NBDKIT_CFLAGS) $(CPPFLAGS) $(CFLAGS))

# nbdkit has its functions only when it loads the plugin. Of the library, nothing is visible outside.
$(PLUGIN): $(PLUGIN_OBJECTS) $(LIB)
	$(CC) $(ALL_LDFLAGS) -shared -Wl,--exclude-libs,ALL -o $@ $^ $(LIBATOMIC) $(LDLIBS)

plugin:
	@if $(HAS_NBDKIT); then \
	    $(MAKE) --no-print-directory $(PLUGIN); \
	else \
	    echo "left out: the plugin for nbdkit (it needs nbdkit-plugin.h, 1.30 or newer, and no sanitizer)"; \
	fi

install-plugin: $(PLUGIN)
	$(INSTALL) -d $(TO_NBDKIT) $(TO_MAN)
	$(INSTALL) -m 755 $(PLUGIN) $(TO_NBDKIT)
	$(INSTALL) -m 644 nbdkit/nbdkit-addcow-plugin.1 $(TO_MAN)

uninstall-plugin:
	rm -f $(TO_NBDKIT)/nbdkit-addcow-plugin.so $(TO_MAN)/nbdkit-addcow-plugin.1

# The command as it is installed. It is compiled each time, as it depends on the directories.
PLUGIN_INSTALLED = $(shell realpath -m --relative-to=$(call quote,$(BINDIR)) -- \
    $(call quote,$(NBDKITDIR)/nbdkit-addcow-plugin.so))
$(B)/install/nbd.o: NEEDED_CPPFLAGS += -DPLUGIN_INSTALLED=$(call quote,"$(PLUGIN_INSTALLED)")
$(B)/install/nbd.o: tools/nbd.c always
	$(compile)

$(B)/install/addcow: $(filter-out %/nbd.o,$(TOOL_OBJECTS)) $(B)/install/nbd.o $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(JANSSON_LIBS) $(LIBATOMIC) $(LDLIBS)

.PHONY: plugin install-plugin uninstall-plugin

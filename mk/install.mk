# Installs the command, the libraries, the headers and the man page: `make install`.
#
# The directories are variables, and may contain spaces. DESTDIR is put before each of them, and is named nowhere in
# what is installed.

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
BASHDIR ?= $(DATADIR)/bash-completion/completions
ZSHDIR ?= $(DATADIR)/zsh/site-functions
FISHDIR ?= $(DATADIR)/fish/vendor_completions.d
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
PUBLIC_HEADERS := ref/addcow_format.h fast/addcow_fast.h fast/addcow_storage.h fast/addcow_version.h

to = $(call quote,$(DESTDIR)$1)
TO_BIN = $(call to,$(BINDIR))
TO_LIB = $(call to,$(LIBDIR))
TO_INCLUDE = $(call to,$(INCLUDEDIR)/addcow)
TO_MAN = $(call to,$(MANDIR)/man1)
TO_BASH = $(call to,$(BASHDIR))
TO_ZSH = $(call to,$(ZSHDIR))
TO_FISH = $(call to,$(FISHDIR))
TO_PKGCONFIG = $(call to,$(PKGCONFIGDIR))

# What the static library needs from the system, beside the C library.
PRIVATE_LIBS = -pthread $(LIBATOMIC)
# Of link-time optimisation there must remain machine code only: other compilers could not read the rest.
LTO_SECTIONS := .gnu.lto_* .gnu.debuglto_* .llvm.lto

# The static library for users. It is one object, in which only the public names are global.
$(B)/install/libaddcow.a: $(CODEC_OBJECTS) $(FAST_OBJECTS) fast/libaddcow.map scripts/check-archive
	@mkdir -p $(@D)
	$(LD) -r -o $(@D)/addcow.o $(CODEC_OBJECTS) $(FAST_OBJECTS)
	sed -n 's/^ *\(addcow_[a-z_]*\);/\1/p' fast/libaddcow.map >$(@D)/public
	$(OBJCOPY) $(LTO_SECTIONS:%=--remove-section='%') --keep-global-symbols=$(@D)/public $(@D)/addcow.o
	@rm -f $@
	$(AR) rc $@ $(@D)/addcow.o
	$(RANLIB) $@
	@NM=$(call quote,$(NM)) LIBS=$(call quote,$(PRIVATE_LIBS) $(LDLIBS)) scripts/check-archive $@ $(@D)/public \
	    $(CC) $(filter-out -flto%,$(ALL_LDFLAGS))

install-files: libraries $(B)/install/addcow $(B)/install/libaddcow.a plugin
	$(INSTALL) -d $(TO_BIN) $(TO_LIB) $(TO_PKGCONFIG) $(TO_INCLUDE) $(TO_MAN) $(TO_BASH) $(TO_ZSH) $(TO_FISH)
	$(INSTALL) -m 755 $(B)/install/addcow $(TO_BIN)
	$(INSTALL) -m 644 $(B)/install/libaddcow.a $(TO_LIB)
	$(INSTALL) -m 755 $(SHARED) $(TO_LIB)
	ln -sf libaddcow.so.$(VERSION) $(TO_LIB)/libaddcow.so.$(SOVERSION)
	ln -sf libaddcow.so.$(SOVERSION) $(TO_LIB)/libaddcow.so
	$(INSTALL) -m 644 $(PUBLIC_HEADERS) $(TO_INCLUDE)
	$(INSTALL) -m 644 tools/addcow.1 $(TO_MAN)
	$(INSTALL) -m 644 tools/completion/addcow.bash $(TO_BASH)/addcow
	$(INSTALL) -m 644 tools/completion/_addcow $(TO_ZSH)
	$(INSTALL) -m 644 tools/completion/addcow.fish $(TO_FISH)
	scripts/pkg-config-file $(call quote,$(PREFIX)) $(call quote,$(INCLUDEDIR)) $(call quote,$(LIBDIR)) $(VERSION) \
	    $(call quote,$(PRIVATE_LIBS)) >$(B)/install/addcow.pc
	$(INSTALL) -m 644 $(B)/install/addcow.pc $(TO_PKGCONFIG)
	@if $(HAS_NBDKIT); then $(MAKE) --no-print-directory install-plugin; fi

uninstall-files: uninstall-plugin
	rm -f $(TO_BIN)/addcow $(TO_MAN)/addcow.1 $(TO_LIB)/libaddcow.* $(TO_PKGCONFIG)/addcow.pc
	rm -f $(TO_BASH)/addcow $(TO_ZSH)/_addcow $(TO_FISH)/addcow.fish
	rm -f $(foreach header,$(notdir $(PUBLIC_HEADERS)),$(TO_INCLUDE)/$(header))
	! [ -d $(TO_INCLUDE) ] || rmdir $(TO_INCLUDE)

.PHONY: install-files uninstall-files

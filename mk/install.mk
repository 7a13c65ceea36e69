# Installs the command, the libraries, the headers and the man page below $(DESTDIR)$(PREFIX): `make install`.

PREFIX := /usr/local
DESTDIR :=
TO = $(DESTDIR)$(PREFIX)
PUBLIC_HEADERS := ref/addcow_format.h fast/addcow_fast.h fast/addcow_storage.h

# The static library for users. It is one object, in which only the public names are global.
$(B)/install/libaddcow.a: $(CODEC_OBJECTS) $(FAST_OBJECTS) fast/libaddcow.map
	@mkdir -p $(@D)
	$(LD) -r -o $(@D)/addcow.o $(CODEC_OBJECTS) $(FAST_OBJECTS)
	sed -n 's/^ *\(addcow_[a-z_]*\);/\1/p' fast/libaddcow.map >$(@D)/public
	objcopy --keep-global-symbols=$(@D)/public $(@D)/addcow.o
	@rm -f $@
	$(AR) rcs $@ $(@D)/addcow.o

install-files: libraries addcow $(B)/install/libaddcow.a
	install -d $(addprefix $(TO)/,bin lib/pkgconfig include/addcow share/man/man1)
	install -m 755 $(B)/addcow $(TO)/bin/
	install -m 644 $(B)/install/libaddcow.a $(TO)/lib/
	install -m 755 $(SHARED) $(TO)/lib/
	ln -sf libaddcow.so.$(VERSION) $(TO)/lib/libaddcow.so.$(SOVERSION)
	ln -sf libaddcow.so.$(SOVERSION) $(TO)/lib/libaddcow.so
	install -m 644 $(PUBLIC_HEADERS) $(TO)/include/addcow/
	install -m 644 tools/addcow.1 $(TO)/share/man/man1/
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' fast/addcow.pc.in >$(TO)/lib/pkgconfig/addcow.pc

uninstall-files:
	rm -f $(TO)/bin/addcow $(TO)/share/man/man1/addcow.1
	rm -f $(TO)/lib/libaddcow.* $(TO)/lib/pkgconfig/addcow.pc
	rm -rf $(TO)/include/addcow

.PHONY: install-files uninstall-files

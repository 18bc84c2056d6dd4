# ocf-anycast: build, check and install. `make test` and `make demo` are all that a bare Debian 12 needs to be told.

# Debian's own interpreter and not the first in PATH: it has the distribution's modules, and the agents run with it.
PYTHON  := /usr/bin/python3
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
NAME    := ocf-anycast

prefix     := /usr
OCFLIB      = $(DESTDIR)$(prefix)/lib/ocf/lib/anycast
OCFRES      = $(DESTDIR)$(prefix)/lib/ocf/resource.d/anycast
SYSTEMD     = $(DESTDIR)$(prefix)/lib/systemd/system
MAN         = $(DESTDIR)$(prefix)/share/man
DOC         = $(DESTDIR)$(prefix)/share/doc/$(NAME)

# The one list of the agents: the name of each with its class.
AGENTS   := $(shell cut -d' ' -f1 agents/table)
DEB      := build/packages/$(NAME)_$(VERSION)-1_all.deb
RPM      := build/packages/$(NAME)-$(VERSION)-1.noarch.rpm

# The pages for operators, and why things are as they are; what is for those who change the code stays in the repository.
PAGES    := $(filter-out docs/development.md,$(wildcard README.md CHANGELOG.md SECURITY.md docs/*.md docs/*.svg))
# Everything that the packages are made from.
SHIPPED  := Makefile pyproject.toml $(wildcard LICENSE) agents bin lib cib-examples packaging \
            docs/man docs/examples docs/decisions $(PAGES)
SHIPPED_FILES := $(shell find $(wildcard $(SHIPPED)) -name __pycache__ -prune -o -type f -print | sort)

SUITES := unit conformance frr simulate checks lab
# `make test` runs two suites side by side: frr, which waits for most of its time, with the next ones. The lab, whose two to five
# kernels need both cores, comes last and has the machine to itself.
IN_ORDER := frr unit conformance simulate checks lab

# What each target needs on a bare Debian 12. Lists, not metapackages: this is also the documentation of the needs.
DEBS_DEB         := python3 dpkg-dev debhelper dh-python fakeroot
DEBS_RPM         := python3 rpm
DEBS_LIB         := python3 python3-dnspython python3-h11 python3-lxml python3-rich python3-yaml
DEBS_PYTEST      := $(DEBS_LIB) python3-pytest python3-hypothesis iproute2 procps
# What plays with real daemons may be played twice: tests/conftest.py.
DEBS_PLAY        := $(DEBS_PYTEST) python3-pytest-rerunfailures
DEBS_AGENTS      := resource-agents pacemaker-cli-utils libxml2-utils
DEBS_WHEEL       := python3 python3-pip python3-setuptools python3-wheel
DEBS_UNIT        := $(DEBS_PYTEST) $(DEBS_DEB) $(DEBS_RPM) $(DEBS_WHEEL) lintian python3-pyroute2 python3-ldap3 python3-pymysql \
                    python3-prometheus-client
DEBS_CONFORMANCE := $(DEBS_PLAY) $(DEBS_AGENTS) crmsh pcs groff-base ldirectord pacemaker-resource-agents kmod
# FRR 8.4 is this host's, FRR 10 that of a Debian 13 root that the suite builds.
DEBS_FRR         := $(DEBS_PLAY) $(DEBS_AGENTS) frr frr-pythontools mmdebstrap
DEBS_SIMULATE    := $(DEBS_PYTEST) $(DEBS_AGENTS) pacemaker crmsh pcs
# The servers that the checks are tried against, on this host and from the lab's nodes.
DEBS_SERVICES    := python3-cryptography nginx-light squid bind9 slapd chrony exim4-daemon-light dovecot-imapd dovecot-pop3d \
                    mariadb-server-core postgresql freeradius kamailio kamailio-tls-modules proftpd-core
# curl is what an HTTP check is compared with.
DEBS_CHECKS      := $(DEBS_PLAY) $(DEBS_SERVICES) curl
# The lab's nodes and its own real servers run from a Debian root that it builds; frr is for the routers.
DEBS_DEMO        := $(DEBS_PLAY) $(DEBS_DEB) python3-matplotlib frr mmdebstrap e2fsprogs
DEBS_LAB         := $(DEBS_DEMO) $(DEBS_WHEEL) $(DEBS_SERVICES) python3-ldap3
# A compiler for the one program that says what is the least.
DEBS_BENCH       := $(DEBS_DEMO) $(DEBS_AGENTS) gcc libc6-dev
DEBS_LINT        := $(DEBS_PYTEST) python3-venv python3-matplotlib python3-cryptography ca-certificates
DEBS_TEST        := $(sort python3-pytest-xdist $(foreach suite,UNIT CONFORMANCE FRR SIMULATE CHECKS LAB,$(DEBS_$(suite))))

RUFF := ruff==0.14.14
MYPY := mypy==1.18.2

APT_INSTALL := packaging/apt-install
PYTEST := $(PYTHON) -m pytest

# The agents' launchers, man pages and metadata come from their own declarations. The metadata names its DTD where it will be installed.
class_of = $(shell sed -n 's/^$(1) //p' agents/table)
define install_launcher
PYTHONPATH=lib PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m ocfpy.ocf.shortcut agents/launcher.sh $(call class_of,$(1)) >$(OCFRES)/$(1)
chmod 755 $(OCFRES)/$(1)

endef
define install_metadata
PYTHONPATH=lib PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m ocfpy.ocf.metadata $(call class_of,$(1)) \
    $(prefix)/lib/ocf/lib/anycast/ocfpy/ocf/ra-api-1.1.dtd >$(OCFLIB)/metadata/$(1).xml
chmod 644 $(OCFLIB)/metadata/$(1).xml

endef
define install_manpage
PYTHONPATH=lib PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m ocfpy.ocf.manpage $(call class_of,$(1)) \
    >$(MAN)/man7/ocf_anycast_$(1).7
gzip -9nf $(MAN)/man7/ocf_anycast_$(1).7

endef

# The packages of a target are installed before it is built, also with -j.
.NOTPARALLEL:

.PHONY: all install stage deb rpm wheel test lint demo bench checks-table clean deps force $(SUITES:%=test-%)

all: stage

install:
	install -d $(OCFRES) $(OCFLIB) $(DOC)/cib-examples
	$(foreach agent,$(AGENTS),$(call install_launcher,$(agent)))
	install -pm 644 agents/table $(OCFLIB)/agents
	cd lib && find ocfpy '(' -name '*.py' -o -name '*.dtd' -o -name py.typed ')' -exec install -Dpm 644 '{}' '$(abspath $(OCFLIB))/{}' ';'
	install -pm 755 bin/healthd bin/agent bin/bundle $(OCFLIB)
	install -d $(OCFLIB)/metadata
	$(foreach agent,$(AGENTS),$(call install_metadata,$(agent)))
	install -Dpm 755 bin/anycastctl $(DESTDIR)$(prefix)/sbin/anycastctl
	install -Dpm 644 packaging/files/allowed-prefixes $(DESTDIR)/etc/anycast/allowed-prefixes
	install -d $(DESTDIR)/var/lib/$(NAME)/drained
	install -Dpm 644 packaging/files/tmpfiles.conf $(DESTDIR)$(prefix)/lib/tmpfiles.d/$(NAME).conf
	install -Dpm 644 packaging/files/modules-load.conf $(DESTDIR)$(prefix)/lib/modules-load.d/$(NAME).conf
	install -Dpm 644 packaging/files/resource-agents-deps.conf \
	    $(SYSTEMD)/resource-agents-deps.target.d/$(NAME).conf
	install -pm 644 cib-examples/*.crm $(DOC)/cib-examples
	install -pm 644 $(PAGES) $(DOC)
	install -d $(DOC)/decisions
	install -pm 644 docs/decisions/*.md $(DOC)/decisions
	install -d $(DOC)/examples
	install -pm 644 docs/examples/* $(DOC)/examples
	install -d $(MAN)/man7 $(MAN)/man8
	gzip -9nc docs/man/anycastctl.8 >$(MAN)/man8/anycastctl.8.gz
	$(foreach agent,$(AGENTS),$(call install_manpage,$(agent)))
	[ -n "$(DESTDIR)" ] || $(OCFLIB)/bundle

# Changes when a file comes or goes, so that a deleted one is missed, too.
build/shipped: force
	@mkdir -p build
	@echo '$(SHIPPED_FILES)' | cmp -s - $@ || echo '$(SHIPPED_FILES)' >$@
force:

# By another name than MAKE, or `make -n` would run it.
SUBMAKE := $(MAKE) --no-print-directory --silent

# The tree as it will be installed, for the tests. It is put in place with one rename, so that a test that runs meanwhile
# never sees half of it, and byte-compiled and bundled for the place of an installation, as a package's does it.
stage: build/stage.stamp
build/stage.stamp: $(SHIPPED_FILES) build/shipped
	@flock build/.stage.lock sh -ec '\
	    rm -rf build/stage.new build/stage.old; \
	    $(SUBMAKE) install DESTDIR=$(CURDIR)/build/stage.new; \
	    $(PYTHON) -m compileall -q build/stage.new$(prefix)/lib/ocf/lib/anycast || :; \
	    build/stage.new$(prefix)/lib/ocf/lib/anycast/bundle $(prefix)/lib/ocf/lib/anycast; \
	    [ ! -e build/stage ] || mv build/stage build/stage.old; \
	    mv build/stage.new build/stage; rm -rf build/stage.old; touch $@'

# A package is built from a copy of what is shipped, under build/, one build at a time.
# dpkg-buildpackage -d: it asks for build-essential, but there is nothing to compile.
COPY_SHIPPED := tar -c --exclude=__pycache__ --exclude='*.pyc' --owner=0 --group=0 $(wildcard $(SHIPPED)) | tar -x -C

deb: deps-deb $(DEB)
$(DEB): $(SHIPPED_FILES) build/shipped
	@mkdir -p build/packages
	@flock build/.deb.lock sh -ec '\
	    rm -rf build/deb; mkdir -p build/deb/source; \
	    $(COPY_SHIPPED) build/deb/source; \
	    cp -a packaging/deb build/deb/source/debian; \
	    (cd build/deb/source && dpkg-buildpackage -d -b -us -uc) >build/deb/log 2>&1 || { cat build/deb/log; exit 1; }; \
	    mv build/deb/$(@F) $@; echo $@'

# rpmbuild --nodeps: on Debian the rpm database knows nothing of what is installed.
rpm: deps-rpm $(RPM)
RPM_SOURCE := build/rpm/SOURCES/$(NAME)-$(VERSION)
$(RPM): $(SHIPPED_FILES) build/shipped
	@mkdir -p build/packages
	@flock build/.rpm.lock sh -ec '\
	    rm -rf build/rpm; mkdir -p $(RPM_SOURCE); \
	    $(COPY_SHIPPED) $(RPM_SOURCE); \
	    tar -C build/rpm/SOURCES -czf $(RPM_SOURCE).tar.gz $(NAME)-$(VERSION); \
	    rpmbuild -ba --nodeps --define "_topdir $(CURDIR)/build/rpm" --define "suite_version $(VERSION)" \
	        packaging/rpm/$(NAME).spec >build/rpm/log 2>&1 || { cat build/rpm/log; exit 1; }; \
	    mv build/rpm/RPMS/noarch/$(@F) build/rpm/SRPMS/*.src.rpm build/packages/; echo $@'

# The OCF library alone, for those who write agents for something else; nothing is fetched to build it.
WHEEL := build/packages/ocfpy-$(VERSION)-py3-none-any.whl
wheel: deps-wheel $(WHEEL)
$(WHEEL): $(SHIPPED_FILES) build/shipped
	@mkdir -p build/packages
	@flock build/.wheel.lock sh -ec '\
	    rm -rf build/wheel; mkdir -p build/wheel/ocfpy; \
	    cp packaging/wheel/pyproject.toml docs/agent-tutorial.md LICENSE build/wheel; \
	    cp lib/ocfpy/__init__.py lib/ocfpy/py.typed build/wheel/ocfpy; \
	    cp -r lib/ocfpy/ocf lib/ocfpy/testkit build/wheel/ocfpy; \
	    find build/wheel -name __pycache__ -prune -exec rm -r "{}" +; \
	    $(PYTHON) -m pip wheel --quiet --no-deps --no-index --no-build-isolation --disable-pip-version-check \
	        --wheel-dir build/wheel/out build/wheel >build/wheel/log 2>&1 || { cat build/wheel/log; exit 1; }; \
	    mv build/wheel/out/$(@F) $@; echo $@'

test: deps-test stage deb rpm wheel
	$(PYTEST) --numprocesses=2 --dist=loadgroup $(IN_ORDER:%=tests/%)

$(SUITES:%=test-%): test-%: deps-% stage
	$(PYTEST) tests/$*
test-unit: deb rpm wheel
test-frr: deb
test-lab: deb wheel

lint: deps-lint build/venv/stamp
	build/venv/bin/ruff check
	build/venv/bin/mypy
	$(PYTEST) -q tests/unit/test_imports.py

build/venv/stamp: Makefile
	$(PYTHON) -m venv --clear --system-site-packages build/venv
	build/venv/bin/python -m pip install --quiet --disable-pip-version-check $(RUFF) $(MYPY)
	touch $@

demo: deps-demo deb
	$(PYTHON) -m tests.lab.demo

# The table in docs/checks.md, from what the checks say today.
checks-table: deps-checks
	PYTHONPATH=lib $(PYTHON) -m tests.checks.table

bench: deps-bench deb stage
	PYTHONPATH=lib $(PYTHON) -m bench $(BENCHMARKS)

# `make deps` installs what any target can need; deps-X what `make X` (or test-X) needs.
deps: deps-test deps-lint
deps-deb deps-rpm deps-wheel deps-unit deps-conformance deps-frr deps-simulate deps-checks deps-demo deps-lab deps-bench deps-lint deps-test: deps-%:
	@$(APT_INSTALL) $(DEBS_$(shell echo $* | tr a-z A-Z))

clean:
	rm -rf build

# The front door. Meson does the building; each target first makes sure that what it needs is there.
#
#   make            build/flambe and build/flambe-sandbox
#   make demo       the main job, on an EC2 of one's own: needs root (or sudo) for real hosts
#   make check      all tests; the last line is "N passed, N failed, N skipped"
#   make check-vm   NFS, cgroups and reboots in two virtual machines: slow, needs root
#   make bench      timings against named peers, as ratios
#   make install    into PREFIX (default /usr/local), under DESTDIR if set
#   make format     clang-format over the C sources
#   make clean      removes the build directories
PREFIX ?= /usr/local
BUILD = build

all: setup-build
	@test -f $(BUILD)/build.ninja || tools/quietly meson setup $(BUILD) --prefix=$(PREFIX) -Dtests=disabled
	@ninja -C $(BUILD)

setup-%:
	@tools/setup $*

demo: all setup-demo
	@tools/demo $(BUILD)

check: setup-check
	@tools/check

check-vm: all setup-check-vm
	@tools/check-vm $(BUILD)

bench: all setup-bench
	@tools/bench $(BUILD)

install: all
	@meson install -C $(BUILD) --no-rebuild

format: setup-check
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf build build-*

.PHONY: all demo check check-vm bench install format clean

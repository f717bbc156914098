#!/usr/bin/env bash
# deb/build.sh WHEEL OUT: build the Debian package for this machine's Debian release and architecture from a wheel of edgegw.
# Needs Debian's python3 (no python3-venv), dpkg-deb, and PIP, the pip of any other Python (default: that of .venv).
# DEB_COMPRESSION: options of dpkg-deb; -Zxz gives a small file, "-Zzstd -z10" is ten times as fast.
# Installs requirements.lock, with hashes, into a virtual environment under a staging root; it runs from /usr/lib/edgegw.
set -euo pipefail
cd "$(dirname "$0")/.."

wheel=$1 out=$2
python=/usr/bin/python3
pip=${PIP:-.venv/bin/python -m pip}
home=/usr/lib/edgegw
version=$(basename "$wheel" | cut -d- -f2)
arch=$(dpkg --print-architecture)
minor=$($python -c 'import sys; print(sys.version_info.minor)')
stage=$out/stage
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
umask 022
unset PYTHONPATH PYTHONHOME  # the build must see the package's own files only

put() { install -D -m "$1" "$2" "$stage$3"; }             # put MODE FILE PLACE
zip() { install -d "$(dirname "$stage$1")" && gzip -9n >"$stage$1"; }  # … | zip PLACE

rm -rf "$stage"
mkdir -p "$stage"

# The environment: locked packages, then edgegw; without pip, tests and headers, which are not needed at run time.
$python -m venv --without-pip "$stage$home"
site=$stage$home/lib/python3.$minor/site-packages
$pip --quiet --disable-pip-version-check --python "$stage$home/bin/python3" install --no-compile --only-binary :all: \
  --require-hashes -r requirements.lock
$pip --quiet --disable-pip-version-check --python "$stage$home/bin/python3" install --no-compile --no-deps --no-index "$wheel"
rm -rf "$site"/pip "$site"/pip-*.dist-info "$stage$home"/{include,lib64,share/man}
find "$site" -depth -name tests -type d -exec rm -rf {} +
find "$site" \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' \) -type f -delete
find "$site" -type f -exec chmod 0644 {} +
if command -v strip >/dev/null; then find "$site" -name '*.so' -type f -exec strip --strip-unneeded {} +; fi

# Programs, isolated from the caller's folder and environment variables, as are their child processes.
rm -f "$stage$home"/bin/*
ln -s $python "$stage$home/bin/python3"
program() {  # program NAME MODULE
  printf '%s\n' "#!$home/bin/python3 -I" 'import os' 'import sys' '' "from $2 import main" '' \
    'os.environ["PYTHONSAFEPATH"] = "1"' "sys.exit(main(prog_name=\"$1\"))" >"$stage$home/bin/$1"
  chmod 0755 "$stage$home/bin/$1"
  install -d "$stage/usr/bin" && ln -s "../lib/edgegw/bin/$1" "$stage/usr/bin/$1"
}
program edgegw edgegw.cli
program firmware-sim firmware_sim.__main__
sed -i "s|^command = .*|command = $python -m venv --without-pip $home|" "$stage$home/pyvenv.cfg"
$python -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$stage" -p / "$site"

# Configuration, units, manual pages and completions.
put 0644 systemd/edgegw.service /lib/systemd/system/edgegw.service
put 0644 systemd/edgegw.sysusers /usr/lib/sysusers.d/edgegw.conf
for page in edgegw firmware-sim; do
  "$stage$home/bin/python3" deb/manual.py docs/$page.1 | zip /usr/share/man/man1/$page.1.gz
done
complete() {  # complete PROGRAM SHELL PLACE
  install -d "$(dirname "$stage$3")"
  env "_$(tr a-z- A-Z_ <<<"$1")_COMPLETE=$2_source" "$stage$home/bin/python3" "$stage$home/bin/$1" >"$stage$3" || true
  test -s "$stage$3"
}
for program in edgegw firmware-sim; do
  complete $program bash /usr/share/bash-completion/completions/$program
  complete $program zsh /usr/share/zsh/vendor-completions/_$program
done
doc=/usr/share/doc/edgegw
put 0644 deb/copyright $doc/copyright
for file in docs/*.md README.md NOTICE; do put 0644 "$file" "$doc/$(basename "$file")"; done
{ printf 'edgegw (%s) stable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' "$version" \
    'The edgegw authors <edgegw@localhost>' "$(date -uR -d "@$SOURCE_DATE_EPOCH")"; } | zip $doc/changelog.gz
put 0644 CHANGELOG.md $doc/CHANGELOG.md
for example in configs/edgegw.toml systemd/edgegw-lan.conf; do
  put 0644 $example "$doc/examples/$(basename $example)"
done
put 0644 deb/lintian-overrides /usr/share/lintian/overrides/edgegw

# The package. The interpreter's link becomes relative only now: under the staging root it would be broken.
ln -sf ../../../bin/python3 "$stage$home/bin/python3"
install -d "$stage/DEBIAN"
for script in postinst prerm postrm; do put 0755 deb/$script /DEBIAN/$script; done
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@NEXT@/3.$((minor + 1))/; s/@PYTHON@/3.$minor/" \
  -e "s/@SIZE@/$(du -sk --exclude=DEBIAN "$stage" | cut -f1)/" deb/control >"$stage/DEBIAN/control"
(cd "$stage" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) \
  >"$stage/DEBIAN/md5sums"
chmod 0644 "$stage/DEBIAN/md5sums"
dpkg-deb --root-owner-group ${DEB_COMPRESSION:--Zxz} --build "$stage" "$out/edgegw_${version}_$arch.deb" >/dev/null
rm -rf "$stage"
ls -s --block-size=KiB "$out/edgegw_${version}_$arch.deb"

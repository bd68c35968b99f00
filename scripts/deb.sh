#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds the Debian packages of this tree as it is now, committed or not, into a folder (default build/deb): the source package and the
# binary ones. Run by `make deb`. What was compiled there before is used again where it is still right; --anew compiles all of
# it. The unit tests are not run by it, as `make test` does: `dpkg-buildpackage` by itself runs them.
#
#     scripts/deb.sh [--anew] [FOLDER]
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
anew=
if [ "${1:-}" = --anew ]; then
        anew=yes
        shift
fi
mkdir -p "${1:-$top/build/deb}"
place=$(cd "${1:-$top/build/deb}" && pwd)
version=$(dpkg-parsechangelog -l "$top/debian/changelog" -S Version)
tree=$place/cowherd-$version
exec 9>"$place/lock"
flock 9

# The files of the tree, one a line, without what is ignored; those of an unpacked archive, without what was built in it.
files() {
        if [ -e "$top/.git" ]; then
                git -C "$top" ls-files --cached --others --exclude-standard | while read -r file; do
                        [ ! -e "$top/$file" ] || printf '%s\n' "$file"
                done
        else
                (cd "$top" && find . -path './build*' -prune -o ! -type d ! -name '*.o' -print)
        fi
}

# A fresh copy with its times kept, so that the objects of the one before fit it; where that lay elsewhere, Meson does not take them.
rm -rf "$place/objects"
if [ -z "$anew" ] && [ "$(cat "$place/where" 2>/dev/null)" = "$tree" ]; then
        for objects in "$tree"/obj-*; do
                [ ! -d "$objects" ] || mv "$objects" "$place/objects"
        done
fi
rm -rf "$place"/cowherd-*/ "$place"/*.deb "$place"/*.buildinfo "$place"/*.changes "$place"/*.dsc "$place"/*.tar.xz "$place/log"
mkdir "$tree"
echo "$tree" >"$place/where"
files | tar -C "$top" -cf - --no-recursion -T - | tar -C "$tree" -xf -
if [ -d "$place/objects" ]; then
        mv "$place/objects" "$tree/obj-$(dpkg-architecture -q DEB_HOST_MULTIARCH)"
fi

cd "$tree"
if ! DEB_BUILD_OPTIONS="nocheck parallel=$(nproc) ${DEB_BUILD_OPTIONS:-}" dpkg-buildpackage --build=full --build-profiles=nocheck \
        --no-sign --no-pre-clean --tar-ignore='obj-*' >"$place/log" 2>&1 </dev/null 9>&-; then
        tail -n 40 "$place/log" >&2
        echo "deb: the packages could not be built; all of it is in '$place/log'" >&2
        exit 71
fi
cd "$place"
ls -- *.deb

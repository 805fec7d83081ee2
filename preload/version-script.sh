#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Makes the linker's version script from the list of names: version-script.sh names.list > libmalloc9.map
set -eu
echo "{"
echo "  global:"
sed -e '/^#/d' -e '/^$/d' -e 's/.*/    &;/' "$1"
echo "  local: *;"
echo "};"

// SPDX-License-Identifier: BSD-2-Clause
//
// A module with a declared type of its own.
#include "preload/malloc9.h"

static MALLOC_DEFINE(M_PLUGIN, "plugin's", "what a module makes");

__attribute__((visibility("default"))) void *plugin_make(size_t size);
__attribute__((visibility("default"))) void *plugin_make(size_t size) { return malloc9(size, M_PLUGIN, M_WAITOK); }

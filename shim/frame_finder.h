// SPDX-License-Identifier: BSD-2-Clause
//
// Picks the architecture's frame finders.
#pragma once

#if defined(__x86_64__)
#include "shim/arch/x86_64/frame_finder.h"
#else
#error "malloc9: this architecture has no shim/arch folder yet"
#endif

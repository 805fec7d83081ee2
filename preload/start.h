// SPDX-License-Identifier: BSD-2-Clause
//
// Steps of the library's constructor, in the order in which start.cc takes them.
#pragma once

namespace m9 {

void foreign_start(); // finds libc's own allocator

} // namespace m9

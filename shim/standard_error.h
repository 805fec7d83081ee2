// SPDX-License-Identifier: BSD-2-Clause
//
// Where our lines go. Descriptor 2 is only ours to write to while it is what it was at start: a daemon closes
// everything and opens its database, which then has our number. For reports at exit a duplicate is kept, high and
// close-on-exec, since programs close standard error before they end; it obeys the same rule.
#pragma once

namespace m9 {

// Once, by the constructor. Before it, descriptor 2 is taken as it is.
void standard_error_start(bool keep_duplicate);
// In a child of fork: closes the duplicate, or a daemon would keep its starter's pipe open.
void standard_error_drop();
// The descriptor to write to, or -1: nowhere.
int standard_error();

} // namespace m9

// SPDX-License-Identifier: BSD-2-Clause
//
// Prints statistics as the table of FreeBSD's `vmstat -m`. One code for print:exit and for `malloc9 stat`, so
// freestanding: the caller gives the memory and takes the text.
//
// Types that never allocated are left out. Bytes of names that a terminal would act on are shown as \xNN.
#pragma once

#include "core/view.h"

namespace m9 {

struct table_sink {
  void (*write)(void *context, const char *data, size_t size);
  void *context;
};

// `sums` and `order` are arrays of view_count(types) elements, for the table's own use. The text goes to the sink in
// pieces of at most 512 bytes, lines cut anywhere.
void table_print(const statistics_view &view, type_sum *sums, uint32_t *order, table_sink sink);

// Sorts into order[0..result) the types that ever allocated: most bytes live first, then most requests, then by name.
uint32_t table_sort(const statistics_view &view, const type_sum *sums, uint32_t *order);

} // namespace m9

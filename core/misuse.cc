// SPDX-License-Identifier: BSD-2-Clause
#include "core/misuse.h"

#include "core/cell.h"
#include "core/extent.h"
#include "core/layout.h"
#include "core/module.h"
#include "core/site.h"
#include "shim/modules.h"
#include "shim/panic.h"
#include "shim/text.h"

namespace m9 {

using line = misuse_line;

void misuse_add_type(line &text, unsigned zone, uint16_t tag) {
  locked guard(malloc_mtx);
  const cell_info *info = tag ? cell_find(cell_of_tag(zone, tag)) : nullptr;
  if (!info) {
    text.add("(unknown)");
    return;
  }
  const malloc_type_internal &t = *info->type->ks_handle;
  symbol found;
  if (malloc_type_symbol(t, found))
    text.add(module_get(t.module)->name).put('!').add(found.name).put('+').hex(t.address - found.start);
  else
    text.add(info->type->ks_shortdesc);
}

namespace {

line begin(const void *p, const char *call) {
  line text;
  text.add(call).add(" of ").hex(reinterpret_cast<uintptr_t>(p));
  return text;
}

[[noreturn]] void misuse_item(const void *p, const char *call, const item_place &at) {
  uint64_t size = class_size(zone_class(at.zone));
  uint16_t stamp = at.tag ? *at.tag : 0, tag = stamp_tag(stamp);
  line text = begin(p, call);
  if (at.inside) {
    text.add(", inside an item: ").number(at.inside).add(" bytes into ").hex(reinterpret_cast<uintptr_t>(at.start));
    text.add(", ").number(size).add(" bytes of type ");
    misuse_add_type(text, zone_class(at.zone), tag);
  } else if (tag && !(stamp & stamp_held)) {
    if (text_equal(call, "free")) {
      text = begin(p, "double free");
      text.add(": an item of ");
    } else {
      text.add(" after free: an item of ");
    }
    text.number(size).add(" bytes, last of type ");
    misuse_add_type(text, zone_class(at.zone), tag);
  } else {
    text.add(", which was never allocated: an item of ").number(size).add(" bytes");
  }
  panic(text.c_str());
}

[[noreturn]] void misuse_foreign(const void *p, const char *call) {
  line text = begin(p, call);
  text.add(", which is not from malloc9: it lies in ");
  mapping_facts m;
  if (!mapping_find(reinterpret_cast<uintptr_t>(p), m))
    text.add("no mapping");
  else
    text.add(m.path[0] ? m.path : "anonymous memory")
        .add(" (")
        .number(m.start, 16)
        .put('-')
        .number(m.end, 16)
        .put(' ')
        .add(m.permissions)
        .put(')');
  panic(text.c_str());
}

} // namespace

void misuse(const void *p, const char *call) {
  item_place at = layout_find(p);
  if (at.zone < zones_all)
    misuse_item(p, call, at);
  auto address = reinterpret_cast<uintptr_t>(p);
  line text = begin(p, call);
  uint16_t tag = 0;
  {
    locked guard(extents_lock);
    if (extent *e = extent_around(address)) {
      tag = e->tag;
      text.add(", inside an item: ").number(address - e->address).add(" bytes into ").hex(e->address);
      text.add(", ").number(extent_bytes(*e)).add(" bytes of type ");
    } else if (extent_was_freed(address)) {
      text = begin(p, text_equal(call, "free") ? "double free" : call);
      panic(text.add(text_equal(call, "free") ? ": a large block" : " after free: a large block").c_str());
    }
  }
  if (tag == 0)
    misuse_foreign(p, call);
  misuse_add_type(text, large_zone, tag);
  panic(text.c_str());
}

bool foreign_chunk(const void *p) {
  auto at = reinterpret_cast<uintptr_t>(p);
  mapping_facts m;
  if (at % 16 != 0 || !libc_symbol("free") || !mapping_find(at, m) || at - 16 < m.start || m.permissions[1] != 'w')
    return false;
  // malloc_chunk of glibc's malloc/malloc.c: the size, with three flags, stands before the user's part.
  uint64_t header = reinterpret_cast<const uint64_t *>(p)[-1];
  uint64_t size = header & ~uint64_t{15};
  bool mmapped = header & 2, in_arena = header & 4;
  if ((header & 8) || size < 32 || size > m.end - (at - 16))
    return false;
  if (text_equal(m.path, "[heap]"))
    return !mmapped && !in_arena;
  if (m.path[0])
    return false;
  constexpr uintptr_t heap_max = 64 * 1024 * 1024; // glibc's HEAP_MAX_SIZE: where its arenas begin
  return mmapped ? (at - 16) % 4096 == 0 && size % 4096 == 0 : in_arena && m.start % heap_max == 0;
}

} // namespace m9

// SPDX-License-Identifier: BSD-2-Clause
#include "core/table.h"

namespace m9 {
namespace {

using format::section_kind;

constexpr size_t name_column_min = 13; // vmstat's
constexpr size_t name_column_max = 48; // longer names push their own line to the right

// Text on its way to the sink.
struct table_text {
  table_sink sink;
  size_t used;
  char buffer[512];
};

void text_flush(table_text &t) {
  if (t.used != 0)
    t.sink.write(t.sink.context, t.buffer, t.used);
  t.used = 0;
}

void put_char(table_text &t, char c) {
  if (t.used == sizeof t.buffer)
    text_flush(t);
  t.buffer[t.used++] = c;
}

void put(table_text &t, const char *s) {
  while (*s)
    put_char(t, *s++);
}

void put_padding(table_text &t, size_t have, size_t want) {
  for (; have < want; have++)
    put_char(t, ' ');
}

uint8_t byte_at(view_text s, size_t i) { return i < s.size ? static_cast<uint8_t>(s.data[i]) : 0; }

// C0, DEL, and both bytes of C1 as UTF-8 writes it (C2 80 to C2 9F).
bool is_control(view_text s, size_t i) {
  const uint8_t c = byte_at(s, i);
  const bool begins_c1 = c == 0xc2 && (byte_at(s, i + 1) & 0xe0) == 0x80;
  const bool ends_c1 = (c & 0xe0) == 0x80 && i > 0 && byte_at(s, i - 1) == 0xc2;
  return c < 0x20 || c == 0x7f || begins_c1 || ends_c1;
}

// In characters.
size_t name_width(view_text s) {
  size_t width = 0;
  for (size_t i = 0; i < s.size; i++)
    width += is_control(s, i) ? 4 : (byte_at(s, i) & 0xc0) == 0x80 ? 0 : 1;
  return width;
}

void put_name(table_text &t, view_text s) {
  constexpr char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < s.size; i++) {
    if (!is_control(s, i)) {
      put_char(t, s.data[i]);
      continue;
    }
    put(t, "\\x");
    put_char(t, digits[byte_at(s, i) >> 4]);
    put_char(t, digits[byte_at(s, i) & 15]);
  }
}

// A number between `before` and `after`, all right-aligned in `width`.
void put_number(table_text &t, uint64_t n, size_t width = 0, const char *before = "", const char *after = "") {
  char digits[20];
  size_t count = 0;
  do {
    digits[count++] = static_cast<char>('0' + n % 10);
    n /= 10;
  } while (n != 0);
  put_padding(t, __builtin_strlen(before) + count + __builtin_strlen(after), width);
  put(t, before);
  while (count != 0)
    put_char(t, digits[--count]);
  put(t, after);
}

uint64_t kilobytes(uint64_t bytes) { return bytes / 1024 + (bytes % 1024 != 0); }

int compare_names(view_text a, view_text b) {
  const int c = __builtin_memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
  if (c != 0)
    return c;
  return a.size < b.size ? -1 : a.size > b.size;
}

bool is_before(const statistics_view &view, const type_sum *sums, uint32_t a, uint32_t b) {
  const uint64_t bytes_a = type_memuse(sums[a]);
  const uint64_t bytes_b = type_memuse(sums[b]);
  if (bytes_a != bytes_b)
    return bytes_a > bytes_b;
  const uint64_t requests_a = type_requests(sums[a]);
  const uint64_t requests_b = type_requests(sums[b]);
  if (requests_a != requests_b)
    return requests_a > requests_b;
  const int names =
      compare_names(view_string(view, view_type(view, a).name), view_string(view, view_type(view, b).name));
  return names != 0 ? names < 0 : a < b;
}

// Lets order[root] sink in the heap order[0..count) whose top is the type that comes last.
void heap_sink(const statistics_view &view, const type_sum *sums, uint32_t *order, uint32_t root, uint32_t count) {
  const uint32_t sinking = order[root];
  for (uint64_t child = 2 * uint64_t{root} + 1; child < count; child = 2 * uint64_t{root} + 1) {
    if (child + 1 < count && is_before(view, sums, order[child], order[child + 1]))
      child++;
    if (!is_before(view, sums, sinking, order[child]))
      break;
    order[root] = order[child];
    root = static_cast<uint32_t>(child);
  }
  order[root] = sinking;
}

void put_head(table_text &t, const statistics_view &view, const type_sum *sums, const uint32_t *order, uint32_t count) {
  uint64_t live = 0;
  for (uint32_t i = 0; i < count; i++)
    live += type_memuse(sums[order[i]]);
  put(t, "malloc9: ");
  put_name(t, view_string(view, view.header.program));
  put(t, " (pid ");
  put_number(t, view.header.pid);
  put(t, "), ");
  put(t, view_mode_name(view.header.mode));
  const view_text reason = view_string(view, view.header.mode_reason);
  if (reason.size != 0) {
    put(t, ": ");
    put_name(t, reason);
  }
  put_number(t, count, 0, ", ", " types, ");
  put_number(t, live, 0, "", " bytes live\n");
}

void put_sizes(table_text &t, const statistics_view &view, uint64_t zones) {
  const char *before = "  ";
  for (uint32_t z = 0; z < view_count(view, section_kind::zones); z++) {
    if (!(zones >> z & 1))
      continue;
    put(t, before);
    before = ",";
    const uint64_t size = view_zone(view, z).size;
    if (size == 0)
      put(t, "large");
    else
      put_number(t, size);
  }
}

void put_type(table_text &t, const statistics_view &view, const type_sum &sum, uint32_t type, size_t name_column) {
  const format::type_entry entry = view_type(view, type);
  const view_text name = view_string(view, entry.name);
  put_name(t, name);
  put_padding(t, name_width(name), name_column);
  put_number(t, type_inuse(sum), 8, " ");
  const uint64_t live = type_memuse(sum);
  put_number(t, kilobytes(live), 9, " ", "K");
  // No peak exceeds all that was ever allocated: a bound that reaches it is the peak itself.
  const uint64_t high = entry.highuse > live ? entry.highuse : live;
  put_number(t, kilobytes(high), 11, high < sum.memalloced ? " >=" : " ", "K");
  put_number(t, type_requests(sum), 12, " ");
  put_sizes(t, view, sum.zones);
  put_char(t, '\n');
}

void put_inherited(table_text &t, const statistics_view &view, const type_sum *sums) {
  type_sum all = {};
  for (uint32_t i = 0; i < view_count(view, section_kind::types); i++) {
    all.numallocs += sums[i].inherited.numallocs;
    all.numfrees += sums[i].inherited.numfrees;
    all.memalloced += sums[i].inherited.memalloced;
    all.memfreed += sums[i].inherited.memfreed;
  }
  put(t, "malloc9: note: inherited at ");
  put(t, view_is_merged(view) ? "forks and not among Requests: " : "the fork and counted above: ");
  put_number(t, all.numallocs, 0, "", " requests; ");
  put_number(t, type_inuse(all), 0, "", " items, ");
  put_number(t, type_memuse(all), 0, "", " bytes live\n");
}

void put_notes(table_text &t, const statistics_view &view) {
  for (uint32_t i = 0; i < view_count(view, section_kind::notes); i++) {
    const format::note_entry note = view_note(view, i);
    if (note.value == 0)
      continue;
    put_number(t, note.value, 0, "malloc9: note: ", " ");
    put_name(t, view_string(view, note.name));
    put_char(t, '\n');
  }
}

} // namespace

uint32_t table_sort(const statistics_view &view, const type_sum *sums, uint32_t *order) {
  uint32_t count = 0;
  for (uint32_t t = 0; t < view_count(view, section_kind::types); t++)
    if (type_requests(sums[t]) != 0 || type_frees(sums[t]) != 0 || type_inuse(sums[t]) != 0)
      order[count++] = t;
  for (uint32_t root = count / 2; root-- > 0;)
    heap_sink(view, sums, order, root, count);
  for (uint32_t last = count; last-- > 1;) {
    const uint32_t top = order[0];
    order[0] = order[last];
    order[last] = top;
    heap_sink(view, sums, order, 0, last);
  }
  return count;
}

void table_print(const statistics_view &view, type_sum *sums, uint32_t *order, table_sink sink) {
  view_sum_types(view, sums);
  const uint32_t count = table_sort(view, sums, order);
  size_t column = name_column_min;
  for (uint32_t i = 0; i < count; i++) {
    const size_t width = name_width(view_string(view, view_type(view, order[i]).name));
    if (width > column)
      column = width < name_column_max ? width : name_column_max;
  }
  table_text t = {sink, 0, {}};
  put_head(t, view, sums, order, count);
  put(t, "Type");
  put_padding(t, 4, column);
  put(t, "   InUse   MemUse    HighUse    Requests  Size(s)\n");
  for (uint32_t i = 0; i < count; i++)
    put_type(t, view, sums[order[i]], order[i], column);
  if (view_has_inherited(view))
    put_inherited(t, view, sums);
  put_notes(t, view);
  text_flush(t);
}

} // namespace m9

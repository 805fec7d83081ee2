// SPDX-License-Identifier: BSD-2-Clause
#include "core/live.h"

#include <initializer_list>

#include "core/heap.h"
#include "core/inherited.h"
#include "core/layout.h"
#include "core/live_index.h"
#include "core/meta.h"
#include "shim/pages.h"
#include "shim/panic.h"
#include "shim/percpu.h"
#include "shim/shared_file.h"
#include "shim/system.h"
#include "shim/text.h"

namespace m9 {
namespace {

constexpr uint64_t block_bytes = uint64_t{window_count} * window_bytes; // the cells of one CPU
constexpr const char *full = "the file system is full";
constexpr const char *crowded = "it ran on more CPUs than the file has room for";

live_about about; // (i)
bool wanted;      // (i)
using name_text = text_buffer<96>;
name_text name;
uint64_t pid_namespace, parent;
// All below (t).
shared_file file; // while its first parts are taken
uintptr_t slots;  // the blocks that no CPU has taken yet are still mapped here; 0: there is no file
uint32_t slots_count, slots_used;
uint64_t backed[8192 / 64 + 1]; // bit cpu + 1: its cells are in the file

uint64_t cells_at(int cpu) { return percpu_block_of(cpu) + cells_offset; }
bool is_backed(int cpu) { return backed[(cpu + 1) / 64] >> ((cpu + 1) % 64) & 1; }

bool slot_done(int cpu) M9_REQUIRES(malloc_mtx) {
  backed[(cpu + 1) / 64] |= uint64_t{1} << ((cpu + 1) % 64);
  return true;
}

// Puts the next slot behind the cells of a CPU, with what they hold. The file is still open, which is cheaper. False:
// all is as it was.
bool slot_take_first(int cpu) M9_REQUIRES(malloc_mtx) {
  if (slots_used == slots_count)
    return false;
  uint64_t at = live_index_bytes(layout_is_compact()) + slots_used * block_bytes;
  for (unsigned w = 0; w < window_count; w++) {
    uint64_t offset = window_offset(w) - cells_offset;
    const void *from = reinterpret_cast<const void *>(cells_at(cpu) + offset);
    if (cell_window_opened(w) && shared_file_write(file, at + offset, from, cell_window_opened(w)) < 0)
      return false;
  }
  return pages_map_file_at(cells_at(cpu), file.other, at, block_bytes) && slot_done(cpu);
}

// The same later, for a CPU that has counted nothing.
bool slot_take(int cpu) M9_REQUIRES(malloc_mtx) {
  if (slots_used == slots_count)
    return false;
  uintptr_t at = slots + slots_used * block_bytes;
  if (!pages_allow(at, block_bytes))
    return false;
  for (unsigned w = 0; w < window_count; w++)
    if (cell_window_opened(w) && !pages_allocate(at + window_offset(w) - cells_offset, cell_window_opened(w)))
      return false;
  return pages_replace(at, block_bytes, cells_at(cpu)) && slot_done(cpu);
}

// What a block in private memory begins with.
enum class filling { nothing, same, inherited };

void window_fill(uintptr_t cells, int cpu, unsigned w, filling how) {
  uint64_t offset = window_offset(w) - cells_offset;
  auto *to = reinterpret_cast<uint64_t *>(cells + offset);
  if (how == filling::same)
    __builtin_memcpy(to, reinterpret_cast<const void *>(cells_at(cpu) + offset), cell_window_opened(w));
  if (how == filling::inherited)
    inherited_copy(w, to);
}

bool block_make_private(int cpu, filling how) M9_REQUIRES(malloc_mtx) {
  bool copies = how == filling::same;
  uintptr_t fresh = copies ? pages_map(block_bytes) : pages_renew(cells_at(cpu), block_bytes) ? cells_at(cpu) : 0;
  for (unsigned w = 0; fresh && w < window_count; w++)
    window_fill(fresh, cpu, w, how);
  return fresh && (!copies || pages_replace(fresh, block_bytes, cells_at(cpu)));
}

// f for the shared block and that of each CPU.
template <class F> void blocks_each(F f) {
  int cpu = -1;
  do
    f(cpu);
  while ((cpu = percpu_next_opened(cpu)) >= 0);
}

// Every block gets a slot of the new file.
void blocks_take() M9_REQUIRES(malloc_mtx) {
  blocks_each([](int cpu) M9_UNCHECKED {
    if (slot_take_first(cpu))
      live_cpu_add(cpu, slots_used++);
    else
      live_incomplete(slots_used == slots_count ? crowded : full);
  });
}

// What the blocks held is in the inherited sums, if those are known.
void blocks_leave() M9_REQUIRES(malloc_mtx) {
  int keeper = percpu_next_opened(-1); // of all that was inherited; the shared block only where there is no CPU
  blocks_each([keeper](int cpu) M9_UNCHECKED {
    filling how = !inherited_is_known() ? filling::same : cpu == keeper ? filling::inherited : filling::nothing;
    CHECK(block_make_private(cpu, how), "no memory for the counters of a child");
  });
}

// PID-NAMESPACE.live; `time` comes in where that is taken.
void name_make(name_text &to, uint64_t time) {
  to.clear();
  to.number(process_id()).put('-').number(pid_namespace);
  if (time)
    to.put('-').number(time);
  to.add(".live");
}

// The file as it is made, under a name of which readers know that it is none of a whole file.
name_text made;

// What a process that was killed left under this name is for `malloc9 gc`.
long made_begin(uint64_t size) {
  long result = 0;
  for (uint64_t time : {uint64_t{0}, clock_real_ns()}) {
    name_make(made, time);
    made.add(".new");
    result = shared_file_create(about.folder, made.c_str(), size, file);
    if (!error_is_taken(result))
      break;
  }
  return result;
}

// Gives the whole file its name. Who has it already can only be dead, or this process before it called exec: then that
// is over. When this process began is asked only then, as it takes 20 us.
long made_publish() M9_REQUIRES(malloc_mtx) {
  constexpr uint64_t tolerance = 50 * 1000 * 1000;
  name_make(name, 0);
  long result = shared_file_publish(file, made.c_str(), name.c_str(), false);
  if (!error_is_taken(result))
    return result;
  format::header old;
  if (shared_file_peek(about.folder, name.c_str(), &old, sizeof old)) {
    uint64_t started = process_started_ns();
    if (started != 0 && old.time_ns + tolerance > started)
      return shared_file_publish(file, made.c_str(), name.c_str(), true);
    name_text aside;
    name_make(aside, old.time_ns);
    shared_file_rename(about.folder, name.c_str(), aside.c_str());
  } else {
    name_make(name, clock_real_ns());
  }
  return shared_file_publish(file, made.c_str(), name.c_str(), false);
}

// The counters go back to private memory, as they are. Where there is no memory for that, they stay in a file that
// nobody sees.
void file_leave(uintptr_t index, uint64_t index_bytes) M9_REQUIRES(malloc_mtx) {
  live_on = false;
  bool left = true;
  blocks_each([&left](int cpu) M9_UNCHECKED {
    if (is_backed(cpu) && !block_make_private(cpu, filling::same))
      left = false;
  });
  pages_drop(slots, slots ? slots_count * block_bytes : 0);
  slots = 0;
  for (uint64_t &b : backed)
    b = 0;
  if (left)
    pages_drop(index, index ? index_bytes : 0);
}

// Maps the index where no child has it, which keeps the lock, and the slots.
long file_map(uintptr_t &index, uint64_t index_bytes) M9_REQUIRES(malloc_mtx) {
  uint64_t slots_bytes = slots_count * block_bytes;
  index = pages_map_file(file.owner, 0, index_bytes, true);
  slots = index ? pages_map_file(file.other, index_bytes, slots_bytes, false) : 0;
  if (slots && pages_keep_from_children(index, index_bytes))
    return shared_file_allocate(file, 0, live_index_first);
  return error_no_memory;
}

// A new file for this process, with all that was counted so far. 0 or a negated errno.
long file_begin() M9_REQUIRES(malloc_mtx) {
  bool small = layout_is_compact();
  uint64_t index_bytes = live_index_bytes(small);
  slots_count = small ? 1 : live_slots_most;
  slots_used = 0;
  pid_namespace = process_namespace();
  malloc_types_name_locked(); // reads files, and so comes before ours are open
  long result = made_begin(index_bytes + slots_count * block_bytes);
  if (result < 0)
    return result;
  uintptr_t index = 0;
  result = file_map(index, index_bytes);
  if (result == 0) {
    live_index_start(index, small, slots_count, {about.program, about.command, about.start_ns, parent, pid_namespace});
    blocks_take();
    live_index_publish();
    result = made_publish();
  }
  if (result == 0) {
    shared_file_close(file);
    return 0;
  }
  shared_file_discard(file, made.c_str());
  file_leave(index, index_bytes);
  return result;
}

} // namespace

bool live_wanted() { return wanted; }

long live_start(const live_about &what, bool later) M9_UNCHECKED {
  heap_enter();
  about = what;
  wanted = true;
  if (later) {
    heap_defer_live();
    return 0;
  }
  heap_pause();
  long result = 0;
  {
    locked_inside guard(malloc_mtx);
    result = file_begin();
  }
  heap_resume();
  return result;
}

// What fork handlers of others allocate, after ours, is the child's past too.
void live_fork_prepare() {
  if (slots && inherited_prepare())
    percpu_shared_added = inherited_add;
}

void live_fork_done() { percpu_shared_added = nullptr; }

void live_child() {
  parent = process_parent();
  percpu_shared_added = nullptr;
  live_on = false;
  if (!slots)
    return;
  pages_drop(slots + slots_used * block_bytes, (slots_count - slots_used) * block_bytes);
  slots = 0;
  for (uint64_t &b : backed)
    b = 0;
  inherited_forget_unknown();
  blocks_leave();
}

void live_begin() { file_begin(); }

const char *live_file_name() {
  heap_enter();
  heap_settle_live();
  return live_on ? name.c_str() : nullptr;
}

void live_end(bool keep) {
  if (keep)
    heap_settle_live();
  if (!live_on)
    return;
  live_refresh();
  live_ended();
  if (!keep)
    shared_file_remove(about.folder, name.c_str());
}

bool live_cpu_opening(int cpu) {
  if (!slots)
    return false;
  if (slot_take(cpu))
    return true;
  live_incomplete(slots_used == slots_count ? crowded : full);
  return false;
}

bool live_open_range(int cpu, uint32_t offset, uint32_t size) {
  if (!is_backed(cpu))
    return percpu_open_range(cpu, offset, size);
  uintptr_t at = percpu_block_of(cpu) + offset;
  if (pages_allocate(at, size))
    return true;
  live_incomplete(full);
  return pages_renew(at, size);
}

void live_cpu_opened(int cpu) {
  if (is_backed(cpu))
    live_cpu_add(cpu, slots_used++);
}

} // namespace m9

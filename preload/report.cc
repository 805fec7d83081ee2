// SPDX-License-Identifier: BSD-2-Clause
#include "preload/report.h"

#include <atomic>
#include <cstdlib>

#include "core/audit.h"
#include "core/live.h"
#include "core/malloc_type.h"
#include "core/statistics.h"
#include "core/table.h"
#include "shim/pages.h"
#include "shim/panic.h"
#include "shim/process.h"
#include "shim/standard_error.h"
#include "shim/system.h"
#include "shim/text.h"

namespace m9 {
namespace {

text_buffer<256> program;
text_buffer<1024> command;
uint64_t start_ns;
std::atomic<uint32_t> sequence;
// For the image and the table when the kernel gives no more memory at the end. Untouched until then.
constexpr size_t reserve_size = 512 * 1024;
uintptr_t reserve;

bool is_first() { return conf.first_pid == 0 || conf.first_pid == process_id(); }

bool image_make(statistics_image &image) {
  image = {reinterpret_cast<unsigned char *>(reserve), 0, 0};
  return statistics_make({program.c_str(), command.c_str(), start_ns, sequence.load(std::memory_order_relaxed)}, image,
                         reserve ? reserve_size / 2 : 0);
}

void image_print(const statistics_image &image, int fd) {
  statistics_view view;
  if (view_open(view, image.data, image.size).what)
    return complain("the statistics are not readable: please report this");
  uint32_t types = view_count(view, format::section_kind::types);
  size_t size = (types * (sizeof(type_sum) + sizeof(uint32_t)) + 65536) / 65536 * 65536;
  uintptr_t memory = pages_map(size);
  bool ours = memory == 0 && reserve != 0 && size <= reserve_size / 2;
  if (ours)
    memory = reserve + reserve_size / 2;
  if (!memory)
    return complain("no memory for the table");
  auto *sums = reinterpret_cast<type_sum *>(memory);
  auto write = [](void *context, const char *data, size_t n) { file_write(*static_cast<int *>(context), data, n); };
  table_print(view, sums, reinterpret_cast<uint32_t *>(sums + types), {write, &fd});
  if (!ours)
    pages_unmap(memory, size);
}

using path_text = text_buffer<path_most>;

path_text dump_path(uint32_t number) {
  path_text path;
  bool has_pid = false;
  for (const char *s = conf.dump; *s; s++) {
    if (*s != '%') {
      path.put(*s);
      continue;
    }
    switch (*++s) {
    case 'p':
      has_pid = true;
      path.number(process_id());
      break;
    case 'e':
      path.add(program.c_str());
      break;
    case 't':
      path.number(clock_real_ns() / 1000000000);
      break;
    case 'n':
      path.number(number);
      break;
    default:
      path.put('%');
    }
  }
  if (!has_pid && !is_first())
    path.put('.').number(process_id());
  return path;
}

// To a name beside it first, so that a reader never sees half a dump and a full disk leaves the old one. What is no
// regular file (/dev/stdout, a pipe, a link) is written to where it stands; but not in a folder that may be gone, where
// by now somebody else may have put links under the same name.
long dump_write(const statistics_image &image, const char *path) {
  bool special = !conf.dump_private && file_is_special(path);
  path_text beside;
  beside.add(path).add(".part");
  int fd = special ? file_open_special(path) : file_create(beside.c_str(), conf.dump_private);
  if (fd < 0)
    return fd;
  long result = file_write(fd, image.data, image.size);
  long closed = file_close(fd);
  result = result < 0 ? result : closed;
  if (!special && result == 0)
    result = file_rename(beside.c_str(), path);
  if (!special && result < 0)
    file_remove(beside.c_str());
  return result;
}

// Who made the report, or makes it: the process, as a child has a report of its own, and the thread.
std::atomic<uint64_t> reporter; // (a)
std::atomic<uint64_t> reported; // (a) the process whose report is complete
constexpr int thread_bits = 41;

// Several threads may end the process at once. The others wait until the report is complete, but not for one that gets
// no further (a pipe that nobody reads): then they end it.
void report_once() {
  uint64_t process = uint64_t{process_id()} << thread_bits;
  uint64_t me = process | reinterpret_cast<uintptr_t>(__builtin_thread_pointer()) >> 6;
  uint64_t before = reporter.load(std::memory_order_relaxed);
  do {
    if (before >> thread_bits << thread_bits == process) {
      for (int ms = 0; ms < 1000 && before != me && reported.load(std::memory_order_acquire) != process; ms++)
        wait_ms(1);
      return;
    }
  } while (!reporter.compare_exchange_weak(before, me, std::memory_order_relaxed));
  report_dump();
  if (conf.print_exit && is_first())
    report_table();
  reported.store(process, std::memory_order_release); // pairs with the acquire above
}

void audit_print() {
  audit_result r = audit();
  text_buffer<512> line;
  if (r.failure) {
    line.add("audit: FAILED: ")
        .add(r.failure)
        .add(": ")
        .number(r.expected)
        .add(" expected, ")
        .number(r.found)
        .add(" found");
    complain(line.c_str());
    abort();
  }
  line.add("audit: ok: ")
      .number(r.types)
      .add(" types, ")
      .number(r.zones)
      .add(" zones, ")
      .number(r.items)
      .add(" items live");
  if (r.in_flight)
    line.add(", ").number(r.in_flight).add(" in flight at fork");
  complain(line.c_str());
}

} // namespace

void report_start(int argc, char **argv) {
  start_ns = clock_real_ns();
  if (argc > 0)
    program.add(text_base_name(argv[0]));
  for (int i = 0; i < argc; i++)
    command.add(i ? " " : "").add(argv[i]);
  bool reports = conf.print_exit || conf.audit_exit || conf.dump[0];
  standard_error_start(reports);
  if (reports)
    reserve = pages_map(reserve_size);
}

void report_live_start() {
  long result = live_start({conf.stats, program.c_str(), command.c_str(), start_ns}, !is_first());
  if (result == 0)
    return;
  text_buffer<path_most + 256> line;
  line.add("cannot count in a file in ").add(conf.stats).add(": ").add(error_text(result));
  complain(line.add(", counting in memory").c_str());
}

void report_table() {
  statistics_image image{};
  if (!image_make(image))
    return complain("no memory for the statistics");
  if (int fd = standard_error(); fd >= 0)
    image_print(image, fd);
  statistics_release(image);
}

void report_dump() {
  if (!conf.dump[0])
    return;
  uint32_t number = sequence.fetch_add(1, std::memory_order_relaxed) + 1;
  statistics_image image{};
  if (!image_make(image))
    return complain("no memory for the statistics");
  path_text path = dump_path(number);
  long error = dump_write(image, path.c_str());
  if (error < 0 && !(conf.dump_private && error_is_missing(error))) {
    text_buffer<1024> line;
    complain(line.add("cannot write ").add(path.c_str()).add(": ").add(error_text(error)).c_str());
  }
  statistics_release(image);
}

namespace {
void live_finish() {
  if (live_wanted())
    live_end(conf.keep_all || (conf.keep_first && is_first()));
}
} // namespace

bool report_mark(const char *mark) {
  constexpr size_t most = 64;
  bool good = *mark && *mark != '.' && text_length(mark) <= most;
  for (const char *s = mark; *s; s++)
    good = good && ((*s >= '0' && *s <= '9') || ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'z') || *s == '.' || *s == '-' ||
                    *s == '_');
  const char *file = good && live_wanted() ? live_file_name() : nullptr;
  statistics_image image{};
  if (!file || !image_make(image))
    return false;
  path_text path;
  path.add(conf.stats).put('/').add(file).put('@').add(mark);
  long error = dump_write(image, path.c_str());
  statistics_release(image);
  return error == 0;
}

void report_exit() {
  report_once();
  live_finish();
  if (conf.audit_exit)
    audit_print();
}

void report_quick_exit() {
  bool wanted = conf.dump[0] || (conf.print_exit && is_first());
  if (process_is_another() || panicked())
    return;
  if (wanted && !on_signal_stack())
    report_once();
  live_finish();
}

report_totals report_total() {
  report_totals t{};
  for (const malloc_type *p = malloc_type_next(nullptr); p; p = malloc_type_next(p)) {
    malloc_type_stats s = malloc_type_stats_read(*p);
    t.live_bytes += s.mts_memalloced - s.mts_memfreed;
    t.live_blocks += s.mts_numallocs - s.mts_numfrees;
  }
  return t;
}

} // namespace m9

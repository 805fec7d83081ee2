// SPDX-License-Identifier: BSD-2-Clause
//
// In three steps, of which those that touch the file own nothing, as they may be left in the middle (tool/guarded.h):
// how large the sections are; a copy of all but the counters; and, laid out by that copy, the counters.
#include "tool/live_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/view.h"
#include "tool/error.h"
#include "tool/guarded.h"

namespace m9::tool {
namespace {

using format::section_kind;

constexpr uint64_t section_most = 64 << 20; // bytes of one; of those that the library makes 16 MiB is the largest
// A file has holes, and so room for far more than it has memory. So many bytes are believed as they are; of more, the
// file must have an eighth (some file systems compress).
constexpr uint64_t believed = 8 << 20;
constexpr uint32_t table_most = 64;

struct part {
  uint64_t offset = 0, count = 0; // in the file
  uint32_t entry_size = 0;
  uint64_t place = 0; // in the image
};

// In the order in which they are counted: what is referred to comes after who refers to it, so that it is there.
constexpr std::array copied = {section_kind::cells, section_kind::inherited, section_kind::types, section_kind::modules,
                               section_kind::cpus,  section_kind::zones,     section_kind::notes, section_kind::live,
                               section_kind::peak,  section_kind::strings};

struct live_reader {
  const mapped_file &file;
  std::array<part, view_section_kinds> parts{};
  format::header header{};
  const char *failure = nullptr;
  unsigned char *image = nullptr;
  const uint64_t *cell_at = nullptr; // where each cell lies in a CPU's block of the image
  uint64_t block_bytes = 0, cpus_room = 0, image_size = 0;

  int fd;
  enum class page_state : uint8_t { unknown, here, hole };
  std::array<page_state, 4096> pages{}; // from looked_at on
  uint64_t looked_at = 0, page_size = 1;

  live_reader(const mapped_file &mapped, int descriptor) : file(mapped), fd(descriptor) {}

  part &of(section_kind kind) { return parts[static_cast<uint32_t>(kind)]; }
  void fail(const char *what) {
    if (failure == nullptr)
      failure = what;
  }
  bool holds(uint64_t at, uint64_t size) const { return at <= file.size() && size <= file.size() - at; }
  // To look at a hole through the mapping would give it memory, or be a SIGBUS where the file system is full; such
  // pages (and those that are swapped out) are read.
  void look(uint64_t at, uint64_t size) {
    page_size = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
    looked_at = at / page_size * page_size;
    const uint64_t n = (size + page_size - 1) / page_size + 1;
    if (n > pages.size())
      return fail("a CPU's block is larger than any that a process makes");
    std::fill_n(pages.begin(), n, page_state::unknown);
  }
  uint64_t load_counter(uint64_t at) {
    page_state &page = pages[(at - looked_at) / page_size];
    if (page == page_state::unknown) {
      unsigned char resident = 0;
      void *start = const_cast<unsigned char *>(file.data()) + at / page_size * page_size;
      page = ::mincore(start, page_size, &resident) == 0 && (resident & 1) != 0 ? page_state::here : page_state::hole;
    }
    if (page == page_state::here)
      return load(at);
    uint64_t value = 0;
    return ::pread(fd, &value, sizeof value, static_cast<off_t>(at)) == sizeof value ? value : 0;
  }
  uint64_t load(uint64_t at) const {
    return __atomic_load_n(reinterpret_cast<const uint64_t *>(file.data() + at), __ATOMIC_ACQUIRE);
  }

  // Of an entry in the image.
  unsigned char *entry_at(section_kind kind, uint64_t index) {
    return image + of(kind).place + index * of(kind).entry_size;
  }
  template <typename entry> entry read(section_kind kind, uint64_t index) {
    entry e{};
    if (index < of(kind).count)
      std::memcpy(&e, entry_at(kind, index), std::min<size_t>(sizeof e, of(kind).entry_size));
    return e;
  }
  uint32_t words_of(const format::cell_entry &cell) {
    return read<format::zone_entry>(section_kind::zones, cell.zone).size == 0 ? 4 : 2;
  }

  void find(section_kind wanted);
  void measure();
  void copy_index();
  void copy(const part &p);
  void copy_half(uint64_t cpus, bool allocs);
  void copy_counters();
};

// The count first, then the place: a section that outgrew its place moves before it is counted.
void live_reader::find(section_kind wanted) {
  for (uint32_t i = 0; i < std::min(header.section_count, table_most); i++) {
    const uint64_t at = header.sections_offset + uint64_t{i} * header.section_size;
    if (at % 8 != 0 || !holds(at, sizeof(format::section)))
      return fail("the section table does not fit into the file");
    format::section s{};
    std::memcpy(&s, file.data() + at, sizeof s);
    if (s.kind != wanted)
      continue;
    part &p = of(wanted);
    p.entry_size = s.entry_size;
    p.count = load(at + offsetof(format::section, count));
    p.offset = load(at + offsetof(format::section, offset));
    if (p.entry_size == 0 || p.offset % 8 != 0 || p.offset > file.size() ||
        p.count > (file.size() - p.offset) / p.entry_size)
      return fail("a section does not fit into the file");
    if (wanted != section_kind::counters && p.count > section_most / p.entry_size)
      return fail("a section is larger than any that a process makes");
    return;
  }
}

void live_reader::measure() {
  std::memcpy(&header, file.data(), sizeof header);
  for (const section_kind kind : copied)
    find(kind);
  find(section_kind::counters);
  if (of(section_kind::live).count == 0)
    fail("the section table is damaged");
}

void live_reader::copy_index() {
  for (const section_kind kind : copied)
    copy(of(kind));
}

void live_reader::copy(const part &p) {
  const uint64_t size = p.count * p.entry_size;
  if (::pread(fd, image + p.place, size, static_cast<off_t>(p.offset)) != static_cast<ssize_t>(size))
    fail("the file was cut short while it was read");
}

void live_reader::copy_half(uint64_t cpus, bool allocs) {
  const part &counters = of(section_kind::counters);
  for (uint64_t c = 0; c < cpus; c++) {
    const auto cpu = read<format::cpu_entry>(section_kind::cpus, c);
    if (cpu.offset % 8 != 0 || cpu.offset > counters.count * 8 || cpu.size > counters.count * 8 - cpu.offset)
      return fail("a CPU's block lies outside the counters");
    look(counters.offset + cpu.offset, cpu.size);
    if (failure != nullptr)
      return;
    unsigned char *block = image + counters.place + c * block_bytes;
    for (uint64_t i = 0; i < of(section_kind::cells).count; i++) {
      const auto cell = read<format::cell_entry>(section_kind::cells, i);
      const uint64_t bytes = uint64_t{words_of(cell)} * 8;
      if (cell.offset % 8 != 0 || cell.offset > cpu.size || bytes > cpu.size - cell.offset)
        return fail("a cell lies outside a CPU's block");
      for (uint64_t w = allocs ? 0 : 8; w < bytes; w += 16) {
        const uint64_t value = load_counter(counters.offset + cpu.offset + cell.offset + w);
        std::memcpy(block + cell_at[i] + w, &value, 8);
      }
    }
  }
}

void live_reader::copy_counters() {
  part &cpus = of(section_kind::cpus);
  copy_half(cpus.count, false);
  // What a CPU that was opened since allocated may have been freed on another: so its allocations count, too.
  const uint64_t place = cpus.place;
  find(section_kind::cpus);
  cpus.place = place;
  cpus.count = std::min(cpus.count, cpus_room);
  if (failure != nullptr)
    return;
  copy(cpus);
  copy_half(cpus.count, true);
}

uint64_t padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

// Places for all but the counters; some CPUs may be opened meanwhile.
void lay_out_index(live_reader &r) {
  uint64_t at = sizeof(format::header) + (copied.size() + 1) * sizeof(format::section);
  for (const section_kind kind : copied) {
    part &p = r.of(kind);
    p.place = at;
    const uint64_t room = p.count + (kind == section_kind::cpus ? 8 : 0);
    at += padded(room * p.entry_size);
    if (kind == section_kind::cpus)
      r.cpus_room = room;
  }
  r.of(section_kind::counters).place = at;
  r.image_size = at;
}

std::vector<uint64_t> lay_out_cells(live_reader &r) {
  std::vector<uint64_t> cell_at(r.of(section_kind::cells).count);
  for (uint64_t i = 0; i < cell_at.size(); i++) {
    cell_at[i] = r.block_bytes;
    r.block_bytes += uint64_t{r.words_of(r.read<format::cell_entry>(section_kind::cells, i))} * 8;
  }
  r.cell_at = cell_at.data();
  r.image_size += r.cpus_room * r.block_bytes;
  return cell_at;
}

// What the library leaves to its reader, as it follows from the counters.
void fill_zones(live_reader &r) {
  std::vector<uint64_t> used(r.of(section_kind::zones).count);
  uint64_t shared = 0;
  for (uint64_t c = 0; c < r.of(section_kind::cpus).count; c++)
    for (uint64_t i = 0; i < r.of(section_kind::cells).count; i++) {
      uint64_t counted[2];
      std::memcpy(counted, r.image + r.of(section_kind::counters).place + c * r.block_bytes + r.cell_at[i],
                  sizeof counted);
      if (const auto cell = r.read<format::cell_entry>(section_kind::cells, i); cell.zone < used.size())
        used[cell.zone] += counted[0] - counted[1];
      if (r.read<format::cpu_entry>(section_kind::cpus, c).cpu < 0)
        shared += counted[0] + counted[1];
    }
  for (uint64_t z = 0; z < used.size(); z++) {
    auto zone = r.read<format::zone_entry>(section_kind::zones, z);
    zone.used = static_cast<int64_t>(used[z]) > 0 ? used[z] : 0;
    if (zone.size != 0)
      zone.free = zone.free > zone.used ? zone.free - zone.used : 0;
    std::memcpy(r.entry_at(section_kind::zones, z), &zone,
                std::min<size_t>(sizeof zone, r.of(section_kind::zones).entry_size));
  }
  const part &strings = r.of(section_kind::strings);
  for (uint64_t i = 0; i < r.of(section_kind::notes).count; i++) {
    auto note = r.read<format::note_entry>(section_kind::notes, i);
    constexpr std::string_view wanted = "calls charged to no CPU";
    if (note.name.size != wanted.size() || note.name.offset > strings.count ||
        note.name.size > strings.count - note.name.offset ||
        std::memcmp(r.image + strings.place + note.name.offset, wanted.data(), wanted.size()) != 0)
      continue;
    note.value = shared;
    std::memcpy(r.entry_at(section_kind::notes, i), &note,
                std::min<size_t>(sizeof note, r.of(section_kind::notes).entry_size));
  }
}

void write_head(live_reader &r, uint64_t time_ns) {
  for (uint64_t i = 0; i < r.of(section_kind::cells).count; i++) {
    const auto offset = static_cast<uint32_t>(r.cell_at[i]);
    std::memcpy(r.entry_at(section_kind::cells, i) + offsetof(format::cell_entry, offset), &offset, sizeof offset);
  }
  for (uint64_t c = 0; c < r.of(section_kind::cpus).count; c++) {
    auto cpu = r.read<format::cpu_entry>(section_kind::cpus, c);
    cpu.offset = c * r.block_bytes;
    cpu.size = r.block_bytes;
    std::memcpy(r.entry_at(section_kind::cpus, c), &cpu,
                std::min<size_t>(sizeof cpu, r.of(section_kind::cpus).entry_size));
  }
  format::header h = r.header;
  h.header_size = sizeof h;
  h.file_size = r.image_size;
  h.sections_offset = sizeof h;
  h.section_size = sizeof(format::section);
  h.section_count = 0;
  h.time_ns = time_ns;
  const auto add = [&](section_kind kind, uint64_t count) {
    const part &p = r.of(kind);
    const format::section s{kind, p.entry_size, count, p.place};
    if (p.entry_size != 0)
      std::memcpy(r.image + sizeof h + sizeof s * h.section_count++, &s, sizeof s);
  };
  for (const section_kind kind : copied) {
    const uint64_t cells = r.of(section_kind::cells).count, count = r.of(kind).count;
    add(kind, kind == section_kind::inherited ? std::min(count, cells) : count);
  }
  add(section_kind::counters, r.of(section_kind::cpus).count * r.block_bytes / 8);
  std::memcpy(r.image, &h, sizeof h);
}

uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

} // namespace

bool is_live_file(int fd, const format::header &header) {
  std::array<format::section, table_most> table{};
  const uint64_t size = uint64_t{std::min(header.section_count, table_most)} * sizeof(format::section);
  struct stat st {};
  if (::fstat(fd, &st) == 0 && header.file_size > believed &&
      header.file_size / 8 > static_cast<uint64_t>(st.st_blocks) * 512)
    return true; // a dump has no holes: to read it whole would be a waste
  if (header.section_size != sizeof(format::section) ||
      ::pread(fd, table.data(), size, static_cast<off_t>(header.sections_offset)) != static_cast<ssize_t>(size))
    return false;
  return std::any_of(table.begin(), table.end(),
                     [](const format::section &s) { return s.kind == section_kind::live && s.count != 0; });
}

bool live_is_alive(int fd) {
  struct flock all {};
  all.l_type = F_RDLCK;
  return ::fcntl(fd, F_OFD_GETLK, &all) == 0 && all.l_type == F_WRLCK;
}

live_image live_read(int fd, const std::string &path) {
  const auto fail = [&](const std::string &what) { throw error(fmt::format("{}: {}", printable(path), what)); };
  struct stat st {};
  if (::fstat(fd, &st) != 0 || st.st_size < static_cast<off_t>(sizeof(format::header)))
    fail("the file is cut short");
  const bool alive = live_is_alive(fd);
  const mapped_file file(fd, static_cast<size_t>(st.st_size));
  if (file.data() == nullptr)
    fail(errno == ENOMEM ? fmt::format("its {} bytes do not fit into memory (at byte {})", st.st_size,
                                       offsetof(format::header, file_size))
                         : errno_text(errno));
  live_reader r(file, fd);
  const auto guarded = [&](void (*step)(void *)) {
    if (!read_guarded(file, step, &r))
      fail("the file was cut short while it was read");
    if (r.failure != nullptr)
      fail(r.failure);
  };
  guarded([](void *p) { static_cast<live_reader *>(p)->measure(); });
  lay_out_index(r);
  const auto check_size = [&](uint64_t bytes, const char *what) {
    if (bytes > believed && bytes / 8 > static_cast<uint64_t>(st.st_blocks) * 512)
      fail(fmt::format("more {} than the file can hold", what));
  };
  check_size(r.image_size, "types");
  live_image index{std::make_unique<uint64_t[]>(r.image_size / 8 + 1), r.image_size};
  r.image = reinterpret_cast<unsigned char *>(index.memory.get());
  guarded([](void *p) { static_cast<live_reader *>(p)->copy_index(); });
  const std::vector<uint64_t> cell_at = lay_out_cells(r);
  check_size(r.cpus_room * r.block_bytes, "counters");
  live_image whole{std::make_unique<uint64_t[]>(r.image_size / 8 + 1), r.image_size};
  std::memcpy(whole.memory.get(), index.memory.get(), index.size);
  r.image = reinterpret_cast<unsigned char *>(whole.memory.get());
  guarded([](void *p) { static_cast<live_reader *>(p)->copy_counters(); });
  fill_zones(r);
  const uint64_t seen = r.read<format::live_entry>(section_kind::live, 0).checked_ns;
  write_head(r, alive ? now_ns() : std::max(seen, r.header.time_ns));
  return whole;
}

} // namespace m9::tool

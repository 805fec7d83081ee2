// SPDX-License-Identifier: BSD-2-Clause
//
// What is copied of the file is laid out here, and completed by what the library leaves to its reader.
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
#include <sys/stat.h>
#include <unistd.h>

#include "core/view.h"
#include "tool/error.h"
#include "tool/live_reader.h"

namespace m9::tool {
namespace {

using format::section_kind;

// A file has holes, and so room for far more than it has memory. So many bytes are believed as they are; of more, the
// file must have an eighth (some file systems compress).
constexpr uint64_t believed = 8 << 20;

uint64_t padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

// Places for all but the counters; some CPUs may be opened meanwhile.
void lay_out_index(live_reader &r) {
  uint64_t at = sizeof(format::header) + (live_copied.size() + 1) * sizeof(format::section);
  for (const section_kind kind : live_copied) {
    live_part &p = r.of(kind);
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
  const live_part &strings = r.of(section_kind::strings);
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
    const live_part &p = r.of(kind);
    const format::section s{kind, p.entry_size, count, p.place};
    if (p.entry_size != 0)
      std::memcpy(r.image + sizeof h + sizeof s * h.section_count++, &s, sizeof s);
  };
  for (const section_kind kind : live_copied) {
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
  std::array<format::section, live_table_most> table{};
  const uint64_t size = uint64_t{std::min(header.section_count, live_table_most)} * sizeof(format::section);
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

namespace {

// An open live file, mapped. Sizes first, then a copy of all but the counters, then, laid out by that copy, the
// counters.
class live_source {
public:
  live_source(int descriptor, std::string name)
      : fd(descriptor), path(std::move(name)), about(status()), file(fd, static_cast<size_t>(about.st_size)),
        r(file, fd) {
    if (file.data() == nullptr)
      fail(errno == ENOMEM ? fmt::format("its {} bytes do not fit into memory (at byte {})", about.st_size,
                                         offsetof(format::header, file_size))
                           : errno_text(errno));
  }
  live_image read();
  bool read_counters(live_image &image);
  const struct stat &identity() const { return about; }

private:
  [[noreturn]] void fail(const std::string &what) const { throw error(fmt::format("{}: {}", printable(path), what)); }
  struct stat status() const {
    struct stat st {};
    if (::fstat(fd, &st) != 0 || st.st_size < static_cast<off_t>(sizeof(format::header)))
      fail("the file is cut short");
    return st;
  }
  void guarded(void (*step)(void *)) {
    if (!read_guarded(file, step, &r))
      fail("the file was cut short while it was read");
    if (r.failure != nullptr)
      fail(r.failure);
  }
  void check_size(uint64_t bytes, const char *what) const {
    if (bytes > believed && bytes / 8 > static_cast<uint64_t>(about.st_blocks) * 512)
      fail(fmt::format("more {} than the file can hold", what));
  }
  // The image from the index on, into memory of its size.
  void fill(live_image &whole);

  int fd;
  std::string path;
  struct stat about;
  mapped_file file;
  live_reader r;
  live_image index;
  std::array<live_part, view_section_kinds> measured{}; // as the index was laid out
  std::vector<uint64_t> cell_at;
};

void live_source::fill(live_image &whole) {
  const bool alive = live_is_alive(fd);
  std::memcpy(whole.memory.get(), index.memory.get(), index.size);
  r.image = reinterpret_cast<unsigned char *>(whole.memory.get());
  guarded([](void *p) { static_cast<live_reader *>(p)->copy_counters(); });
  fill_zones(r);
  const uint64_t seen = r.read<format::live_entry>(section_kind::live, 0).checked_ns;
  write_head(r, alive ? now_ns() : std::max(seen, r.header.time_ns));
}

live_image live_source::read() {
  if (::fstat(fd, &about) != 0) // more of it may have memory by now
    fail(errno_text(errno));
  r.failure = nullptr;
  r.parts = {};
  r.block_bytes = 0;
  guarded([](void *p) { static_cast<live_reader *>(p)->measure(); });
  lay_out_index(r);
  check_size(r.image_size, "types");
  index = {std::make_unique<uint64_t[]>(r.image_size / 8 + 1), r.image_size};
  r.image = reinterpret_cast<unsigned char *>(index.memory.get());
  guarded([](void *p) { static_cast<live_reader *>(p)->copy_index(); });
  cell_at = lay_out_cells(r);
  check_size(r.cpus_room * r.block_bytes, "counters");
  if (!r.make_room())
    fail("more CPUs than a process can have run on");
  measured = r.parts;
  live_image whole{std::make_unique<uint64_t[]>(r.image_size / 8 + 1), r.image_size};
  fill(whole);
  return whole;
}

bool live_source::read_counters(live_image &image) {
  if (index.size == 0 || image.size != r.image_size)
    return false;
  guarded([](void *p) { static_cast<live_reader *>(p)->measure(); });
  const bool same =
      std::equal(measured.begin(), measured.end(), r.parts.begin(), [](const live_part &a, const live_part &b) {
        return a.offset == b.offset && a.count == b.count && a.entry_size == b.entry_size;
      });
  r.parts = measured;
  if (same)
    fill(image);
  return same;
}

} // namespace

live_image live_read(int fd, const std::string &path) { return live_source(fd, path).read(); }

struct live_file::state {
  state(unique_fd open, const std::string &path) : fd(std::move(open)), source(fd.get(), path) {}
  unique_fd fd;
  live_source source;
};

live_file::live_file(unique_fd fd, const std::string &path) : s(std::make_unique<state>(std::move(fd), path)) {}
live_file::~live_file() = default;
live_image live_file::read() { return s->source.read(); }
bool live_file::read_counters(live_image &image) { return s->source.read_counters(image); }
bool live_file::is_alive() const { return live_is_alive(s->fd.get()); }

bool live_file::is_replaced(const std::string &path) const {
  struct stat st {};
  const struct stat &own = s->source.identity();
  return ::stat(path.c_str(), &st) == 0 && (st.st_dev != own.st_dev || st.st_ino != own.st_ino);
}

} // namespace m9::tool

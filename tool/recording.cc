// SPDX-License-Identifier: BSD-2-Clause
//
// Reads a recording. All of it is gone through once, checked, before anything is given out; each() then trusts it.
#include "tool/recording.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/unique_fd.h"
#include "tool/watch.h"

namespace m9::tool {
namespace {

constexpr uint64_t most_types = 1 << 20;
constexpr uint64_t most_marks = 100000;
constexpr uint64_t most_us = uint64_t{1} << 62;
constexpr uint64_t most_bytes = uint64_t{2} << 30;

// A walk over bytes that may say anything. Past the end it gives 0 and `good` is false.
class cursor {
public:
  cursor(std::string_view all, size_t from, size_t to) : bytes(all), at(from), end(to) {}
  bool good = true;

  size_t position() const { return at; }
  size_t left() const { return end - at; }
  uint8_t byte() { return at < end ? static_cast<uint8_t>(bytes[at++]) : fail(); }
  uint64_t number() {
    uint64_t n = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const uint8_t b = byte();
      if (shift == 63 && b > 1)
        return fail();
      n |= uint64_t{b & 0x7fU} << shift;
      if ((b & 0x80) == 0)
        return n;
    }
    return fail();
  }
  // `before`, changed by a signed difference.
  uint64_t changed(uint64_t before) {
    const uint64_t coded = number();
    return before + ((coded >> 1) ^ ((coded & 1) != 0 ? UINT64_MAX : 0));
  }
  std::string text() {
    const uint64_t size = number();
    if (size > left()) {
      fail();
      return {};
    }
    at += size;
    return std::string(bytes.substr(at - size, size));
  }

private:
  uint8_t fail() {
    good = false;
    at = end;
    return 0;
  }
  std::string_view bytes;
  size_t at, end;
};

// Walks over records; false from `see` is a record that is wrong. Gives where it stopped: at the end, or at a record
// that is not whole, or (`bad`) that is wrong.
template <typename function> size_t walk(const std::string &bytes, size_t from, bool &bad, const function &see) {
  cursor records(bytes, from, bytes.size());
  bad = false;
  while (records.left() != 0) {
    const size_t start = records.position();
    const uint8_t kind = records.byte();
    const uint64_t size = records.number();
    if (!records.good || size > records.left())
      return start;
    const size_t content = records.position();
    if (!see(static_cast<record_kind>(kind), cursor(bytes, content, content + size))) {
      bad = true;
      return start;
    }
    records = cursor(bytes, content + size, bytes.size());
  }
  return bytes.size();
}

// One sample's changes, into `totals`. False: it is wrong.
bool read_sample(cursor &c, std::vector<counts> &totals, uint64_t &us, std::vector<recording::change> *changes) {
  us += c.number();
  const uint64_t changed = c.number();
  if (changed > c.left())
    return false;
  uint64_t next = 0;
  for (uint64_t i = 0; i < changed && c.good; i++) {
    const uint64_t number = next + c.number();
    if (number < next || number >= totals.size())
      return false;
    counts &total = totals[number];
    total.numallocs = c.changed(total.numallocs);
    total.numfrees = c.changed(total.numfrees);
    total.memalloced = c.changed(total.memalloced);
    total.memfreed = c.changed(total.memfreed);
    next = number + 1;
    if (changes != nullptr)
      changes->push_back({static_cast<uint32_t>(number), total});
  }
  return c.good && us < most_us;
}

std::string read_whole(const std::string &path) {
  const auto fail = [&](const std::string &what) -> error {
    return error(fmt::format("{}: {}", printable(path), what));
  };
  const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0)
    throw fail(errno_text(errno));
  if (!S_ISREG(st.st_mode))
    throw fail("is no file");
  if (static_cast<uint64_t>(st.st_size) > most_bytes)
    throw fail(fmt::format("{} bytes, more than the {} that this program reads", st.st_size, most_bytes));
  std::string bytes(static_cast<size_t>(st.st_size), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::read(fd.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      throw fail(errno_text(errno));
    if (n == 0)
      break;
    done += static_cast<size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

} // namespace

bool is_recording(const std::string &path) {
  const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  char first[sizeof recording_magic] = {};
  return fd && ::read(fd.get(), first, sizeof first) == static_cast<ssize_t>(sizeof first) &&
         std::memcmp(first, recording_magic, sizeof first) == 0;
}

recording::recording(const std::string &from) : recording(from, read_whole(from)) {}

recording::recording(std::string from, std::string all) : path(std::move(from)), bytes(std::move(all)) { check(); }

void recording::check() {
  const auto fail = [&](const char *what, size_t at) {
    return error(fmt::format("{}: {} (at byte {})", printable(path), what, at));
  };
  if (bytes.size() < sizeof header)
    throw fail("the file is cut short", bytes.size());
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, recording_magic, sizeof recording_magic) != 0)
    throw fail("is no recording of malloc9", 0);
  if (header.byte_order != format::byte_order_mark)
    throw fail("was written on a machine of another byte order", offsetof(recording_header, byte_order));
  if (header.version != recording_version)
    throw fail("is of another version of the format", offsetof(recording_header, version));
  if (header.header_size < sizeof header || header.header_size > bytes.size())
    throw fail("its header has an impossible size", offsetof(recording_header, header_size));
  uint64_t us = 0;
  bool bad = false;
  const size_t end = walk(bytes, header.header_size, bad, [&](record_kind kind, cursor c) {
    if (kind == record_kind::program) {
      program = c.text();
      command = c.text();
    } else if (kind == record_kind::type) {
      declared type{c.text(), c.text(), c.text(), c.number(), static_cast<uint32_t>(c.number())};
      types.push_back(std::move(type));
      totals.emplace_back();
      return c.good && types.size() <= most_types;
    } else if (kind == record_kind::sample) {
      sample_count++;
      return read_sample(c, totals, us, nullptr);
    } else if (kind == record_kind::mark) {
      std::string name = c.text();
      const uint64_t at = c.number();
      made_marks.push_back({static_cast<double>(at) / 1e6, std::move(name)});
      return c.good && at < most_us && made_marks.size() <= most_marks;
    } else if (kind == record_kind::statistics) {
      dump_at = c.position();
      dump_size = c.left();
    }
    return c.good;
  });
  if (bad)
    throw fail("a record that cannot be", end);
  std::stable_sort(made_marks.begin(), made_marks.end(),
                   [](const mark &a, const mark &b) { return a.seconds < b.seconds; });
  is_cut = end != bytes.size();
  bytes.resize(end);
  if (sample_count == 0)
    throw fail("no sample is in it", end);
}

void recording::each(const std::function<void(double, const std::vector<change> &)> &see) const {
  std::vector<counts> now;
  uint64_t us = 0;
  bool bad = false;
  std::vector<change> changes;
  walk(bytes, header.header_size, bad, [&](record_kind kind, cursor c) {
    if (kind == record_kind::type)
      now.emplace_back();
    if (kind == record_kind::sample) {
      changes.clear();
      read_sample(c, now, us, &changes);
      see(static_cast<double>(us) / 1e6, changes);
    }
    return true;
  });
}

model recording::last() const {
  if (dump_size == 0)
    return made();
  const auto *dump = reinterpret_cast<const unsigned char *>(bytes.data()) + dump_at;
  return model_of(dump_from_bytes(path, dump, dump_size).view);
}

// All counts in one large zone, which tells bytes, and of no CPU.
model recording::made() const {
  model m;
  m.program = program;
  m.command = command;
  m.mode = static_cast<format::run_mode>(header.mode);
  m.pid = header.pid;
  m.start_ns = header.start_ns;
  m.time_ns = header.time_ns;
  m.cpus = {-1};
  m.zones.push_back({});
  std::unordered_map<std::string, uint32_t> modules;
  for (size_t i = 0; i < types.size(); i++) {
    const declared &d = types[i];
    uint32_t module = format::no_module;
    if (!d.module.empty()) {
      const auto [at, is_new] = modules.try_emplace(d.module, static_cast<uint32_t>(m.modules.size()));
      if (is_new)
        m.modules.push_back({d.module, d.build_id});
      module = at->second;
    }
    m.types.push_back({d.name, module, d.offset, 0, d.flags, {{0, {totals[i]}}}});
  }
  return m;
}

std::vector<uint32_t> recording::places(const model &in) const {
  std::unordered_map<std::string, uint32_t> known;
  for (uint32_t i = 0; i < in.types.size(); i++)
    known.try_emplace(type_identity(in, in.types[i]), i);
  std::vector<uint32_t> result;
  for (const declared &d : types) {
    const auto found = known.find(type_identity(d.name, d.module, d.offset));
    result.push_back(found != known.end() ? found->second : UINT32_MAX);
  }
  return result;
}

} // namespace m9::tool

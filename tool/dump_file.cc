// SPDX-License-Identifier: BSD-2-Clause
#include "tool/dump_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/error.h"
#include "tool/live_file.h"
#include "tool/target.h"
#include "tool/unique_fd.h"

namespace m9::tool {
namespace {

struct reader {
  const std::string &path;
  unique_fd fd;

  [[noreturn]] void fail(const std::string &what) const { throw error(fmt::format("{}: {}", printable(path), what)); }

  // Reads until `size` bytes are there or the file ends; gives how many.
  size_t read_some(void *to, size_t size) const {
    size_t done = 0;
    while (done < size) {
      const ssize_t n = ::read(fd.get(), static_cast<char *>(to) + done, size - done);
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        fail(errno_text(errno));
      if (n == 0)
        break;
      done += static_cast<size_t>(n);
    }
    return done;
  }
};

reader open_dump(const std::string &path) {
  // Not blocking, so that a FIFO without a writer does not hang; a FIFO with one is read all the same.
  reader r{path, unique_fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK))};
  if (!r.fd)
    r.fail(errno_text(errno));
  struct stat st {};
  if (::fstat(r.fd.get(), &st) != 0)
    r.fail(errno_text(errno));
  if (S_ISDIR(st.st_mode))
    r.fail("is a directory");
  ::fcntl(r.fd.get(), F_SETFL, 0);
  return r;
}

std::unique_ptr<uint64_t[]> words_for(const reader &r, uint64_t bytes) {
  try {
    return std::make_unique_for_overwrite<uint64_t[]>(bytes / 8 + 1);
  } catch (const std::bad_alloc &) {
    r.fail(fmt::format("its {} bytes do not fit into memory (at byte {})", bytes, offsetof(format::header, file_size)));
  }
}

void check(dump_file &dump, size_t size) {
  const view_error e = view_open(dump.view, reinterpret_cast<const unsigned char *>(dump.memory.get()), size);
  if (e.what != nullptr)
    throw error(fmt::format("{}: {} (at byte {})", printable(dump.path), e.what, e.offset));
}

} // namespace

namespace {

void say_what_is_missing(const dump_file &dump) {
  const format::live_entry live = view_live(dump.view);
  if (live.incomplete == 0)
    return;
  const view_text reason = view_string(dump.view, live.reason);
  complain(fmt::format("{}: counts are missing: {}", printable(dump.path),
                       printable(std::string(reason.data, reason.size))));
}

} // namespace

dump_file dump_load(const std::string &target) {
  const std::string path = target_path(target);
  const reader r = open_dump(path);
  dump_file dump;
  dump.path = path;
  dump.memory = words_for(r, sizeof(format::header));
  size_t size = r.read_some(dump.memory.get(), sizeof(format::header));
  format::header header{};
  std::memcpy(&header, dump.memory.get(), size);
  const bool plausible = size == sizeof header && header.version == format::version &&
                         std::memcmp(header.magic, format::magic, sizeof format::magic) == 0 &&
                         header.byte_order == format::byte_order_mark && header.file_size > size;
  if (plausible) {
    struct stat st {};
    if (::fstat(r.fd.get(), &st) == 0 && S_ISREG(st.st_mode) && static_cast<uint64_t>(st.st_size) < header.file_size)
      r.fail(
          fmt::format("the file is cut short: {} bytes of {} (at byte {})", st.st_size, header.file_size, st.st_size));
    if (header.file_size > dump_max_size)
      r.fail(fmt::format("{} bytes, more than the {} that this program reads (at byte {})", header.file_size,
                         dump_max_size, offsetof(format::header, file_size)));
    if (is_live_file(r.fd.get(), header)) {
      live_image image = live_read(r.fd.get(), path);
      dump.memory = std::move(image.memory);
      check(dump, image.size);
      say_what_is_missing(dump);
      return dump;
    }
    auto whole = words_for(r, header.file_size);
    std::memcpy(whole.get(), dump.memory.get(), size);
    size += r.read_some(reinterpret_cast<char *>(whole.get()) + size, header.file_size - size);
    dump.memory = std::move(whole);
  }
  check(dump, size);
  return dump;
}

dump_file dump_from_bytes(const std::string &path, const unsigned char *data, size_t size) {
  dump_file dump{path, std::make_unique_for_overwrite<uint64_t[]>(size / 8 + 1), {}};
  if (size != 0)
    std::memcpy(dump.memory.get(), data, size);
  check(dump, size);
  return dump;
}

} // namespace m9::tool

// SPDX-License-Identifier: BSD-2-Clause
//
// damaged FILE ROUNDS: damages the index of a live file of a dead process and reads it: one clear error or statistics,
// within 256 MiB.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/model.h"

using namespace m9;

namespace {

constexpr size_t index_size = 12288; // of which the header and the section table are the most delicate
using bytes = std::array<unsigned char, index_size>;
std::mt19937_64 random_source(11);

uint64_t odd_number() {
  const uint64_t choices[] = {0,
                              1,
                              8,
                              0x7fffffff,
                              0xffffffff,
                              UINT64_MAX,
                              UINT64_MAX - 7,
                              1 << 20,
                              1U << 29,
                              uint64_t{1} << 40,
                              random_source() % index_size,
                              random_source()};
  return choices[random_source() % std::size(choices)];
}

bytes damage(const bytes &good) {
  bytes bad = good;
  for (size_t n = random_source() % 3 + 1; n > 0; n--) {
    const size_t room = random_source() % 2 != 0 ? 512 : index_size; // the table, or anything
    const size_t size = random_source() % 2 != 0 ? 8 : 4, at = random_source() % (room / 8) * 8;
    const uint64_t value = odd_number();
    if (random_source() % 4 == 0)
      bad[random_source() % room] ^= static_cast<unsigned char>(1U << random_source() % 8);
    else
      std::memcpy(&bad[at], &value, size);
  }
  return bad;
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 3)
    return 2;
  const int fd = open(argv[1], O_RDWR | O_CLOEXEC);
  bytes good{};
  if (fd < 0 || pread(fd, good.data(), good.size(), 0) != static_cast<ssize_t>(good.size()))
    return 2;
  int read = 0, refused = 0;
  for (int round = std::atoi(argv[2]); round > 0; round--) {
    const bytes bad = damage(good);
    if (pwrite(fd, bad.data(), bad.size(), 0) != static_cast<ssize_t>(bad.size()))
      return 2;
    try {
      const tool::dump_file dump = tool::dump_load(argv[1]);
      tool::types_sorted(tool::model_of(dump.view));
      read++;
    } catch (const tool::error &e) {
      if (std::strchr(e.what(), '\n') != nullptr || std::strncmp(e.what(), argv[1], std::strlen(argv[1])) != 0) {
        std::printf("an odd error: %s\n", e.what());
        return 1;
      }
      refused++;
    }
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("%d read, %d refused, %ld KiB\n", read, refused, usage.ru_maxrss);
  return read > 0 && refused > 0 && usage.ru_maxrss < 256 * 1024 ? 0 : 1;
}

// SPDX-License-Identifier: BSD-2-Clause
//
// What every workload of the bench shares. A workload is deterministic: for the same options it returns the same check
// value under every allocator, whatever order its threads run in, so a run that computed something else is noticed.
// Every item that a workload gets is written to, as programs do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace bench {

struct options {
  double scale = 1;     // of the amount of work
  unsigned threads = 0; // 0: the workload's own number, in all that follows
  size_t live = 0;
  size_t types = 0;
  size_t size = 0;
  unsigned depth = 0;  // wrapped
  bool asleep = false; // rss: no thread runs after the last free

  // n scaled, at least 1.
  uint64_t scaled(double n) const { return n * scale < 1 ? 1 : uint64_t(n * scale); }
};

struct outcome {
  uint64_t check = 0;
  double ns_median = 0; // CPU time per pair, where the workload takes it itself; else 0
  double ns_least = 0;
  double peak_mib = 0; // rss only
  double left_mib = 0;
};

struct workload {
  const char *name;
  outcome (*run)(const options &);
  const char *what;
};

outcome hot(const options &);
outcome scattered(const options &);
outcome threads_curve(const options &);
outcome types_curve(const options &);
outcome watched(const options &);
outcome mixed_random(const options &);
outcome mixed_lifo(const options &);
outcome mixed_fifo(const options &);
outcome tree(const options &);
outcome server(const options &);
outcome producers(const options &);
outcome sharing_items(const options &);
outcome sharing_tags(const options &);
outcome strings(const options &);
outcome large(const options &);
outcome zeroed(const options &);
outcome many_threads(const options &);
outcome fragmented(const options &);
outcome given_back(const options &);
outcome wrapped(const options &);
outcome first_sights(const options &);

// Nanoseconds of CPU time of the calling thread.
uint64_t thread_cpu_ns();

// Pins the calling thread to the n-th CPU that it may use, counted around.
void pin(unsigned n);

// Ends the program with a line on stderr: no memory, or an item that does not hold what was written.
[[noreturn]] void fail(const char *what);

inline void *checked(void *p) {
  if (!p) [[unlikely]]
    fail("no memory");
  return p;
}

// An item of n bytes (8 or more) that holds value in its first 8.
inline uint64_t *item_make(size_t n, uint64_t value) {
  auto *p = static_cast<uint64_t *>(checked(malloc(n)));
  *p = value;
  return p;
}

// xorshift64*: enough for picking, and cheap beside an allocation.
struct random_source {
  uint64_t state;
  explicit random_source(uint64_t seed) : state(seed * 0x9E3779B97F4A7C15u + 0x1234567) {}
  uint64_t next() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545F4914F6CDD1Du >> 16;
  }
  // Below n (n < 2^32), without a division.
  size_t below(size_t n) { return size_t((next() & 0xFFFFFFFF) * n >> 32); }
};

// The 13 sizes of the mixed workloads.
constexpr size_t mixed_sizes[13] = {16, 24, 32, 48, 64, 80, 100, 128, 200, 256, 400, 512, 1000};

// A shuffled table of mixed sizes, so that picking one costs a load.
struct size_table {
  static constexpr size_t length = 4096;
  uint16_t sizes[length];
  explicit size_table(uint64_t seed) {
    random_source random(seed);
    for (uint16_t &s : sizes)
      s = uint16_t(mixed_sizes[random.below(13)]);
  }
  size_t operator[](uint64_t i) const { return sizes[i % length]; }
};

} // namespace bench

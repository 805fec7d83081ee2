// SPDX-License-Identifier: BSD-2-Clause
//
// One thread, malloc and free: the same size again and again, and 1,000 or more live items of mixed sizes.
// These time themselves in chunks, in CPU time of the thread: the median chunk is what is usual, the least what is
// possible when nobody disturbs.
#include "test/bench/workloads/workload.h"

#include <algorithm>
#include <vector>

namespace bench {

namespace {

// Calls chunk() (which does `pairs` pairs) so often, and notes the nanoseconds per pair of the median and the least.
template <typename function> void time_chunks(outcome &x, size_t chunks, uint64_t pairs, function chunk) {
  std::vector<double> ns;
  ns.reserve(chunks);
  for (size_t i = 0; i < chunks; i++) {
    const uint64_t begin = thread_cpu_ns();
    chunk();
    ns.push_back(double(thread_cpu_ns() - begin) / double(pairs));
  }
  std::sort(ns.begin(), ns.end());
  x.ns_median = ns[ns.size() / 2];
  x.ns_least = ns[0];
}

} // namespace

outcome hot(const options &o) {
  const size_t size = o.size ? o.size : 64;
  const uint64_t pairs = o.scaled(2e6);
  outcome x;
  time_chunks(x, 30, pairs, [&] {
    for (uint64_t i = 0; i < pairs; i++) {
      uint64_t *p = item_make(size, i);
      asm volatile("" : "+r"(p)::"memory"); // the item is used
      x.check += *p;
      free(p);
    }
  });
  return x;
}

outcome scattered(const options &o) {
  const size_t live = o.live ? o.live : 1000;
  const size_table sizes(1);
  random_source random(2);
  std::vector<uint64_t *> items(live);
  for (size_t i = 0; i < live; i++)
    items[i] = item_make(sizes[i], i);
  const uint64_t pairs = o.scaled(500e3);
  outcome x;
  time_chunks(x, 30, pairs, [&] {
    for (uint64_t i = 0; i < pairs; i++) {
      uint64_t *&slot = items[random.below(live)];
      x.check += *slot;
      free(slot);
      slot = item_make(sizes[i], i);
    }
  });
  for (uint64_t *p : items)
    free(p);
  return x;
}

outcome mixed_random(const options &o) {
  options more = o;
  more.scale = o.scale * 2;
  return scattered(more);
}

outcome mixed_lifo(const options &o) {
  const size_table sizes(3);
  std::vector<uint64_t *> items(1000);
  outcome x;
  uint64_t n = 0;
  for (uint64_t round = o.scaled(25e3); round; round--) {
    for (uint64_t *&slot : items) {
      slot = item_make(sizes[n], n);
      n++;
    }
    for (size_t i = items.size(); i-- > 0;) {
      x.check = x.check * 3 + *items[i];
      free(items[i]);
    }
  }
  return x;
}

outcome mixed_fifo(const options &o) {
  const size_table sizes(4);
  std::vector<uint64_t *> items(1000);
  for (size_t i = 0; i < items.size(); i++)
    items[i] = item_make(sizes[i], i);
  outcome x;
  uint64_t n = 0;
  for (uint64_t round = o.scaled(25e3); round; round--) {
    for (uint64_t *&slot : items) {
      x.check = x.check * 3 + *slot;
      free(slot);
      slot = item_make(sizes[n], n);
      n++;
    }
  }
  for (uint64_t *p : items)
    free(p);
  return x;
}

} // namespace bench

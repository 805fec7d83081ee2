// SPDX-License-Identifier: BSD-2-Clause
//
// Threads that work for themselves: 64 of them on few CPUs, the curve over their number, and false sharing.
#include "test/bench/workloads/workload.h"

#include <atomic>
#include <barrier>
#include <functional>
#include <thread>
#include <vector>

namespace bench {

namespace {

// Runs body(0) .. body(n - 1), each in a thread, and adds up what they return.
uint64_t in_threads(unsigned n, const std::function<uint64_t(unsigned)> &body) {
  std::vector<uint64_t> checks(n);
  std::vector<std::thread> threads;
  threads.reserve(n);
  for (unsigned i = 0; i < n; i++)
    threads.emplace_back([&, i] { checks[i] = body(i); });
  uint64_t sum = 0;
  for (unsigned i = 0; i < n; i++) {
    threads[i].join();
    sum += checks[i];
  }
  return sum;
}

// Threads that wait for each other, so that all are alive and ready before any is timed.
struct gate {
  std::barrier<> all;
  std::atomic<uint64_t> cpu_ns{0}; // of the timed parts, all threads together
};

// Replaces random ones of 100 live items of mixed sizes. Timed is the replacing alone, not the thread's start.
uint64_t replace_items(unsigned thread, uint64_t pairs, gate &g) {
  const size_table sizes(thread);
  random_source random(thread + 100);
  std::vector<uint64_t *> items(100);
  for (size_t i = 0; i < items.size(); i++)
    items[i] = item_make(sizes[i], i);
  g.all.arrive_and_wait();
  const uint64_t begin = thread_cpu_ns();
  uint64_t check = 0;
  for (uint64_t i = 0; i < pairs; i++) {
    uint64_t *&slot = items[random.below(items.size())];
    check += *slot;
    free(slot);
    slot = item_make(sizes[i], i);
  }
  g.cpu_ns += thread_cpu_ns() - begin;
  for (uint64_t *p : items)
    free(p);
  return check;
}

outcome spread(unsigned threads, uint64_t pairs) {
  outcome x;
  gate g{std::barrier<>(threads)};
  const uint64_t each = pairs / threads + 1;
  x.check = in_threads(threads, [&](unsigned i) { return replace_items(i, each, g); });
  x.ns_median = x.ns_least = double(g.cpu_ns) / double(each * threads);
  return x;
}

// The main thread makes items that lie side by side and deals them out like cards to two threads, each on a CPU of its
// own. They free them, and so what each allocates from then on may lie beside the other's.
uint64_t dealt(size_t size, const std::function<uint64_t(unsigned)> &body) {
  constexpr size_t count = 512;
  std::vector<uint64_t *> items(count);
  for (size_t i = 0; i < count; i++)
    items[i] = item_make(size, i);
  std::atomic<unsigned> ready{0};
  return in_threads(2, [&](unsigned thread) {
    pin(thread);
    for (size_t i = thread; i < count; i += 2)
      free(items[i]);
    ready++;
    while (ready != 2)
      std::this_thread::yield();
    return body(thread);
  });
}

} // namespace

outcome many_threads(const options &o) { return spread(o.threads ? o.threads : 64, o.scaled(30e6)); }

outcome threads_curve(const options &o) { return spread(o.threads ? o.threads : 1, o.scaled(10e6)); }

outcome sharing_items(const options &o) {
  const uint64_t rounds = o.scaled(1e6);
  outcome x;
  x.check = dealt(16, [rounds](unsigned thread) {
    uint64_t check = 0;
    uint64_t *items[8];
    for (uint64_t i = 0; i < rounds; i++) {
      for (uint64_t *&p : items)
        p = item_make(16, thread);
      for (unsigned writes = 0; writes < 4; writes++)
        for (volatile uint64_t *p : items)
          *p = *p + writes;
      for (uint64_t *p : items) {
        check += *p;
        free(p);
      }
    }
    return check;
  });
  return x;
}

outcome sharing_tags(const options &o) {
  const uint64_t rounds = o.scaled(2e6);
  outcome x;
  // 128 bytes: no line of an item is shared, but a line of any table by item is.
  x.check = dealt(128, [rounds](unsigned) {
    uint64_t check = 0;
    uint64_t *items[8];
    for (uint64_t i = 0; i < rounds; i++) {
      for (uint64_t *&p : items)
        p = item_make(128, i);
      for (uint64_t *p : items) {
        check += *p;
        free(p);
      }
    }
    return check;
  });
  return x;
}

} // namespace bench

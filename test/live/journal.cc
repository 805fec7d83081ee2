// SPDX-License-Identifier: BSD-2-Clause
//
// journal FILE THREADS [SLEEP_US]: threads allocate, each at a call site of its own (site<N>), free their own items and
// each other's, and write down in FILE what they did, until somebody kills them.
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test/live/journal.h"

namespace {

struct item {
  void *p;
  uint64_t bytes;
  unsigned owner;
};

constexpr size_t places = 1 << 10;
journal *journals;
struct shared_place {
  std::atomic_flag taken; // by a thread that looks at `it`
  item it;
};
shared_place shared[places]; // items that any thread may take and free
unsigned threads, sleep_us;

template <unsigned N> [[gnu::noinline]] void *site(size_t size) {
  void *p = malloc(size);
  asm volatile("# %1" : "+r"(p) : "i"(N)); // no tail call, and no two that are one
  return p;
}

void add(std::atomic<uint64_t> &to, uint64_t by) {
  to.store(to.load(std::memory_order_relaxed) + by, std::memory_order_release);
}

void release(journal &mine, const item &it) {
  free(it.p);
  add(mine.freed_of[it.owner], it.bytes);
  add(mine.frees_of[it.owner], 1);
}

void exchange(journal &mine, item &it, size_t n) {
  shared_place &place = shared[n];
  if (place.taken.test_and_set(std::memory_order_acquire))
    return;
  const item before = place.it;
  place.it = it;
  it.p = nullptr;
  place.taken.clear(std::memory_order_release);
  if (before.p != nullptr)
    release(mine, before);
}

template <unsigned N> void life() {
  journal &mine = journals[N];
  std::vector<item> items(places); // which are not part of the books
  uint64_t random = N * 7919 + 1;
  for (size_t n = 0;; n++) {
    random = random * 6364136223846793005 + 1442695040888963407;
    const size_t choice = random >> 33;
    const size_t size = choice % 997 == 0 ? 100000 + choice % 200000 : choice % 1000;
    item fresh{site<N>(size), 0, N};
    fresh.bytes = malloc_usable_size(fresh.p);
    add(mine.bytes, fresh.bytes);
    add(mine.allocs, 1);
    auto *slot = &items[choice / 1000 % places];
    if (slot->p != nullptr)
      release(mine, *slot);
    *slot = fresh;
    if (choice % 3 == 0) // what another thread left there is freed here, and this is left for another
      exchange(mine, *slot, choice / 3 % places);
    if (sleep_us != 0 && n % 64 == 0)
      usleep(sleep_us);
  }
}

template <unsigned... N> void start(std::vector<std::thread> &all, std::integer_sequence<unsigned, N...>) {
  (void)((N < threads ? (all.emplace_back(life<N>), true) : false) && ...);
}

} // namespace

int main(int argc, char **argv) {
  if (argc < 3)
    return 2;
  const int fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  threads = static_cast<unsigned>(atoi(argv[2]));
  sleep_us = argc > 3 ? static_cast<unsigned>(atoi(argv[3])) : 0;
  if (fd < 0 || threads > threads_most || ftruncate(fd, sizeof(journal) * threads_most) != 0)
    return 2;
  void *p = mmap(nullptr, sizeof(journal) * threads_most, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (p == MAP_FAILED)
    return 2;
  journals = static_cast<journal *>(p);
  std::vector<std::thread> all;
  start(all, std::make_integer_sequence<unsigned, threads_most>());
  puts("ready");
  fflush(stdout);
  for (std::thread &t : all)
    t.join();
  return 0;
}

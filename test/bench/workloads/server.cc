// SPDX-License-Identifier: BSD-2-Clause
//
// Threads that work for each other: a server's mix, and producers with consumers. What they pass goes through
// lock-free mailboxes or in large batches, so that the time is malloc's and not the scheduler's.
#include "test/bench/workloads/workload.h"

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace bench {

namespace {

struct message {
  message *next;
  uint64_t value;
};

// Many push, one takes all.
struct alignas(128) mailbox {
  std::atomic<message *> head{nullptr};

  void push(message *m) {
    m->next = head.load(std::memory_order_relaxed);
    while (!head.compare_exchange_weak(m->next, m, std::memory_order_release)) {
    }
  }

  uint64_t empty() {
    uint64_t sum = 0;
    for (message *m = head.exchange(nullptr, std::memory_order_acquire); m;) {
      message *next = m->next;
      sum += m->value;
      free(m);
      m = next;
    }
    return sum;
  }
};

constexpr unsigned workers = 4;
constexpr size_t sessions_per_worker = 2000;

// What a worker hands over to the thread that comes after it.
struct shift {
  random_source random{0};
  std::vector<uint64_t *> sessions = std::vector<uint64_t *>(sessions_per_worker);
  uint64_t check = 0;
};

struct server_state {
  size_table sizes{10};
  std::array<mailbox, workers> mailboxes;
  std::array<shift, workers> shifts;

  // One request: short-lived items freed at its end, an answer that another worker frees, now and then a session.
  void request(unsigned me) {
    shift &s = shifts[me];
    uint64_t *items[16];
    const uint64_t bits = s.random.next();
    const size_t count = 4 + bits % 13;
    for (size_t i = 0; i < count; i++)
      items[i] = item_make(sizes[bits + i], bits + i);
    if (bits & 0x100) {
      auto *m = static_cast<message *>(checked(malloc(16 + (bits >> 12) % 200)));
      m->value = bits;
      mailboxes[(me + 1 + (bits >> 10) % (workers - 1)) % workers].push(m);
    }
    if ((bits & 0x600) == 0) {
      uint64_t *&session = s.sessions[s.random.below(sessions_per_worker)];
      free(session);
      session = item_make(100 + (bits >> 20) % 1000, bits);
    }
    for (size_t i = 0; i < count; i++) {
      s.check += *items[i];
      free(items[i]);
    }
  }

  void work(unsigned me, uint64_t requests) {
    for (uint64_t i = 0; i < requests; i++) {
      request(me);
      if (i % 8 == 0)
        shifts[me].check += mailboxes[me].empty();
    }
  }
};

// Batches of items between one thread that fills and one that frees.
struct belt {
  static constexpr size_t batch = 512;
  static constexpr size_t depth = 8;
  std::mutex lock;
  std::condition_variable changed;
  std::array<std::array<uint64_t *, batch>, depth> slots;
  size_t filled = 0; // batches put in, and taken out, so far; taken <= filled <= taken + depth
  size_t taken = 0;

  std::array<uint64_t *, batch> &wait_free() {
    std::unique_lock held(lock);
    changed.wait(held, [&] { return filled < taken + depth; });
    return slots[filled % depth];
  }
  std::array<uint64_t *, batch> &wait_filled() {
    std::unique_lock held(lock);
    changed.wait(held, [&] { return taken < filled; });
    return slots[taken % depth];
  }
  void done(size_t &counter) {
    const std::lock_guard held(lock);
    counter++;
    changed.notify_one();
  }
};

} // namespace

outcome server(const options &o) {
  constexpr unsigned generations = 25;
  const uint64_t requests = o.scaled(25e3);
  server_state s;
  for (unsigned i = 0; i < workers; i++)
    s.shifts[i].random = random_source(20 + i);
  // Each worker is a chain of threads: one works its shift, ends, and the next goes on with its sessions.
  std::vector<std::thread> chains;
  for (unsigned i = 0; i < workers; i++)
    chains.emplace_back([&s, i, requests] {
      for (unsigned g = 0; g < generations; g++)
        std::thread(&server_state::work, &s, i, requests).join();
    });
  for (std::thread &t : chains)
    t.join();
  outcome x;
  for (unsigned i = 0; i < workers; i++) {
    x.check += s.shifts[i].check + s.mailboxes[i].empty();
    for (uint64_t *p : s.shifts[i].sessions)
      free(p);
  }
  return x;
}

outcome producers(const options &o) {
  constexpr unsigned pairs = 2;
  const uint64_t batches = o.scaled(10e3);
  std::array<belt, pairs> belts;
  std::array<uint64_t, pairs> checks{};
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < pairs; n++) {
    threads.emplace_back([&, n] {
      const size_table sizes(30 + n);
      for (uint64_t b = 0; b < batches; b++) {
        uint64_t i = b * belt::batch;
        for (uint64_t *&p : belts[n].wait_free()) {
          p = item_make(sizes[i], i);
          i++;
        }
        belts[n].done(belts[n].filled);
      }
    });
    threads.emplace_back([&, n] {
      for (uint64_t b = 0; b < batches; b++) {
        for (uint64_t *p : belts[n].wait_filled()) {
          checks[n] += *p;
          free(p);
        }
        belts[n].done(belts[n].taken);
      }
    });
  }
  for (std::thread &t : threads)
    t.join();
  outcome x;
  for (uint64_t c : checks)
    x.check += c;
  return x;
}

} // namespace bench

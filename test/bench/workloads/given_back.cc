// SPDX-License-Identifier: BSD-2-Clause
//
// What stays resident one second after 1 GiB in small items was freed. The items are chained through themselves, so no
// array of pointers is counted, and the resident memory is read without allocating. In one variant a thread makes 1,000
// mixed operations a second all the time; in the other (asleep=1) nothing runs after the last free.
#include "test/bench/workloads/workload.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include <atomic>

namespace bench {

namespace {

constexpr unsigned holders = 4;

struct chain {
  chain *next;
  uint64_t value;
};

struct holder {
  size_t size;
  uint64_t count;
  chain *head;
  uint64_t check;
  sem_t made, release, freed, end;
};

std::atomic<bool> ticking{false};

double resident_mib() {
  char text[4096];
  const int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
  const ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
  close(fd);
  if (length <= 0)
    fail("/proc/self/smaps_rollup cannot be read");
  text[length] = 0;
  const char *line = strstr(text, "Rss:");
  return line ? double(atol(line + 4)) / 1024 : 0;
}

void *hold(void *argument) {
  auto *h = static_cast<holder *>(argument);
  for (uint64_t i = 0; i < h->count; i++) {
    auto *c = static_cast<chain *>(checked(malloc(h->size)));
    // Every page of the item, as data would.
    for (size_t at = 4096; at < h->size; at += 4096)
      reinterpret_cast<char *>(c)[at] = 1;
    c->next = h->head;
    c->value = i;
    h->head = c;
  }
  sem_post(&h->made);
  sem_wait(&h->release);
  while (chain *c = h->head) {
    h->head = c->next;
    h->check += c->value;
    free(c);
  }
  sem_post(&h->freed);
  sem_wait(&h->end);
  return nullptr;
}

// 1,000 mixed operations a second; two CPUs at most wake for it.
void *tick(void *) {
  const size_table sizes(50);
  random_source random(51);
  uint64_t *items[64] = {};
  for (uint64_t i = 0; ticking; i++) {
    uint64_t *&slot = items[random.below(64)];
    free(slot);
    slot = item_make(sizes[i], i);
    usleep(1000);
  }
  for (uint64_t *p : items)
    free(p);
  return nullptr;
}

} // namespace

outcome given_back(const options &o) {
  const size_t size = o.size >= sizeof(chain) ? o.size : 64;
  holder all[holders] = {};
  pthread_t threads[holders];
  pthread_t ticker{};
  ticking = !o.asleep;
  if (ticking)
    pthread_create(&ticker, nullptr, tick, nullptr);
  for (unsigned i = 0; i < holders; i++) {
    all[i].size = size;
    all[i].count = o.scaled(1073741824.0 / double(size) / holders);
    for (sem_t *s : {&all[i].made, &all[i].release, &all[i].freed, &all[i].end})
      sem_init(s, 0, 0);
    pthread_create(&threads[i], nullptr, hold, &all[i]);
  }
  outcome x;
  for (holder &h : all)
    sem_wait(&h.made);
  x.peak_mib = resident_mib();
  for (holder &h : all)
    sem_post(&h.release);
  for (holder &h : all)
    sem_wait(&h.freed);
  sleep(1);
  x.left_mib = resident_mib();
  for (unsigned i = 0; i < holders; i++) {
    sem_post(&all[i].end);
    pthread_join(threads[i], nullptr);
    x.check += all[i].check;
  }
  if (ticking.exchange(false))
    pthread_join(ticker, nullptr);
  return x;
}

} // namespace bench

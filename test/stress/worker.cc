// SPDX-License-Identifier: BSD-2-Clause
#include "worker.h"

#include "sites.h"

#include <atomic>
#include <cstring>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

worker workers[max_workers];
uint32_t worker_count;
volatile sig_atomic_t handlers_paused;

namespace {

// Where threads leave blocks for each other. `taken` is a lock that nobody waits for.
struct mailbox {
  std::atomic<bool> taken;
  books::item item;
};

constexpr uint32_t mailbox_count = 1024;
mailbox mailboxes[mailbox_count];
std::atomic<uint32_t> next_fresh;
std::atomic<uint32_t> running;
cpu_set_t allowed;
thread_local worker *self;

constexpr int timer_signal = 40; // a real-time signal that glibc does not use

uint32_t draw(uint64_t &state) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>(state >> 33);
}

size_t draw_size(uint64_t &state) {
  uint32_t kind = draw(state) % 1000, value = draw(state);
  if (kind < 700)
    return 1 + value % 512;
  if (kind < 900)
    return 1 + value % (16 << 10);
  if (kind < 980)
    return 1 + value % (128 << 10);
  if (kind < 996)
    return 1 + value % (1 << 20);
  return 1 + value % (8 << 20);
}

books::item allocate(uint32_t context, uint32_t site, uint64_t &state) {
  size_t size = draw_size(state);
  void *data = sites::alloc(site, size);
  if (sites::zeroes(site))
    books::check_zero(data, size);
  return books::note_alloc(context, site, data, size, draw(state));
}

void give_back(uint32_t context, books::item &held, uint64_t &state) {
  books::note_free(context, held);
  sites::release(held.site, held.data, draw(state));
  held.data = nullptr;
}

void resize(uint32_t context, uint32_t site, books::item &held, uint64_t &state) {
  if (!sites::can_change(held.site))
    return;
  uint32_t kind = draw(state) % 4;
  size_t size = kind == 0   ? draw_size(state)
                : kind == 1 ? held.size + 1 + draw(state) % (1 + held.size / 2)
                : kind == 2 ? 1 + held.size / (1 + draw(state) % 4)
                            : held.usable;
  if (size > (12u << 20))
    size = 1 + size % (8 << 20);
  void *data = sites::change(site, held.data, size);
  held = books::note_realloc(context, site, held, data, size, draw(state));
}

void swap_with_mailbox(books::item &held, uint64_t &state) {
  mailbox &box = mailboxes[draw(state) % mailbox_count];
  if (box.taken.exchange(true, std::memory_order_acquire))
    return;
  books::item other = box.item;
  box.item = held;
  held = other;
  box.taken.store(false, std::memory_order_release);
}

void step(worker &me) {
  uint64_t &state = me.random;
  books::item &held = me.held[draw(state) % worker::slots];
  uint32_t kind = draw(state) % 100;
  if (kind < 50 || held.data == nullptr) {
    if (held.data != nullptr)
      give_back(me.number, held, state);
    else
      held = allocate(me.number, draw(state) % sites::plain, state);
  } else if (kind < 62) {
    resize(me.number, sites::first_resize + draw(state) % sites::resize, held, state);
  } else if (kind < 85) {
    swap_with_mailbox(held, state);
  } else {
    books::item brief = allocate(me.number, draw(state) % sites::plain, state);
    if (brief.data != nullptr)
      give_back(me.number, brief, state);
  }
}

void change_cpu(uint64_t &state) {
  cpu_set_t one;
  CPU_ZERO(&one);
  auto cpus = static_cast<uint32_t>(CPU_COUNT(&allowed));
  uint32_t wanted = draw(state) % cpus;
  for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &allowed) && wanted-- == 0)
      CPU_SET(cpu, &one);
  sched_setaffinity(0, sizeof one, &one);
}

void handler_step(worker &me) {
  uint32_t context = max_workers + me.number;
  uint64_t &state = me.handler_random;
  uint32_t count = 1 + draw(state) % 3;
  for (uint32_t i = 0; i < count; i++) {
    books::item &held = me.handler_held[draw(state) % worker::handler_slots];
    if (held.data != nullptr && draw(state) % 4 == 0)
      resize(context, sites::first_resize + draw(state) % sites::resize, held, state);
    else if (held.data != nullptr)
      give_back(context, held, state);
    else if (draw(state) % 8 == 0)
      held = allocate(context, sites::first_fresh + next_fresh.fetch_add(1) % sites::fresh, state);
    else
      held = allocate(context, sites::first_handler + draw(state) % sites::handler, state);
  }
}

void on_timer(int) {
  worker *me = self;
  if (me == nullptr || handlers_paused)
    return;
  me->in_handler = 1;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (handlers_paused) { // set by another thread, which may have missed `in_handler`
    me->in_handler = 0;
    return;
  }
  me->handler_runs++;
  handler_step(*me);
  bool leave = me->jump_ready && !me->busy && draw(me->handler_random) % 4 == 0;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  me->in_handler = 0;
  if (leave) {
    me->jumps++;
    siglongjmp(me->jump, 1);
  }
}

void start_timer(worker &me) {
  struct sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = timer_signal;
  event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
  itimerspec each = {{0, 1000000}, {0, 1000000}};
  if (timer_create(CLOCK_MONOTONIC, &event, &me.timer) != 0 || timer_settime(me.timer, 0, &each, nullptr) != 0)
    books::fail("no timer for worker", me.number);
}

void stop_timer(worker &me) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, timer_signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  timer_delete(me.timer);
}

void *work(void *argument) {
  worker &me = *static_cast<worker *>(argument);
  self = &me;
  start_timer(me);
  if (sigsetjmp(me.jump, 1) == 0)
    me.jump_ready = 1;
  while (me.done < me.operations) {
    me.busy = 1;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    step(me);
    me.done++;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    me.busy = 0;
    if (me.done % 300 == 0)
      change_cpu(me.random);
    for (int i = 0; i < 20; i++) // some time in which a handler may leave by a jump
      std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  me.jump_ready = 0;
  stop_timer(me);
  running--;
  return nullptr;
}

} // namespace

void workers_prepare(uint32_t count, uint64_t operations, uint64_t seed) {
  worker_count = count;
  sched_getaffinity(0, sizeof allowed, &allowed);
  struct sigaction action = {};
  action.sa_handler = on_timer;
  action.sa_flags = SA_RESTART;
  sigaction(timer_signal, &action, nullptr);
  for (uint32_t i = 0; i < count; i++) {
    workers[i].number = i;
    workers[i].operations = operations;
    workers[i].random = seed * 1000 + i;
    workers[i].handler_random = seed * 1000 + 500 + i;
  }
}

void workers_start() {
  running = worker_count;
  for (uint32_t i = 0; i < worker_count; i++)
    if (pthread_create(&workers[i].thread, nullptr, work, &workers[i]) != 0)
      books::fail("no thread", i);
}

void workers_join() {
  for (uint32_t i = 0; i < worker_count; i++)
    pthread_join(workers[i].thread, nullptr);
}

bool workers_running() { return running.load() > 0; }

void pause_handlers() {
  handlers_paused = 1;
  syscall(SYS_membarrier, 1 /* MEMBARRIER_CMD_GLOBAL */, 0, 0);
  for (uint32_t i = 0; i < worker_count; i++)
    while (workers[i].in_handler)
      sched_yield();
}

void resume_handlers() { handlers_paused = 0; }

void workers_clear() {
  uint64_t state = 99;
  for (uint32_t i = 0; i < worker_count; i++) {
    for (uint32_t slot = 0; slot < worker::slots; slot += 2)
      if (workers[i].held[slot].data != nullptr)
        give_back(0, workers[i].held[slot], state);
    for (auto &held : workers[i].handler_held)
      if (held.data != nullptr && held.size % 2 == 0)
        give_back(0, held, state);
  }
}

void child_operations(uint32_t context, uint64_t operations, uint64_t seed) {
  static books::item held[100];
  uint64_t state = seed;
  for (uint64_t i = 0; i < operations; i++) {
    books::item &item = held[draw(state) % 100];
    if (draw(state) % 10 == 0) {
      mailbox &box = mailboxes[draw(state) % mailbox_count];
      if (!box.taken && box.item.data != nullptr)
        give_back(context, box.item, state);
    } else if (item.data == nullptr) {
      item = allocate(context, sites::first_child + draw(state) % sites::child, state);
    } else if (draw(state) % 3 == 0) {
      resize(context, sites::first_child_resize + draw(state) % sites::child_resize, item, state);
    } else {
      give_back(context, item, state);
    }
  }
}

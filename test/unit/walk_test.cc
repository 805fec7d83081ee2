// SPDX-License-Identifier: BSD-2-Clause
//
// The walks that are kept: one is found again only where every return address on the way, and every frame pointer that
// leads to one, stands where it did; never a torn one, however many threads write and read; and nothing is read of a
// stack that is not there.
#include "core/walk_cache.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <random>
#include <thread>
#include <vector>

using namespace m9;

namespace {

constexpr uint64_t zone_key = zone_keys.of_class[3];

// A stack with a walk on it. Frames are so many words long; return addresses as given, anything else between them.
struct stack {
  alignas(4096) std::array<uint64_t, 512> words{};
  walk_record walk{};
  uint64_t rbp = 1;

  explicit stack(const std::vector<std::pair<unsigned, uint64_t>> &frames, uint64_t first = 0x401000) {
    unsigned above = 0;
    words[1] = walk.first = first;
    for (auto [length, caller] : frames) {
      above += length;
      words[1 + above] = caller;
      walk.add(caller, above * 8, 0);
    }
  }
  call_frame frame() const { return {reinterpret_cast<uintptr_t>(&words[2]), rbp}; }
  static uint64_t plain(uint64_t place) { return place & ~walk_more; }
  static uint64_t at_once(call_frame f, uint64_t zone) {
    uint64_t place;
    return walk_known(f, zone, place) ? plain(place) : 0;
  }
  static uint64_t otherwise(call_frame f, uint64_t zone) {
    uint64_t place;
    return walk_known_otherwise(f, zone, place) ? plain(place) : 0;
  }
  uint64_t at_once(uint64_t zone = zone_key) const { return at_once(frame(), zone); }
  // As malloc goes on.
  uint64_t find(uint64_t zone = zone_key) const {
    uint64_t place = at_once(zone);
    place = place ? place : otherwise(frame(), zone);
    return place ? place : plain(walk_look(frame(), zone));
  }
  void keep(uint64_t place, uint64_t zone = zone_key) const { keep(frame(), place, zone); }
  void keep(call_frame f, uint64_t place, uint64_t zone = zone_key) const {
    walk_record copy = walk;
    walk_remember(copy, f, zone, place, walk_generation());
  }
};

void forget() {
  locked guard(malloc_mtx);
  walks_forget();
}

void start() {
  static const bool once = (walks_start(), true);
  REQUIRE(once);
  forget();
}

} // namespace

TEST_CASE("a walk is known again while all of it stands there", "[walk]") {
  start();
  for (unsigned frames = 0; frames <= walk_frames; frames++) {
    std::vector<std::pair<unsigned, uint64_t>> chain;
    for (unsigned i = 0; i < frames; i++)
      chain.emplace_back(3 + i, 0x402000 + 0x100 * frames + i);
    stack s(chain, 0x401000 + frames);
    CHECK(s.find() == 0);
    s.keep(77 + frames);
    CHECK(s.at_once() == 77 + frames);
    CHECK(s.find() == 77 + frames);
    CHECK(s.find(zone_keys.of_class[4]) == 0);
    unsigned above = 1;
    for (auto [length, caller] : chain) {
      above += length;
      s.words[above] = caller + 1;
      CHECK(s.find() == 0);
      s.words[above] = caller;
      CHECK(s.find() == 77 + frames);
    }
  }
  stack s({{4, 0x402000}});
  s.keep(5);
  REQUIRE(s.find() == 5);
  forget();
  CHECK(s.find() == 0);
  walk_record late = s.walk;
  walk_remember(late, s.frame(), zone_key, 6, walk_generation() - 2); // it began before
  CHECK(s.find() == 0);
}

TEST_CASE("a walk that is too long, or reaches too far, is not kept", "[walk]") {
  start();
  stack long_one(std::vector<std::pair<unsigned, uint64_t>>(walk_frames + 1, {2, 0x403000}));
  long_one.keep(1);
  CHECK(long_one.find() == 0);
  stack far_one({{200, 0x403100}, {60, 0x403200}});
  far_one.keep(1);
  CHECK(far_one.find() == 0);
}

namespace {
struct two_pages {
  uint64_t *words =
      static_cast<uint64_t *>(mmap(nullptr, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0));
  two_pages() { REQUIRE(words != MAP_FAILED); }
  ~two_pages() { munmap(words, 2 * 4096); }
  two_pages(const two_pages &) = delete;
  two_pages &operator=(const two_pages &) = delete;
  // Whose first return address is the word at `at`.
  call_frame frame(unsigned at) const { return {reinterpret_cast<uintptr_t>(&words[at + 1]), 1}; }
  void end_after_first() const { REQUIRE(mprotect(words + 512, 4096, PROT_NONE) == 0); }
};
} // namespace

TEST_CASE("no guess leads onto another page", "[walk]") {
  start();
  stack s({{30, 0x403300}}, 0x403350);
  two_pages pages;
  std::copy_n(s.words.begin(), 40, pages.words + 400);
  call_frame near = pages.frame(401), far = pages.frame(501);
  s.keep(near, 9);
  CHECK(stack::at_once(near, zone_key) == 9);
  std::copy_n(s.words.begin(), 11, pages.words + 500);
  pages.end_after_first();
  // Guesses that are another's.
  walk_guesses(0x403350 + zone_key, far) = 30 | 31 << 8;
  CHECK(stack::at_once(far, zone_key) == 0);
  CHECK(stack::otherwise(far, zone_key) == 0);
  CHECK(walk_look(far, zone_key) == 0);
}

TEST_CASE("a walk onto another page is known while what leads there stands", "[walk]") {
  start();
  stack s({{5, 0x40B100}, {25, 0x40B200}}, 0x40B350);
  two_pages pages;
  std::copy_n(s.words.begin(), 40, pages.words + 500);
  call_frame f = pages.frame(501);
  s.keep(f, 12);
  CHECK(walk_look(f, zone_key) == 12);
  pages.words[531] = 0x40B201;
  CHECK(walk_look(f, zone_key) == 0);
  pages.words[531] = 0x40B200;
  CHECK(walk_look(f, zone_key) == 12);
  // Another stack, whose first page is its last, at the same depth: the frame that is not the same leads nowhere.
  pages.words[506] = 0x40B101;
  pages.end_after_first();
  CHECK(walk_look(f, zone_key) == 0);
}

TEST_CASE("frames on another page that rbp leads to are read when it leads there", "[walk]") {
  start();
  // first, by rbp to the frame 6 words up, whose saved rbp leads 9 further.
  stack s({}, 0x40B350);
  s.words[1 + 6] = 0x40B400;
  s.words[1 + 15] = 0x40B500;
  s.walk.add(0x40B400, 48, walk_register);
  s.walk.add(0x40B500, 120, 5);
  two_pages pages;
  uint64_t *words = pages.words + 500;
  std::copy_n(s.words.begin(), 20, words);
  words[6] = reinterpret_cast<uintptr_t>(&words[15]);
  call_frame f{pages.frame(501).cfa, reinterpret_cast<uintptr_t>(&words[6])};
  s.keep(f, 13);
  CHECK(stack::plain(walk_look(f, zone_key)) == 13);
  call_frame elsewhere{f.cfa, f.rbp + 8};
  CHECK(walk_look(elsewhere, zone_key) == 0);
  words[6] += 8;
  pages.end_after_first(); // what rbp does not lead to is not read
  CHECK(walk_look(f, zone_key) == 0);
}

// A signal comes after every instruction of a lookup; after the n-th, its handler writes another walk into the entry.
namespace {
volatile unsigned steps_until_write;
known_walk *overwritten;
known_walk overwriting;

void write_entry(known_walk &entry, const stack &s, uint64_t key, uint64_t place) {
  const walk_record &walk = s.walk;
  uint64_t changes = (entry.state >> 32) + 1;
  entry = {changes << 32 | walk_generation(), key, place, walk.shape, {walk.first, walk.first, walk.first, walk.first}};
  std::copy_n(walk.callers, walk.frames, entry.callers);
}

void overwrite_entry(int, siginfo_t *, void *context) {
  constexpr greg_t trap_flag = 0x100;
  steps_until_write = steps_until_write - 1;
  if (steps_until_write != 0)
    return;
  uint64_t changes = (overwritten->state >> 32) + 1;
  *overwritten = overwriting;
  overwritten->state = changes << 32 | walk_generation();
  static_cast<ucontext_t *>(context)->uc_mcontext.gregs[REG_EFL] &= ~trap_flag;
}

// walk_look in single steps: the trap flag, set by way of the stack, below which no compiler keeps anything then.
[[gnu::noinline]] uint64_t look_in_steps(call_frame f) {
  asm volatile("sub $128, %%rsp; pushfq; orq $0x100, (%%rsp); popfq; add $128, %%rsp" ::: "memory", "cc");
  uint64_t place = walk_look(f, zone_key);
  asm volatile("sub $128, %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; add $128, %%rsp" ::: "memory", "cc");
  return place;
}
} // namespace

TEST_CASE("a torn walk onto another page is not followed", "[walk]") {
  start();
  constexpr uint64_t first = 0x60F000;
  // Of both the last frame is 30 words up. The second frame of `before` lies on another page than `here`, that of
  // `after` on the same, and is not there.
  stack before({{5, 0x50A0}, {15, 0x50A1}, {10, 0x50A2}}, first),
      after({{5, 0x50B0}, {2, 0x50B1}, {23, 0x50B2}}, first);
  two_pages here;
  std::copy_n(after.words.begin() + 1, 31, here.words + 501);
  call_frame f = here.frame(501);
  uint64_t key = (first + zone_key) | walk_crosses;
  walk_guesses(first + zone_key, f) = 30;
  overwritten = &walk_entry({key, 30, f.cfa});
  write_entry(overwriting, after, key, 3);
  write_entry(*overwritten, after, key, 3);
  CHECK(walk_look(f, zone_key) == 3); // it is this entry that is read
  here.words[508] = 0x1234;
  here.end_after_first();
  struct sigaction action = {}, old;
  action.sa_sigaction = overwrite_entry;
  action.sa_flags = SA_SIGINFO;
  REQUIRE(sigaction(SIGTRAP, &action, &old) == 0);
#ifdef __OPTIMIZE__
  constexpr unsigned stride = 1;
#else
  constexpr unsigned stride = 29; // there are thousands
#endif
  constexpr unsigned most = 100000;
  unsigned step = 1, wrong = 0;
  for (bool inside = true; inside && step < most; step += stride) {
    write_entry(*overwritten, before, key, 1);
    steps_until_write = step;
    wrong += look_in_steps(f) != 0;
    inside = steps_until_write == 0; // else the lookup was over before
  }
  sigaction(SIGTRAP, &old, nullptr);
  CHECK(wrong == 0);
  CHECK(step > 100);
  CHECK(step < most);
  forget();
}

TEST_CASE("two lengths of a walk from one depth are both guessed", "[walk]") {
  start();
  stack s({{3, 0x40A101}, {2, 0x40A100}}), t({{3, 0x40A102}, {6, 0x40A200}});
  s.words[1 + 9] = 0x40A200; // one stack, for both
  for (unsigned i = 0; i < 4; i++) {
    s.words[1 + 3] = i % 2 ? 0x40A101 : 0x40A102;
    const stack &now = i % 2 ? s : t;
    if (i < 2) {
      CHECK(s.find() == 0);
      now.keep(s.frame(), 20 + i);
    }
    CHECK(s.find() == 20 + i % 2);
    CHECK(s.at_once() == 20 + i % 2); // the guess that was right comes first
  }
}

TEST_CASE("frames that rbp leads to must be where it leads", "[walk]") {
  start();
  // first, by rbp to the frame 6 words up, whose saved rbp (below its return address) leads 5 further.
  stack s({});
  s.words[1 + 6] = 0x404100;
  s.words[1 + 11] = 0x404200;
  s.walk.add(0x404100, 48, walk_register);
  s.walk.add(0x404200, 88, 5);
  s.rbp = reinterpret_cast<uintptr_t>(&s.words[6]);
  s.words[6] = reinterpret_cast<uintptr_t>(&s.words[11]);
  s.keep(41);
  CHECK(s.at_once() == 41);
  s.rbp += 8;
  CHECK(s.find() == 0);
  s.rbp -= 8;
  s.words[6] += 16;
  CHECK(s.find() == 0);
  s.words[6] -= 16;
  CHECK(s.find() == 41);
}

TEST_CASE("many walks from one place lead each to its own", "[walk]") {
  start();
  std::mt19937 random(4711);
  std::vector<stack> all;
  // A tree: how long a frame is, and whether the walk goes on, is always the same for a return address.
  for (unsigned n = 0; n < 600; n++) {
    std::vector<std::pair<unsigned, uint64_t>> chain;
    for (uint64_t caller = 0x401777; chain.size() < walk_frames && caller % 4 != 0;) {
      unsigned length = 2 + unsigned(caller % 7);
      caller = (caller * 2654435761 + random() % 5) % 0xffffff;
      chain.emplace_back(length, caller);
    }
    all.emplace_back(chain, 0x405000);
  }
  auto same = [](const stack &a, const stack &b) { return a.walk.shape == b.walk.shape && a.words == b.words; };
  unsigned found = 0;
  for (unsigned round = 0; round < 40; round++)
    for (unsigned n = 0; n < all.size(); n++) {
      uint64_t place = round % 2 ? all[n].find() : all[n].at_once();
      if (place != 0)
        REQUIRE(same(all[place - 1], all[n]));
      else
        all[n].keep(n + 1);
      found += round == 39 && place != 0;
    }
  INFO(found << " of " << all.size());
  CHECK(found > all.size() * 8 / 10); // some share an entry
}

TEST_CASE("an entry that somebody left half written keeps no walk out", "[walk]") {
  start();
  stack s({{3, 0x40C100}, {2, 0x40C200}}, 0x40C350);
  uint64_t key = 0x40C350 + zone_key;
  known_walk &home = walk_entry({key, 5, 0x40C200});
  home.state |= 1;
  s.keep(31);
  CHECK(walk_look(s.frame(), zone_key) == 31);
  forget();
  stack late({{3, 0x40C101}, {2, 0x40C200}}, 0x40C350);
  late.keep(32);
  CHECK(walk_look(late.frame(), zone_key) == 32);
  home.state = 0;
}

TEST_CASE("no thread ever sees a torn walk", "[walk]") {
  start();
  std::vector<stack> all;
  for (unsigned n = 0; n < 400; n++)
    all.emplace_back(
        std::vector<std::pair<unsigned, uint64_t>>{{3, 0x406000}, {4, 0x407000 + n}, {5, 0x408000 + n / 8}},
        0x409000); // eight and eight share an entry
  std::atomic<uint64_t> wrong{0}, found{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      std::vector<stack> mine = all;
      for (unsigned i = 0; i < 400000; i++) {
        auto n = unsigned(random() % mine.size());
        uint64_t place = i % 2 ? mine[n].at_once() : mine[n].find();
        wrong += place != 0 && place != n + 1;
        found += place != 0;
        if (place == 0 || i % 16 == 0)
          mine[n].keep(n + 1);
      }
    });
  std::thread forgets([&] {
    while (!stop) {
      forget();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (auto &t : threads)
    t.join();
  stop = true;
  forgets.join();
  CHECK(wrong == 0);
  CHECK(found > 100000);
}

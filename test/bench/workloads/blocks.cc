// SPDX-License-Identifier: BSD-2-Clause
//
// Blocks whose size is the point: strings that grow by realloc, large blocks, calloc, and fragmentation.
#include "test/bench/workloads/workload.h"

#include <vector>

namespace bench {

namespace {

struct text {
  char *bytes = nullptr;
  size_t length = 0;
};

// As a parser or a logger builds lines: asks for exactly what it needs, each time.
void append(text &t, size_t n, char c) {
  t.bytes = static_cast<char *>(checked(realloc(t.bytes, t.length + n)));
  memset(t.bytes + t.length, c, n);
  t.length += n;
}

} // namespace

outcome strings(const options &o) {
  random_source random(6);
  std::vector<text> texts(50);
  std::vector<size_t> goals(texts.size(), 100);
  outcome x;
  for (uint64_t i = o.scaled(12e6); i; i--) {
    const size_t which = random.below(texts.size());
    text &t = texts[which];
    append(t, 1 + random.below(64), char(i));
    if (t.length < goals[which])
      continue;
    x.check = x.check * 31 + t.length + uint8_t(t.bytes[t.length / 2]);
    free(t.bytes);
    t = {};
    // Most strings are short; one in 16 grows to some KiB.
    goals[which] = random.below(16) ? 50 + random.below(400) : 1000 + random.below(15000);
  }
  for (text &t : texts)
    free(t.bytes);
  return x;
}

outcome large(const options &o) {
  random_source random(7);
  std::vector<uint64_t *> blocks(24);
  outcome x;
  for (uint64_t i = o.scaled(40e3); i; i--) {
    uint64_t *&slot = blocks[random.below(blocks.size())];
    if (slot)
      x.check += *slot;
    free(slot);
    // 64 KiB to 8 MiB, every doubling as often.
    const size_t size = (size_t{65536} + random.below(65536)) << random.below(7);
    slot = item_make(size, i);
    // A buffer is rarely used to its end: one page in 16 is.
    for (size_t at = 65536; at < size; at += 65536)
      slot[at / 8] = i;
  }
  for (uint64_t *p : blocks)
    free(p);
  return x;
}

outcome zeroed(const options &o) {
  random_source random(8);
  std::vector<uint64_t *> items(500);
  outcome x;
  for (uint64_t i = o.scaled(5e6); i; i--) {
    uint64_t *&slot = items[random.below(items.size())];
    free(slot);
    const uint64_t kind = random.below(1024);
    const size_t size = kind == 0   ? 65536 << random.below(5)
                        : kind < 64 ? 1024 + random.below(15000)
                                    : 16 + random.below(500);
    slot = static_cast<uint64_t *>(checked(calloc(1, size)));
    const size_t last = size / 8 - 1;
    if (slot[0] | slot[last / 2] | slot[last])
      fail("calloc's memory is not zero");
    slot[0] = slot[last / 2] = slot[last] = ~uint64_t{0};
    x.check += size;
  }
  for (uint64_t *p : items)
    free(p);
  return x;
}

outcome fragmented(const options &o) {
  constexpr size_t sizes[] = {64, 96, 208, 48, 400, 128, 24, 1000};
  random_source random(9);
  std::vector<uint64_t *> survivors;
  outcome x;
  for (size_t size : sizes) {
    // 40 MiB of each size; what is left of the sizes before lies in between.
    std::vector<uint64_t *> items(o.scaled(40.0 * 1048576 / double(size)));
    for (size_t i = 0; i < items.size(); i++)
      items[i] = item_make(size, i);
    for (uint64_t *p : items) {
      if (random.below(10) == 0)
        survivors.push_back(p);
      else
        free(p);
    }
  }
  for (uint64_t *p : survivors) {
    x.check = x.check * 3 + *p;
    free(p);
  }
  return x;
}

} // namespace bench

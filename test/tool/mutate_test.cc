// SPDX-License-Identifier: BSD-2-Clause
//
// mutate_test ROUNDS [SEED]: damages dumps and takes each through all that the tool does with one. Whatever is damaged,
// it is either refused with one line, or read and printed, within 256 MiB and without a hang.
#include <cstdio>
#include <cstdlib>
#include <random>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "test/tool/dump_builder.h"
#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/merge.h"
#include "tool/table_output.h"
#include "tool/tree.h"
#include "tool/writer.h"

using namespace m9;

namespace {

using bytes = std::vector<unsigned char>;

std::mt19937 random_source;

size_t below(size_t n) { return n != 0 ? random_source() % n : 0; }

void store(bytes &b, size_t at, uint64_t value, size_t size) {
  if (at + size <= b.size())
    std::memcpy(&b[at], &value, size);
}

// Numbers that stand at the edges of what is valid.
uint64_t odd_number(const bytes &b) {
  const uint64_t choices[] = {0,
                              1,
                              7,
                              8,
                              0x7fffffff,
                              0xffffffff,
                              0x100000000,
                              UINT64_MAX,
                              UINT64_MAX - 7,
                              b.size(),
                              b.size() - 8,
                              b.size() / 2,
                              random_source()};
  return choices[below(std::size(choices))];
}

void damage(bytes &b) {
  for (size_t n = below(3) + 1; n > 0; n--)
    switch (below(6)) {
    case 0:
      b[below(b.size())] = static_cast<unsigned char>(random_source());
      break;
    case 1:
      b[below(b.size())] ^= static_cast<unsigned char>(1U << below(8));
      break;
    case 2:
      store(b, below(b.size()) / 4 * 4, odd_number(b), 4);
      break;
    case 3:
      store(b, below(b.size()) / 8 * 8, odd_number(b), 8);
      break;
    case 4:
      b.resize(b.size() / 2 + below(b.size() / 2 + 1));
      break;
    case 5:
      std::memmove(&b[below(b.size() / 2)], &b[b.size() / 2], below(b.size() / 2));
      break;
    }
}

// True if it was read; false if it was refused.
bool use(const bytes &b, tool::output &out) {
  try {
    const tool::dump_file dump = tool::dump_from_bytes("FILE", b.data(), b.size());
    tool::print_table(out, dump.view);
    const tool::model m = tool::model_of(dump.view);
    tool::zones_by_cpu(m);
    tool::zones_inherited(m);
    tool::types_sorted(m);
    tool::naming names(m, {tool::name_source::dump, "", ""});
    const tool::call_tree tree(m, names, tool::tree_weight::requests);
    tree.print(out, 0);
    tree.print_folded(out);
    tool::merger merged;
    merged.add(m);
    merged.add(m);
    tool::model_write(merged.result(m));
    return true;
  } catch (const tool::error &e) {
    const std::string text = e.what();
    if (!text.starts_with("FILE: ") || text.find("(at byte ") == std::string::npos ||
        text.find('\n') != std::string::npos) {
      std::fprintf(stderr, "an error in an odd form: %s\n", text.c_str());
      std::exit(1);
    }
    return false;
  }
}

bytes base_dump(int which) {
  test::dump_builder b = which == 0 ? test::sample_dump() : which == 3 ? test::chains_dump() : test::child_dump();
  b.padding = which == 1 ? 16 : 0;
  b.with_unknown_section = which == 1;
  if (which == 2) {
    b.inherited.resize(b.cells.size() + 400);
    b.inherited_kind = 10;
    for (uint32_t i = 0; i < 400; i++)
      b.count(b.add_cell(b.add_type("type " + std::to_string(i), i % 2, i), i % 4), i % 3, i, i / 2, i * 4096, 4096);
  }
  return b.bytes();
}

} // namespace

int main(int argc, char **argv) {
  const long rounds = argc > 1 ? std::atol(argv[1]) : 0;
  random_source.seed(argc > 2 ? static_cast<unsigned>(std::atol(argv[2])) : 1);
#if !defined(__SANITIZE_ADDRESS__)
  const rlimit limit{256 << 20, 256 << 20};
  setrlimit(RLIMIT_AS, &limit);
#endif
  alarm(600);                                                    // a hang is a failure
  tool::output nowhere(::open("/dev/null", O_WRONLY), "output"); // whoever runs tests keeps what they print
  long read = 0;
  for (long round = 0; round < rounds; round++) {
    bytes b = base_dump(static_cast<int>(round % 4));
    damage(b);
    read += use(b, nowhere);
  }
  nowhere.finish();
  std::fprintf(stderr, "%ld of %ld damaged dumps were read, the others refused\n", read, rounds);
  return read > rounds / 50 && read < rounds * 49 / 50 ? 0 : 1; // else it damages nothing, or nothing is read
}

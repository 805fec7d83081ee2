// SPDX-License-Identifier: BSD-2-Clause
//
// libFuzzer target: any bytes at all, as a live file whose bytes change after they were checked: the first byte of the
// input says how many of the last bytes replace others between view_open() and what reads the view.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/table.h"

namespace {

// Whatever the bytes are, what the view told first is a tree.
void check_chains(const m9::statistics_view &view) {
  for (uint32_t i = 0; i < view_count(view, m9::format::section_kind::chains); i++) {
    uint32_t frames = 0;
    for (uint32_t at = i; at != m9::format::no_chain; at = view_chain(view, at).caller)
      if (++frames > m9::format::chain_frames_most)
        std::abort();
  }
}

uint64_t sum_chains(const m9::statistics_view &view) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < view_count(view, m9::format::section_kind::chains) + 1; i++)
    sum += view_chain(view, i).offset;
  return sum;
}

void print_all(const m9::statistics_view &view) {
  const uint32_t types = view_count(view, m9::format::section_kind::types);
  std::vector<m9::type_sum> sums(types);
  std::vector<uint32_t> order(types);
  size_t printed = 0;
  const auto write = [](void *context, const char *data, size_t size) {
    for (size_t i = 0; i < size; i++)
      if (static_cast<unsigned char>(data[i]) < 0x20 && data[i] != '\n')
        std::abort();
    *static_cast<size_t *>(context) += size;
  };
  m9::table_print(view, sums.data(), order.data(), {write, &printed});
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
  if (size < 1)
    return 0;
  const size_t late = data[0] < size ? data[0] : 0;
  const size_t file = size - 1 - late;
  std::vector<uint64_t> memory(file / 8 + 1);
  auto *bytes = reinterpret_cast<unsigned char *>(memory.data());
  std::memcpy(bytes, data + 1, file);
  m9::statistics_view view;
  const m9::view_error error = view_open(view, bytes, file);
  if (error.what != nullptr) {
    if (error.offset > file)
      std::abort();
    return 0;
  }
  check_chains(view);
  print_all(view);
  const unsigned char *changes = data + 1 + file;
  for (size_t i = 0; i + 2 < late && file != 0; i += 3)
    bytes[(size_t{changes[i]} << 8 | changes[i + 1]) % file] = changes[i + 2];
  if (late != 0)
    print_all(view);
  volatile uint64_t sum = sum_chains(view);
  static_cast<void>(sum);
  return 0;
}

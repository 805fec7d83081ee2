// SPDX-License-Identifier: BSD-2-Clause
//
// The table: its text to the byte, its order, and what it does with names and bounds.
#include "core/table.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "test/tool/dump_builder.h"

using namespace m9;
using m9::test::dump_builder;
using m9::test::sample_dump;

namespace {

std::string table_of(dump_builder &b) {
  const auto bytes = b.bytes();
  std::vector<uint64_t> memory(bytes.size() / 8 + 1);
  std::memcpy(memory.data(), bytes.data(), bytes.size());
  statistics_view view;
  REQUIRE(view_open(view, reinterpret_cast<const unsigned char *>(memory.data()), bytes.size()).what == nullptr);
  std::vector<type_sum> sums(b.types.size());
  std::vector<uint32_t> order(b.types.size());
  std::string out;
  const auto write = [](void *context, const char *data, size_t size) {
    REQUIRE(size <= 512);
    static_cast<std::string *>(context)->append(data, size);
  };
  table_print(view, sums.data(), order.data(), {write, &out});
  return out;
}

// One type in one zone of `size` bytes, or large.
dump_builder one_type(uint64_t size, uint64_t allocs, uint64_t frees, uint64_t highuse) {
  dump_builder b;
  b.add_zone(size);
  b.add_cpu(0);
  b.count(b.add_cell(b.add_type("t", format::no_module, 0, highuse), 0), 0, allocs, frees, allocs * 4096, frees * 4096);
  return b;
}

std::string second_line_of(dump_builder b) {
  const std::string table = table_of(b);
  const size_t at = table.find("\nt ") + 1;
  return table.substr(at, table.find('\n', at) - at);
}

} // namespace

TEST_CASE("table: the sample, to the byte", "[table]") {
  dump_builder b = sample_dump();
  CHECK(table_of(b) ==
        R"(malloc9: sample (pid 4711), rseq, 5 types, 8002240 bytes live
Type                             InUse   MemUse    HighUse    Requests  Size(s)
libthing.so.3!thing_buffer+0x8       2    7813K    >=8790K           6  4096,large
sample!name_copy+0x20               95       2K       >=2K         100  16
sample!node_new+0x1c                11       1K       >=5K         121  64
anon \x1b[31m"quoted", ü             1       1K         1K           1  16
libthing.so.3+0x900                  0       0K       >=4K           7  4096
malloc9: note: 12 foreign frees
malloc9: note: 1 size mismatches
)");
}

TEST_CASE("table: modes and their reasons", "[table]") {
  dump_builder b;
  b.header.mode = format::run_mode::fallback;
  b.header.mode_reason = b.text("MALLOC9_CONF says so");
  CHECK(table_of(b) == "malloc9: sample (pid 4711), fallback: MALLOC9_CONF says so, 0 types, 0 bytes live\n"
                       "Type            InUse   MemUse    HighUse    Requests  Size(s)\n");
  b.header.mode = format::run_mode::compact;
  CHECK(table_of(b).find(", compact: ") != std::string::npos);
  b.header.mode = format::run_mode::boot;
  CHECK(table_of(b).find(", boot: ") != std::string::npos);
}

TEST_CASE("table: kilobytes are rounded up", "[table]") {
  CHECK(second_line_of(one_type(1024, 3, 2, 0)) == "t                   1       1K       >=1K           3  1024");
  CHECK(second_line_of(one_type(1040, 3, 2, 0)) == "t                   1       2K       >=2K           3  1040");
  CHECK(second_line_of(one_type(0, 3, 0, 0)) == "t                   3      12K        12K           3  large");
}

TEST_CASE("table: HighUse is a bound unless it cannot be higher", "[table]") {
  CHECK(second_line_of(one_type(1024, 9, 8, 5000)) == "t                   1       1K       >=5K           9  1024");
  CHECK(second_line_of(one_type(1024, 9, 8, 9216)) == "t                   1       1K         9K           9  1024");
  CHECK(second_line_of(one_type(1024, 9, 0, 1024)) == "t                   9       9K         9K           9  1024");
}

TEST_CASE("table: counts as large as they can be", "[table]") {
  CHECK(second_line_of(one_type(1, UINT64_MAX, 0, 0)) ==
        "t             18446744073709551615 18014398509481984K 18014398509481984K 18446744073709551615  1");
}

TEST_CASE("table: names that are longer than the column", "[table]") {
  dump_builder b = one_type(16, 1, 0, 0);
  const std::string name(3000, 'n');
  b.types[0].name = b.text(name);
  CHECK(table_of(b).find(name + "       1 ") != std::string::npos);
}

TEST_CASE("table: control bytes never reach a terminal", "[table]") {
  dump_builder b = one_type(16, 1, 0, 0);
  std::string name;
  for (int c = 0; c < 256; c++)
    name += static_cast<char>(c);
  b.types[0].name = b.text(name + "\xc2\x9b" + "31m");
  std::string table = table_of(b);
  std::erase(table, '\n');
  CHECK(std::none_of(table.begin(), table.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }));
  CHECK(table.find("\\x0a") != std::string::npos);
  CHECK(table.find("\\xc2\\x9b31m") != std::string::npos);
}

TEST_CASE("table: many types are sorted by bytes, requests, name", "[table]") {
  dump_builder b;
  b.add_zone(16);
  b.add_zone(32);
  b.add_cpu(0);
  for (uint32_t i = 0; i < 1000; i++) {
    const uint32_t scattered = i * 7919 % 1000;
    const uint32_t type = b.add_type("type " + std::to_string(1000 + scattered), format::no_module, i);
    b.count(b.add_cell(type, 0), 0, scattered % 10 + scattered % 3 * 5, scattered % 3 * 5);
  }
  const auto bytes = b.bytes();
  std::vector<uint64_t> memory(bytes.size() / 8 + 1);
  std::memcpy(memory.data(), bytes.data(), bytes.size());
  statistics_view view;
  REQUIRE(view_open(view, reinterpret_cast<const unsigned char *>(memory.data()), bytes.size()).what == nullptr);
  std::vector<type_sum> sums(1000);
  std::vector<uint32_t> order(1000);
  view_sum_types(view, sums.data());
  const uint32_t count = table_sort(view, sums.data(), order.data());
  REQUIRE(count == 1000 - 34); // multiples of 30 have no counts
  for (uint32_t i = 1; i < count; i++) {
    const type_sum &a = sums[order[i - 1]];
    const type_sum &z = sums[order[i]];
    const auto name = [&](uint32_t t) {
      const view_text s = view_string(view, view_type(view, t).name);
      return std::string(s.data, s.size);
    };
    REQUIRE(type_memuse(a) >= type_memuse(z));
    if (type_memuse(a) == type_memuse(z)) {
      REQUIRE(a.numallocs >= z.numallocs);
      if (a.numallocs == z.numallocs)
        REQUIRE(name(order[i - 1]) < name(order[i]));
    }
  }
}

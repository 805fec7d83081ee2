// SPDX-License-Identifier: BSD-2-Clause
//
// The view of the statistics: what it computes, what it skips, and what it refuses with which text and offset.
#include "core/view.h"

#include <catch2/catch.hpp>

#include <random>

#include "test/tool/dump_builder.h"

using namespace m9;
using m9::test::dump_builder;
using m9::test::sample_dump;

namespace {

// The bytes, kept aligned as view_open() wants them.
struct opened {
  std::vector<uint64_t> memory;
  statistics_view view{};
  view_error error{};

  explicit opened(const std::vector<unsigned char> &bytes) : memory(bytes.size() / 8 + 1) {
    if (!bytes.empty())
      std::memcpy(memory.data(), bytes.data(), bytes.size());
    error = view_open(view, reinterpret_cast<const unsigned char *>(memory.data()), bytes.size());
  }
};

std::string error_of(const std::vector<unsigned char> &bytes) {
  const opened o(bytes);
  return o.error.what ? std::string(o.error.what) + " @" + std::to_string(o.error.offset) : "";
}

std::string error_of(dump_builder &b) { return error_of(b.bytes()); }

template <typename number> void poke(std::vector<unsigned char> &bytes, size_t at, number value) {
  REQUIRE(at + sizeof value <= bytes.size());
  std::memcpy(&bytes[at], &value, sizeof value);
}

size_t section_entry_at(const std::vector<unsigned char> &bytes, format::section_kind kind) {
  format::header h;
  std::memcpy(&h, bytes.data(), sizeof h);
  for (size_t at = h.sections_offset; at < bytes.size(); at += sizeof(format::section))
    if (std::memcmp(&bytes[at], &kind, sizeof kind) == 0)
      return at;
  FAIL("no such section");
  return 0;
}

std::vector<type_sum> sums_of(const opened &o) {
  std::vector<type_sum> sums(view_count(o.view, format::section_kind::types));
  view_sum_types(o.view, sums.data());
  return sums;
}

} // namespace

TEST_CASE("view: sums over CPUs and zones", "[view]") {
  const opened o(sample_dump().bytes());
  REQUIRE(o.error.what == nullptr);
  const auto sums = sums_of(o);
  REQUIRE(sums.size() == 6);
  CHECK(sums[0].numallocs == 121);
  CHECK(sums[0].numfrees == 110);
  CHECK(sums[0].memalloced == 121 * 64);
  CHECK(sums[0].memfreed == 110 * 64);
  CHECK(sums[0].zones == 0b0010);
  CHECK(type_inuse(sums[0]) == 11);
  CHECK(type_memuse(sums[0]) == 11 * 64);
  CHECK(sums[2].numallocs == 6);
  CHECK(sums[2].numfrees == 4);
  CHECK(sums[2].memalloced == 9000000 + 4096);
  CHECK(sums[2].memfreed == 1000000 + 4096);
  CHECK(sums[2].zones == 0b1100);
  CHECK(sums[4].numallocs == 0);
  CHECK(sums[4].zones == 0);
}

TEST_CASE("view: what a child inherited", "[view]") {
  dump_builder b = m9::test::child_dump();
  const opened child(b.bytes());
  REQUIRE(child.error.what == nullptr);
  CHECK(view_has_inherited(child.view));
  CHECK_FALSE(view_is_merged(child.view));
  CHECK(view_inherited(child.view, 2).memalloced == 5000000);
  CHECK(view_inherited(child.view, 99).memalloced == 0);
  auto sums = sums_of(child);
  CHECK(sums[0].inherited.numallocs == 80);
  CHECK(sums[2].inherited.numfrees == 1);
  CHECK(type_requests(sums[0]) == 121);
  b.inherited_kind = 10;
  const opened merged(b.bytes());
  REQUIRE(merged.error.what == nullptr);
  CHECK(view_is_merged(merged.view));
  sums = sums_of(merged);
  CHECK(type_requests(sums[0]) == 41);
  CHECK(type_frees(sums[0]) == 35);
  CHECK(type_inuse(sums[0]) == 11);
  CHECK_FALSE(view_has_inherited(opened(sample_dump().bytes()).view));
}

TEST_CASE("view: inherited counts that do not fit the cells", "[view]") {
  dump_builder b = m9::test::child_dump();
  b.inherited.pop_back();
  CHECK(error_of(b).starts_with("not one inherited count for each cell @"));
  b = m9::test::child_dump();
  auto bytes = b.bytes();
  const size_t at = section_entry_at(bytes, format::section_kind::inherited);
  poke(bytes, at + 4, uint32_t{24});
  CHECK(error_of(bytes) == "a section has entries of a wrong size @" + std::to_string(at + 4));
  poke(bytes, at + 4, uint32_t{32});
  poke(bytes, at + 8, uint64_t{1} << 40);
  CHECK(error_of(bytes) == "the inherited counts do not fit into the file @" + std::to_string(at + 8));
  b.with_unknown_section = true; // has an entry per cell, too
  bytes = b.bytes();
  poke(bytes, section_entry_at(bytes, format::section_kind(77)), uint32_t{10});
  poke(bytes, section_entry_at(bytes, format::section_kind::merged) + 4, uint32_t{32});
  poke(bytes, section_entry_at(bytes, format::section_kind::merged) + 8, uint64_t{b.cells.size()});
  CHECK(error_of(bytes).starts_with("the counts of one process and of many @"));
}

TEST_CASE("view: more frees than allocs is nothing live", "[view]") {
  CHECK(type_inuse({5, 6, 0, 0, 0}) == 0);
  CHECK(type_memuse({0, 0, 80, 96, 0}) == 0);
}

TEST_CASE("view: entries give what was written", "[view]") {
  const opened o(sample_dump().bytes());
  REQUIRE(o.error.what == nullptr);
  const auto string = [&](format::text t) {
    const view_text s = view_string(o.view, t);
    return std::string(s.data, s.size);
  };
  CHECK(string(o.view.header.program) == "sample");
  CHECK(string(o.view.header.mode_reason).empty());
  CHECK(string(view_type(o.view, 0).name) == "sample!node_new+0x1c");
  CHECK(string(view_module(o.view, view_type(o.view, 2).module).path) == "/usr/lib/libthing.so.3");
  CHECK(view_cpu(o.view, 2).cpu == -1);
  CHECK(view_zone(o.view, 2).sleep == 4);
  CHECK(string(view_note(o.view, 0).name) == "foreign frees");
}

TEST_CASE("view: accessors give zeros beyond the end", "[view]") {
  const opened o(sample_dump().bytes());
  CHECK(view_type(o.view, 6).offset == 0);
  CHECK(view_type(o.view, UINT32_MAX).offset == 0);
  CHECK(view_string(o.view, {UINT32_MAX, 5}).size == 0);
  const format::cpu_entry cpu = view_cpu(o.view, 0);
  CHECK(view_allocs(o.view, view_cell(o.view, 0), 64, cpu).count == 100);
  CHECK(view_allocs(o.view, {0, 0, 0, UINT32_MAX - 7}, 64, cpu).count == 0);
  CHECK(view_allocs(o.view, {0, 0, 0, 4}, 64, cpu).count == 0);
  CHECK(view_allocs(o.view, {0, 0, 0, 0}, 64, {0, 0, UINT64_MAX - 7, 64}).count == 0);
}

TEST_CASE("view: larger entries and unknown sections are read over", "[view]") {
  dump_builder b = sample_dump();
  b.padding = 24;
  b.with_unknown_section = true;
  const opened o(b.bytes());
  REQUIRE(o.error.what == nullptr);
  const opened plain(sample_dump().bytes());
  const auto sums = sums_of(o);
  const auto expected = sums_of(plain);
  REQUIRE(sums.size() == expected.size());
  CHECK(std::memcmp(sums.data(), expected.data(), sums.size() * sizeof sums[0]) == 0);
}

TEST_CASE("view: a file with nothing in it", "[view]") {
  dump_builder b;
  const opened o(b.bytes());
  CHECK(o.error.what == nullptr);
  CHECK(sums_of(o).empty());
}

TEST_CASE("view: a file of another kind", "[view]") {
  CHECK(error_of(std::vector<unsigned char>{}) == "the file is empty @0");
  CHECK(error_of({'m'}) == "the file is cut short: its header is not complete @1");
  CHECK(error_of({'#', '!', '/'}) == "not a statistics file of malloc9 @0");
  auto bytes = sample_dump().bytes();
  bytes[7] = '\r';
  CHECK(error_of(bytes) == "not a statistics file of malloc9 @0");
}

TEST_CASE("view: other versions and byte orders", "[view]") {
  dump_builder b = sample_dump();
  b.header.version = 2;
  CHECK(error_of(b) == "written by another version of malloc9, in a format that this one does not know @8");
  b.header.version = 0x01000000;
  b.header.byte_order = 0x04030201;
  CHECK(error_of(b) == "written on a machine of the other byte order @16");
  b.header.version = 1;
  b.header.byte_order = 7;
  CHECK(error_of(b) == "the byte order mark is damaged @16");
  b.header.byte_order = format::byte_order_mark;
  b.header.mode = format::run_mode(9);
  CHECK(error_of(b) == "an unknown mode @48");
}

TEST_CASE("view: every truncation is an error", "[view]") {
  const auto whole = sample_dump().bytes();
  REQUIRE(error_of(whole).empty());
  for (size_t size = 0; size < whole.size(); size++) {
    const std::string error = error_of({whole.begin(), whole.begin() + std::ptrdiff_t(size)});
    const std::string expected = size == 0 ? "the file is empty @0"
                                 : size < sizeof(format::header)
                                     ? "the file is cut short: its header is not complete @" + std::to_string(size)
                                     : "the file is cut short @" + std::to_string(size);
    REQUIRE(error == expected);
  }
}

TEST_CASE("view: bytes after the end are not looked at", "[view]") {
  auto bytes = sample_dump().bytes();
  bytes.resize(bytes.size() + 4096, 0xff);
  CHECK(error_of(bytes).empty());
}

TEST_CASE("view: memory that is not aligned", "[view]") {
  const auto bytes = sample_dump().bytes();
  std::vector<uint64_t> memory(bytes.size() / 8 + 2);
  unsigned char *at = reinterpret_cast<unsigned char *>(memory.data()) + 4;
  std::memcpy(at, bytes.data(), bytes.size());
  statistics_view view;
  CHECK(std::string(view_open(view, at, bytes.size()).what) == "the statistics are not aligned to 8 in memory");
}

TEST_CASE("view: damaged section tables", "[view]") {
  const auto good = sample_dump().bytes();
  const size_t types = section_entry_at(good, format::section_kind::types);
  auto bytes = good;
  poke(bytes, types + 8, UINT64_MAX);
  CHECK(error_of(bytes) == "the types do not fit into the file @" + std::to_string(types + 8));
  bytes = good;
  poke(bytes, types + 4, uint32_t{31});
  CHECK(error_of(bytes) == "a section has entries of a wrong size @" + std::to_string(types + 4));
  bytes = good;
  poke(bytes, types + 16, uint64_t{12});
  CHECK(error_of(bytes) == "a section does not start at a multiple of 8 @" + std::to_string(types + 16));
  bytes = good;
  poke(bytes, types, format::section_kind::cells);
  CHECK(error_of(bytes) == "a section is there twice @" + std::to_string(types + 24));
  bytes = good;
  poke(bytes, offsetof(format::header, section_count), uint32_t{9});
  CHECK(error_of(bytes) == "the section table does not fit into the file @32");
  bytes = good;
  poke(bytes, offsetof(format::header, sections_offset), UINT64_MAX - 7);
  CHECK(error_of(bytes) == "the section table does not fit into the file @32");
  bytes = good;
  poke(bytes, offsetof(format::header, section_size), uint32_t{8});
  CHECK(error_of(bytes) == "the entries of the section table are too small @44");
}

TEST_CASE("view: indices and texts that point nowhere", "[view]") {
  const auto starts = [](dump_builder &b, const std::string &text) {
    INFO(error_of(b));
    CHECK(error_of(b).starts_with(text + " @"));
  };
  dump_builder b = sample_dump();
  b.types[1].name.offset = 0x7fffffff;
  starts(b, "a type's name lies outside the strings");
  b = sample_dump();
  b.types[1].module = 2;
  starts(b, "a type names a module that is not there");
  b = sample_dump();
  b.modules[1].build_id_size = 33;
  starts(b, "a module's build-id is too long");
  b = sample_dump();
  b.modules[1].path.size = 0x10000;
  starts(b, "a module's path lies outside the strings");
  b = sample_dump();
  b.cells[3].type = 6;
  starts(b, "a cell names a type that is not there");
  b = sample_dump();
  b.cells[3].zone = 4;
  starts(b, "a cell names a zone that is not there");
  b = sample_dump();
  b.cells[0].offset = uint32_t(b.blocks[0].size() * 8 - 8);
  starts(b, "a cell lies outside a CPU's block");
  b = sample_dump();
  b.cells[2].offset = uint32_t(b.blocks[0].size() * 8 - 24); // large: four words
  starts(b, "a cell lies outside a CPU's block");
  b = sample_dump();
  b.cpus[1] = -2;
  starts(b, "a CPU has a negative number");
  b = sample_dump();
  b.zones[1].size = 16;
  starts(b, "the zones are not sorted by size");
  b = sample_dump();
  b.zones[1].size = 0;
  starts(b, "the zones are not sorted by size");
  b = sample_dump();
  b.notes[1].name.size = 0xffffff;
  starts(b, "a note's name lies outside the strings");
  b = sample_dump();
  b.header.mode_reason.size = 0xffffff;
  starts(b, "the mode's reason lies outside the strings");
}

TEST_CASE("view: chains are trees of at most 64 frames", "[view]") {
  using m9::format::no_chain;
  dump_builder b = m9::test::chains_dump();
  const opened o(b.bytes());
  REQUIRE(o.error.what == nullptr);
  REQUIRE(view_count(o.view, format::section_kind::chains) == 9);
  CHECK(view_chain(o.view, 4).caller == 3);
  CHECK(view_chain(o.view, 4).depth == 4);
  CHECK(view_chain(o.view, 9).offset == 0); // beyond the last
  const auto refused = [](dump_builder &bad, const std::string &text) {
    CHECK(error_of(bad).starts_with(text + " @"));
  };
  b.chains[4].caller = 4;
  refused(b, "a frame of a chain does not come after its caller");
  b = m9::test::chains_dump();
  b.chains[4].caller = 8;
  refused(b, "a frame of a chain does not come after its caller");
  b = m9::test::chains_dump();
  b.chains[4].caller = 1;
  refused(b, "a frame of a chain has a wrong depth");
  b = m9::test::chains_dump();
  b.chains[0].depth = 0;
  refused(b, "a frame of a chain has a wrong depth");
  b = m9::test::chains_dump();
  b.chains[2].type = uint32_t(b.types.size());
  refused(b, "a chain names a type that is not there");
  b = m9::test::chains_dump();
  b.chains[2].module = 2;
  refused(b, "a frame of a chain names a module that is not there");
  b = m9::test::chains_dump();
  uint32_t at = no_chain;
  for (int i = 0; i < 64; i++)
    at = b.add_frame(at, 0, uint64_t(i));
  CHECK(error_of(b).empty());
  b.add_frame(at, 0, 64);
  refused(b, "a frame of a chain has a wrong depth");
}

TEST_CASE("view: the work is bounded by the size of the file", "[view]") {
  dump_builder b = sample_dump();
  for (int i = 0; i < 1000; i++)
    b.cells.push_back(b.cells[0]);
  CHECK(error_of(b).starts_with("more cells than a CPU's block can hold @"));
  auto bytes = sample_dump().bytes();
  const size_t entry = section_entry_at(bytes, format::section_kind::cpus);
  uint64_t cpus = 0;
  std::memcpy(&cpus, &bytes[entry + 16], 8);
  poke(bytes, cpus + 24 + 8, uint64_t{0}); // CPU 1 shares CPU 0's block, and a larger one
  poke(bytes, cpus + 24 + 16, uint64_t{3 * sample_dump().bytes().size()});
  CHECK(error_of(bytes).starts_with("a CPU's block lies outside the counters @"));
}

TEST_CASE("view: damaged bytes never lead outside", "[view]") {
  const auto good = sample_dump().bytes();
  std::mt19937 random(9);
  int accepted = 0;
  for (int round = 0; round < 20000; round++) {
    auto bytes = good;
    for (unsigned n = random() % 4 + 1; n > 0; n--)
      bytes[random() % bytes.size()] = static_cast<unsigned char>(random() % 3 ? random() : 0xff * (random() & 1));
    const opened o(bytes);
    if (o.error.what) {
      REQUIRE(o.error.offset <= bytes.size());
      continue;
    }
    accepted++;
    for (const type_sum &sum : sums_of(o))
      REQUIRE(sum.zones < 16);
  }
  CHECK(accepted > 1000); // damage to names and counts cannot be seen
  CHECK(accepted < 19000);
}

// SPDX-License-Identifier: BSD-2-Clause
//
// Models, their sums, the writer, and merging.
#include "tool/merge.h"

#include <catch2/catch.hpp>

#include "test/tool/dump_builder.h"
#include "tool/dump_file.h"
#include "tool/output.h"
#include "tool/writer.h"

using namespace m9;
using namespace m9::tool;
using m9::test::dump_builder;
using m9::test::sample_dump;

namespace {

model model_of(dump_builder b) {
  const auto bytes = b.bytes();
  return tool::model_of(dump_from_bytes("test", bytes.data(), bytes.size()).view);
}

model written_and_read(const model &m) {
  const std::string bytes = model_write(m);
  return tool::model_of(
      dump_from_bytes("test", reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size()).view);
}

const model_type &type_named(const model &m, const std::string &name) {
  for (const model_type &type : m.types)
    if (type.name == name)
      return type;
  FAIL("no type " << name);
  return m.types[0];
}

// One type "t" of a module with this build-id, with its counts on one CPU.
dump_builder one_type(uint8_t build_id, uint64_t offset, int32_t cpu, uint64_t allocs, uint64_t size = 32) {
  dump_builder b;
  b.add_zone(size, allocs, 5);
  b.add_cpu(cpu);
  b.count(b.add_cell(b.add_type("t", b.add_module("/usr/bin/t", build_id), offset, 100), 0), 0, allocs, 1);
  b.notes.push_back({b.text("foreign frees"), 3});
  return b;
}

void check_equal(const counts &a, const counts &b) {
  CHECK(a.numallocs == b.numallocs);
  CHECK(a.numfrees == b.numfrees);
  CHECK(a.memalloced == b.memalloced);
  CHECK(a.memfreed == b.memfreed);
}

} // namespace

TEST_CASE("model: figures of the sample") {
  const model m = model_of(sample_dump());
  CHECK(m.program == "sample");
  CHECK(m.pid == 4711);
  CHECK(m.cpus == std::vector<int32_t>{0, 3, -1});
  const model_type &buffer = m.types[2];
  CHECK(m.modules[buffer.module].build_id == "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2");
  CHECK(type_total(buffer).memuse() == 8000000);
  CHECK(type_sizes(m, buffer) == std::vector<uint64_t>{4096, 0});
  CHECK(type_by_cpu(m, buffer)[1].memfreed == 991808 + 4096);
  CHECK(type_highuse(m.types[1]) == 95 * 16);
  CHECK_FALSE(type_highuse_is_exact(m.types[1]));
  CHECK(type_highuse_is_exact(m.types[5]));
  CHECK(types_sorted(m) == std::vector<uint32_t>{2, 1, 0, 5, 3});
  const auto zones = zones_by_cpu(m);
  CHECK(zones[0][0].numallocs == 90);
  CHECK(zones[0][1].numallocs == 11);
  CHECK(zones[3][0].memalloced == 9000000);
}

TEST_CASE("writer: what is written is read again") {
  const model before = model_of(sample_dump());
  const model after = written_and_read(before);
  CHECK(after.program == before.program);
  CHECK(after.command == before.command);
  CHECK(after.time_ns == before.time_ns);
  CHECK(after.cpus == before.cpus);
  REQUIRE(after.types.size() == before.types.size());
  for (size_t t = 0; t < before.types.size(); t++) {
    CHECK(after.types[t].name == before.types[t].name);
    CHECK(after.types[t].offset == before.types[t].offset);
    CHECK(after.types[t].highuse == before.types[t].highuse);
    for (size_t p = 0; p < before.cpus.size(); p++)
      check_equal(type_by_cpu(after, after.types[t])[p], type_by_cpu(before, before.types[t])[p]);
  }
  CHECK(after.modules[1].build_id == before.modules[1].build_id);
  CHECK(after.zones[2].sleep == before.zones[2].sleep);
  CHECK(after.notes[0].value == 12);
}

TEST_CASE("merge: the same type of two processes") {
  merger merged;
  merged.add(model_of(one_type(1, 0x10, 0, 10)));
  merged.add(model_of(one_type(1, 0x10, 5, 20)));
  const model m = written_and_read(merged.result(model_of(one_type(1, 0x10, 0, 10))));
  REQUIRE(m.types.size() == 1);
  CHECK(m.cpus == std::vector<int32_t>{0, 5});
  check_equal(type_total(m.types[0]), {30, 2, 960, 64});
  check_equal(type_by_cpu(m, m.types[0])[1], {20, 1, 640, 32});
  CHECK(m.zones.size() == 1);
  CHECK(m.zones[0].used == 30);
  CHECK(m.zones[0].free == 10);
  CHECK(m.notes[0].value == 6);
  CHECK(m.notes[1].name == "processes merged");
  CHECK(m.notes[1].value == 2);
}

// Of the `allocs` and one free, all but `own` allocs were there at the fork.
dump_builder child_of(uint64_t allocs, uint64_t own, int32_t cpu) {
  dump_builder b = one_type(1, 0x10, cpu, allocs);
  b.inherited.push_back({allocs - own, 1, (allocs - own) * 32, 32});
  return b;
}

TEST_CASE("merge: what children inherited is counted once, and live in each") {
  merger merged;
  merged.add(model_of(one_type(1, 0x10, 0, 10))); // 9 live
  merged.add(model_of(child_of(14, 4, 0)));       // 13 live
  merged.add(model_of(child_of(12, 2, 1)));       // 11 live
  const model first = model_of(one_type(1, 0x10, 0, 10));
  const model m = written_and_read(merged.result(first));
  REQUIRE(m.types.size() == 1);
  const counts total = type_total(m.types[0]);
  CHECK(m.inherited == inheritance::of_many);
  check_equal(type_inherited(m.types[0]), {20, 2, 640, 64});
  check_equal(operations(m, total, type_inherited(m.types[0])), {16, 1, 512, 32});
  CHECK(total.inuse() == 33);
  CHECK(total.memuse() == 33 * 32);
  check_equal(zones_inherited(m)[0], {20, 2, 640, 64});
  merger again;
  again.add(m);
  again.add(model_of(child_of(20, 1, 0)));
  const model both = written_and_read(again.result(m));
  check_equal(operations(both, type_total(both.types[0]), type_inherited(both.types[0])), {17, 1, 544, 32});
  CHECK(type_total(both.types[0]).inuse() == 33 + 19);
}

TEST_CASE("merge: a child's own file keeps what it inherited") {
  const model m = written_and_read(model_of(child_of(14, 4, 0)));
  CHECK(m.inherited == inheritance::of_one);
  check_equal(operations(m, type_total(m.types[0]), type_inherited(m.types[0])), {14, 1, 448, 32});
  check_equal(type_inherited(m.types[0]), {10, 1, 320, 32});
}

TEST_CASE("merge: more inherited than counted is nothing done") {
  dump_builder b = child_of(14, 4, 0);
  b.inherited[0] = {UINT64_MAX, 5, UINT64_MAX, 5};
  b.inherited_kind = 10;
  const model m = model_of(b);
  check_equal(operations(m, type_total(m.types[0]), type_inherited(m.types[0])), {0, 0, 0, 27});
  CHECK(types_sorted(m).size() == 1); // it still holds something
}

TEST_CASE("merge: another build, offset or name is another type") {
  merger merged;
  merged.add(model_of(one_type(1, 0x10, 0, 10)));
  merged.add(model_of(one_type(2, 0x10, 0, 10)));
  merged.add(model_of(one_type(1, 0x18, 0, 10)));
  dump_builder other = one_type(1, 0x10, 0, 10);
  other.types[0].name = other.text("u");
  merged.add(model_of(other));
  CHECK(merged.result({}).types.size() == 4);
}

TEST_CASE("merge: a module without a build-id is known by its path") {
  dump_builder a = one_type(1, 0x10, 0, 10);
  a.modules[0].build_id_size = 0;
  dump_builder b = a;
  b.modules[0].path = b.text("/opt/t");
  merger merged;
  merged.add(model_of(a));
  merged.add(model_of(a));
  merged.add(model_of(b));
  CHECK(merged.result({}).types.size() == 2);
}

TEST_CASE("merge: zones are united in order, large last") {
  dump_builder large = one_type(1, 0x10, 0, 10, 0);
  large.blocks[0][2] = 5000;
  large.blocks[0][3] = 1000;
  merger merged;
  merged.add(model_of(large));
  merged.add(model_of(one_type(1, 0x10, 0, 10, 64)));
  merged.add(model_of(one_type(1, 0x10, 0, 10, 16)));
  const model m = written_and_read(merged.result({}));
  REQUIRE(m.zones.size() == 3);
  CHECK(type_sizes(m, m.types[0]) == std::vector<uint64_t>{16, 64, 0});
  CHECK(type_total(m.types[0]).memuse() == 4000 + 9 * 64 + 9 * 16);
}

TEST_CASE("merge: what was merged can be merged again") {
  merger once;
  once.add(model_of(sample_dump()));
  once.add(model_of(sample_dump()));
  merger twice;
  twice.add(once.result(model_of(sample_dump())));
  twice.add(model_of(sample_dump()));
  const model m = twice.result(model_of(sample_dump()));
  CHECK(type_total(type_named(m, "sample!node_new+0x1c")).numallocs == 3 * 121);
  size_t notes = 0;
  for (const model_note &note : m.notes)
    if (note.name == "processes merged") {
      notes++;
      CHECK(note.value == 3);
    }
  CHECK(notes == 1);
}

TEST_CASE("csv: fields are quoted where they must be") {
  CHECK(csv_field("plain") == "plain");
  CHECK(csv_field("a,b") == "\"a,b\"");
  CHECK(csv_field("a\"b") == "\"a\"\"b\"");
  CHECK(csv_field("a\nb") == "\"a\nb\"");
}

TEST_CASE("merge: chains are the same if all frames are") {
  dump_builder other = m9::test::chains_dump();
  other.chains[3].offset = 0x701; // the second chain of node_new, and thing_buffer's
  const model m = model_of(m9::test::chains_dump());
  merger merged;
  merged.add(m);
  merged.add(m);
  merged.add(model_of(other));
  const model sum = written_and_read(merged.result(m));
  REQUIRE(sum.types.size() == m.types.size() + 2);
  REQUIRE(sum.frames.size() == m.frames.size() + 3);
  CHECK(type_total(sum.types[6]).numallocs == 2 * 1000);
  CHECK(type_total(sum.types[0]).numallocs == 3 * 121);
  uint32_t at = sum.types[7].chain;
  std::vector<uint64_t> offsets;
  for (; at != format::no_chain; at = sum.frames[at].caller)
    offsets.push_back(sum.frames[at].offset);
  CHECK(offsets == std::vector<uint64_t>{0x808, 0x701, 0x1100, 0x1000});
  CHECK(sum.types[7].name == "libthing.so.3!thing_buffer+0x8");
}

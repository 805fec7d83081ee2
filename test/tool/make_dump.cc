// SPDX-License-Identifier: BSD-2-Clause
//
// make_dump CASE > FILE: statistics for tests. `golden` is kept in golden/ as version 1 of the format, which every
// later reader must read; the others are made when they are needed.
#include <cstdio>
#include <cstdlib>

#include "test/tool/dump_builder.h"

using m9::test::dump_builder;

namespace {

// A host with many CPUs and a program with many types.
dump_builder big_dump(uint32_t types, int32_t cpus) {
  dump_builder b;
  b.add_zone(48, types, 1);
  b.add_zone(0);
  const uint32_t module = b.add_module("/usr/bin/big", 0xcc);
  for (int32_t cpu = 0; cpu < cpus; cpu++)
    b.add_cpu(cpu * 3);
  for (auto &block : b.blocks)
    block.reserve(types * 2);
  for (uint32_t t = 0; t < types; t++) {
    const uint32_t cell = b.add_cell(b.add_type("big!function_" + std::to_string(t) + "+0x10", module, t), 0);
    b.count(cell, t % uint32_t(cpus), t + 2, t + 1);
  }
  return b;
}

// Names that are HTML, JavaScript, JSON or no UTF-8: a page must show them, and do nothing else with them.
dump_builder hostile_dump() {
  dump_builder b;
  b.header.program = b.text("</title><script>document.title='owned'</script>");
  b.header.command = b.text("<img src=x onerror=\"document.title='owned'\"> ' \" & \\ \t");
  b.add_zone(48, 5, 1);
  b.add_cpu(0);
  const uint32_t module = b.add_module("/tmp/<b>bold</b>&amp;.so", 0xcd);
  const char *const names[] = {
      "</script><script>document.title='owned'</script>",
      "<!--<script>",
      "m!<img src=x onerror=document.title='owned'>+0x10",
      "\"};document.title='owned';//+0x20",
      "a\xff\xfe\x01\xe2\x80\xa8 \\u003cscript\\u003e",
      "javascript:document.title='owned'",
      "<svg/onload=document.title='owned'>!<iframe src=http://127.0.0.1:9/x>+0x30",
  };
  uint64_t live = 3;
  for (const char *name : names) {
    const uint32_t cell = b.add_cell(b.add_type(name, module, 0x100 * live), 0);
    b.count(cell, 0, 10 * live, 9 * live);
    live++;
  }
  return b;
}

dump_builder dump_of(const std::string &name) {
  dump_builder b = m9::test::sample_dump();
  if (name == "golden")
    return b;
  if (name == "empty")
    return {};
  if (name == "child")
    return m9::test::child_dump();
  if (name == "merged") {
    b = m9::test::child_dump();
    b.inherited_kind = 10;
    return b;
  }
  if (name == "chains")
    return m9::test::chains_dump();
  if (name == "later") {
    b.padding = 40;
    b.with_unknown_section = true;
    return b;
  }
  if (name == "version2") {
    b.header.version = 2;
    return b;
  }
  if (name == "swapped") {
    b.header.version = 0x01000000;
    b.header.byte_order = 0x04030201;
    return b;
  }
  if (name == "no-type") {
    b.cells[1].type = 99;
    return b;
  }
  if (name == "fallback") {
    b.header.mode = m9::format::run_mode::fallback;
    b.header.mode_reason = b.text("rseq:false");
    return b;
  }
  if (name == "hostile")
    return hostile_dump();
  if (name == "big")
    return big_dump(60000, 8);
  std::fprintf(stderr, "make_dump: no case %s\n", name.c_str());
  std::exit(2);
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fputs("make_dump CASE > FILE\n", stderr);
    return 2;
  }
  dump_builder b = dump_of(argv[1]);
  const auto bytes = b.bytes();
  return std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size() && std::fflush(stdout) == 0 ? 0 : 1;
}

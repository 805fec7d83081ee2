// SPDX-License-Identifier: BSD-2-Clause
//
// A stand-in for libmalloc9.so in the tests of `malloc9 run`: it counts nothing, and leaves the sample of
// dump_builder.h, under the pid of its process, where MALLOC9_CONF says dump:TEMPLATE. So what `run` does is tested
// apart from the library, with figures that are known.
//   FAKE_CONF_FILE: where to note the MALLOC9_CONF that arrived.  FAKE_DUMP=none|cut|zero: what to leave instead.
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

#include "test/tool/dump_builder.h"

extern "C" void *__libc_malloc(size_t);
extern "C" void *malloc(size_t size) { return __libc_malloc(size); }

namespace {

std::string value_of(const char *name) {
  const char *value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string expanded(const std::string &text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text.compare(i, 2, "%p") == 0)
      out += std::to_string(getpid()), i++;
    else if (text.compare(i, 2, "%n") == 0)
      out += "1", i++;
    else
      out += text[i];
  }
  return out;
}

void write_file(const std::string &path, const void *data, size_t size, const char *how) {
  if (FILE *file = std::fopen(path.c_str(), how)) {
    std::fwrite(data, 1, size, file);
    std::fclose(file);
  }
}

__attribute__((constructor)) void note_first() {
  const std::string conf = value_of("MALLOC9_CONF");
  const std::string noted = value_of("FAKE_CONF_FILE");
  if (!noted.empty())
    write_file(noted, (conf + "\n").data(), conf.size() + 1, "a");
  if (conf.find("first:") == std::string::npos)
    setenv("MALLOC9_CONF", (conf + ",first:" + std::to_string(getpid())).c_str(), 1);
}

__attribute__((destructor)) void leave_dump() {
  const std::string conf = value_of("MALLOC9_CONF");
  const std::string what = value_of("FAKE_DUMP");
  const size_t at = conf.rfind("dump:");
  if (at == std::string::npos || what == "none")
    return;
  m9::test::dump_builder b = what == "zero" ? m9::test::dump_builder() : m9::test::sample_dump();
  b.header.pid = uint64_t(getpid());
  b.header.program = b.text(program_invocation_short_name);
  auto bytes = b.bytes();
  if (what == "cut")
    bytes.resize(bytes.size() / 2);
  write_file(expanded(conf.substr(at + 5, conf.find(',', at) - at - 5)), bytes.data(), bytes.size(), "w");
}

} // namespace

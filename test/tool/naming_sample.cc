// SPDX-License-Identifier: BSD-2-Clause
//
// What test/tool/naming_test.py builds in several ways: as a program (with -DPROGRAM), which allocates through
// functions that are inlined into each other, through std::vector, in a plugin that it closes, and from code made at
// run time; and as that plugin. Markers name the lines that the test expects.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

namespace shop {

void *volatile kept;

[[gnu::always_inline]] inline void take(size_t size) {
  kept = std::malloc(size); // line: take
}

[[gnu::always_inline]] inline void box(size_t count) {
  take(count * 2); // line: box
}

#ifdef PROGRAM
[[gnu::noinline]] void open_shop() {
  box(120); // line: open_shop
  std::free(kept);
}

[[gnu::noinline]] int fill(int value) {
  std::vector<int> values;
  values.reserve(1000); // line: fill
  values.push_back(value);
  kept = values.data();
  return values[0];
}

void plugin(const char *path) {
  void *library = dlopen(path, RTLD_NOW);
  auto *function = reinterpret_cast<void (*)()>(library != nullptr ? dlsym(library, "plugin_work") : nullptr);
  if (function == nullptr)
    std::abort();
  for (int i = 0; i < 5; i++)
    function();
  dlclose(library);
}

// sub $8,%rsp; call *%rsi; add $8,%rsp; ret
void generated(const char *map) {
  constexpr unsigned char code[] = {0x48, 0x83, 0xec, 8, 0xff, 0xd6, 0x48, 0x83, 0xc4, 8, 0xc3};
  void *page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::memcpy(page, code, sizeof code);
  char path[64];
  std::snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
  FILE *file = std::fopen(path, "w");
  if (file == nullptr)
    std::abort();
  std::fprintf(file, "%lx b made_at_run_time\n", reinterpret_cast<unsigned long>(page));
  if (std::strcmp(map, "two") == 0)
    std::fprintf(file, "%lx b another\n", reinterpret_cast<unsigned long>(page) + 64);
  std::fclose(file);
  for (int i = 0; i < 3; i++)
    kept = reinterpret_cast<void *(*)(size_t, void *(*)(size_t))>(page)(4000, std::malloc);
}
#else
extern "C" void plugin_work() {
  box(60); // line: plugin_work
  std::free(kept);
}
#endif

} // namespace shop

#ifdef PROGRAM
int main(int argc, char **argv) {
  for (int i = 0; i < 7; i++)
    shop::open_shop();
  for (int i = 0; i < 11; i++)
    shop::fill(i);
  if (argc > 2 && std::strcmp(argv[1], "plugin") == 0)
    shop::plugin(argv[2]);
  if (argc > 2 && std::strcmp(argv[1], "generated") == 0)
    shop::generated(argv[2]);
}
#endif

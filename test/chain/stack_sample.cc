// SPDX-License-Identifier: BSD-2-Clause
//
// stack_sample CASE...: allocations by chains whose numbers are known. Prints "want FUNCTIONS COUNT", outermost
// function first, or what else stack_test.py reads.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <dlfcn.h>

#define OWN [[gnu::noinline, gnu::noclone]]

namespace {
thread_local void *volatile sink; // two threads run at once
}

extern "C" {
// One site of malloc for all; what follows each call keeps it from being a jump.
OWN void leaf() {
  sink = malloc(24);
  free(sink);
}
OWN void middle() {
  leaf();
  asm volatile("");
}
OWN void one(int n) {
  for (int i = 0; i < n; i++)
    middle();
}
OWN void two(int n) {
  for (int i = 0; i < n; i++)
    middle();
}
OWN void straight(int n) {
  for (int i = 0; i < n; i++)
    leaf();
}

// 2^depth chains: each level is called from one of two places.
OWN void left(unsigned depth, unsigned path);
OWN void right(unsigned depth, unsigned path);
OWN void fork_in(unsigned depth, unsigned path) {
  if (depth == 0)
    leaf();
  else if (path & 1)
    left(depth - 1, path >> 1);
  else
    right(depth - 1, path >> 1);
  asm volatile("");
}
OWN void left(unsigned depth, unsigned path) {
  fork_in(depth, path);
  asm volatile("" ::: "memory");
}
OWN void right(unsigned depth, unsigned path) {
  fork_in(depth, path);
  asm volatile("nop" ::: "memory");
}

OWN void deep(int n) {
  if (n > 0)
    deep(n - 1);
  else
    leaf();
  asm volatile("");
}
OWN void deep_from(int n) {
  deep(n);
  asm volatile("");
}
}

namespace {

void known() {
  one(10);
  two(20);
  straight(30);
  std::thread threads[4];
  for (auto &t : threads)
    t = std::thread([] {
      one(1000);
      two(500);
    });
  for (auto &t : threads)
    t.join();
  std::puts("want main;known;one;middle;leaf 10\nwant main;known;two;middle;leaf 20\nwant main;known;straight;leaf 30\n"
            "want thread;one;middle;leaf 4000\nwant thread;two;middle;leaf 2000");
}

void many(unsigned depth) {
  int round = 0;
  do {
    for (unsigned path = 0; path < 1u << depth; path++)
      fork_in(depth, path);
    asm volatile("" : "+r"(round)); // there is one call in the code, too
  } while (++round < 2);
}

// Two plugins, the second at the address of the first if the loader does what it always does.
void plugins(char **files) {
  for (int i = 0; i < 2; i++) {
    void *plugin = dlopen(files[i], RTLD_NOW);
    if (!plugin) {
      std::puts(dlerror());
      std::exit(1);
    }
    auto call = reinterpret_cast<void (*)(void (*)())>(dlsym(plugin, "plugin_call"));
    for (int n = 0; n < 7; n++) {
      call(leaf);
      asm volatile("" : "+r"(n)); // one call in the code
    }
    std::printf("plugin at %p\n", reinterpret_cast<void *>(call));
    dlclose(plugin);
  }
}

} // namespace

int main(int argc, char **argv) {
  if (argc > 1 && std::strcmp(argv[1], "known") == 0)
    known();
  else if (argc > 2 && std::strcmp(argv[1], "many") == 0)
    many(unsigned(std::atoi(argv[2])));
  else if (argc > 1 && std::strcmp(argv[1], "deep") == 0)
    for (int n : {10, 50, 100, 101})
      deep_from(n);
  else if (argc > 3 && std::strcmp(argv[1], "plugins") == 0)
    plugins(argv + 2);
  else
    return 2;
  return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
//
// early_late CASE: allocations before any constructor, in constructors and destructors, in atexit handlers and in the
// destructors of thread-local data: all work and are counted.
#include "cases.h"

#include <dlfcn.h>
#include <pthread.h>

#define SITE_OF(name)                                                                                                  \
  extern "C" SITE void *name(size_t size);                                                                             \
  void *name(size_t size) {                                                                                            \
    static char mark;                                                                                                  \
    mark++;                                                                                                            \
    return hide(malloc(size));                                                                                         \
  }

extern "C" int *library_thread_data(void);

SITE_OF(preinit_site)
SITE_OF(constructor_site)
SITE_OF(static_site)
SITE_OF(atexit_site)
SITE_OF(destructor_site)
SITE_OF(thread_local_site)
SITE_OF(key_site)

namespace {

// Allocates `allocs` blocks, small and large, and frees `frees` of them.
void work(void *(*site)(size_t), size_t allocs, size_t frees) {
  void *blocks[20];
  for (size_t i = 0; i < allocs; i++)
    CHECK((blocks[i] = site(1 + i * i * 5000)) != nullptr);
  for (size_t i = 0; i < frees; i++)
    free(blocks[i]);
}

void preinit(int, char **, char **) { work(preinit_site, 8, 3); }
void at_exit() { work(atexit_site, 6, 4); }
void key_end(void *) { work(key_site, 5, 3); }

struct global {
  global() { work(static_site, 4, 1); }
  ~global() { work(static_site, 3, 2); }
} object;

struct thread_object {
  ~thread_object() { work(thread_local_site, 7, 2); }
  int value = 0;
};
thread_local thread_object in_thread;

void *thread_life(void *key) {
  in_thread.value = 1;
  pthread_setspecific(*static_cast<pthread_key_t *>(key), key);
  return nullptr;
}

void whole_life() {
  atexit(at_exit);
  in_thread.value = 1; // main's own is destroyed in exit
  CHECK(library_thread_data()[0] == 0);
  pthread_key_t key;
  pthread_key_create(&key, key_end);
  for (int i = 0; i < 10; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, nullptr, thread_life, &key) == 0);
    pthread_join(thread, nullptr);
  }
  printf("preinit_site 8 3\nconstructor_site 9 0\nstatic_site 7 3\natexit_site 6 4\ndestructor_site 5 5\n"
         "thread_local_site 77 22\nkey_site 50 30\n"
         "libearly_late_library.so!library_constructor_site 9 0\n"
         "libearly_late_library.so!library_destructor_site 6 2\n");
}

// The loader allocates for each library, and for thread-local data when a thread first touches it.
void loader() {
  void *(*const open)(const char *, int) = dlopen;
  for (int i = 0; i < 50; i++) {
    void *library = open("libearly_late_library.so", RTLD_NOW);
    CHECK(library != nullptr && dlsym(library, "no such symbol") == nullptr && dlerror() != nullptr);
    auto data = reinterpret_cast<int *(*)()>(dlsym(library, "library_thread_data"));
    CHECK(data()[4999] == 0);
    CHECK(open("/no/such/library.so", RTLD_NOW) == nullptr);
    dlclose(library);
  }
}

} // namespace

__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(int, char **, char **) = preinit;
__attribute__((constructor(101))) static void construct() { work(constructor_site, 9, 0); }
__attribute__((destructor(101))) static void destruct() { work(destructor_site, 5, 5); }

int main(int argc, char **argv) {
  static const test_case cases[] = {{"whole_life", whole_life}, {"loader", loader}};
  return RUN_CASE(argc, argv, cases);
}

// SPDX-License-Identifier: BSD-2-Clause
//
// loading CASE: libraries that come and go, that bypass the preloaded allocator, and code that no file has.
#include "cases.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

typedef void *(*alloc_function)(size_t);

static void *load(const char *name, int flags) {
  void *library = dlopen(name, RTLD_NOW | flags);
  if (library == NULL)
    dprintf(2, "%s\n", dlerror());
  CHECK(library != NULL);
  return library;
}

static alloc_function alloc_of(void *library) {
  alloc_function found = (alloc_function)dlsym(library, "plugin_alloc");
  CHECK(found != NULL);
  return found;
}

// Two libraries take turns at the same address. Each call is charged to the one that is there.
static void take_turns(void) {
  static void *kept[400];
  int same_address = 0;
  alloc_function last = NULL;
  for (int i = 0; i < 400; i++) {
    void *library = load(i % 2 == 0 ? "libplugin_a.so" : "libplugin_b.so", 0);
    alloc_function alloc = alloc_of(library);
    same_address += alloc == last;
    last = alloc;
    kept[i] = alloc(100);
    for (size_t j = 0; j < 9; j++)
      free(alloc(j * 100));
    free(alloc(100000));
    dlclose(library);
  }
  CHECK(same_address > 300);
  for (int i = 0; i < 200; i++)
    free(kept[i]);
  printf("sum libplugin_a.so!site_of_a 2200 2100\nsum libplugin_b.so!site_of_b 2200 2100\n");
}

static void *deep_library;

static void *alloc_foreign(void *size) { return alloc_of(deep_library)((size_t)size); }

static void *foreign_from_thread(size_t size) {
  pthread_t thread;
  void *p = NULL;
  CHECK(pthread_create(&thread, NULL, alloc_foreign, (void *)size) == 0);
  pthread_join(thread, &p);
  return p;
}

// RTLD_DEEPBIND: the library's malloc is libc's, and its blocks come to our free.
static void deep_bind(void) {
  deep_library = load("libplugin_a.so", RTLD_DEEPBIND);
  for (size_t size = 1; size < 60000; size += size) {
    void *p = alloc_of(deep_library)(size), *q = foreign_from_thread(size);
    memset(p, 1, size);
    memset(q, 2, size);
    free(p);
    free(q);
  }
  printf("libplugin_a.so!site_of_a 0 0\nnote 32 foreign frees\n");
}

static void deep_bind_others(void) {
  deep_library = load("libplugin_a.so", RTLD_DEEPBIND);
  for (size_t size = 1; size < 30000; size += size) {
    char *p = alloc_of(deep_library)(size), *q = foreign_from_thread(size);
    CHECK(malloc_usable_size(p) >= size && malloc_usable_size(q) >= size);
    memset(p, 1, size);
    memset(q, 2, size);
    p = hide(realloc(p, size * 3));
    q = hide(realloc(q, size * 3));
    CHECK(p[size - 1] == 1 && q[size - 1] == 2);
    free(p);
    free(q);
  }
}

static void namespaces(void) {
  for (int i = 0; i < 3; i++) {
    void *library = dlmopen(LM_ID_NEWLM, "libplugin_a.so", RTLD_NOW);
    CHECK(library != NULL);
    char *p = alloc_of(library)(1000), *q = hide(malloc(1000));
    memset(p, 1, 1000);
    memset(q, 2, 1000);
    free(q);
    CHECK(p[999] == 1);
    dlclose(library);
  }
}

static void cxx_plugin(void) {
  void *library = load("libplugin_cxx.so", 0);
  int (*catches)(size_t) = (int (*)(size_t))dlsym(library, "plugin_catches");
  CHECK(catches != NULL && catches(100) == 0);
  CHECK(catches((size_t)1 << 62) == 1);
}

// A copy of this stub for each call site: sub $8,%rsp; call *%rsi; add $8,%rsp; ret.
static const unsigned char stub[16] = {0x48, 0x83, 0xec, 8, 0xff, 0xd6, 0x48, 0x83, 0xc4, 8, 0xc3};

static void generated_code(void) {
#ifndef __x86_64__
  printf("code for x86-64 only\n");
  exit(77);
#endif
  enum { stubs = 20000 };
  unsigned char *code = mmap(NULL, stubs * sizeof stub, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (size_t i = 0; i < stubs; i++)
    memcpy(code + i * sizeof stub, stub, sizeof stub);
  CHECK(mprotect(code, stubs * sizeof stub, PROT_READ | PROT_EXEC) == 0);
  for (size_t i = 0; i < stubs; i++) {
    void *(*call)(size_t, alloc_function) = (void *(*)(size_t, alloc_function))(uintptr_t)(code + i * sizeof stub);
    void *p = call(100 + i % 4 * 1000, malloc);
    CHECK(p != NULL);
    free(p);
  }
  printf("types 200 20000\n");
}

#ifdef __x86_64__
// 70,000 call sites, more than a class has tags.
__asm__(".text\n.p2align 4\n.globl many_sites\n.type many_sites, @function\nmany_sites:\n"
        ".rept 70000\n.p2align 4\n sub $8, %rsp\n call malloc@PLT\n add $8, %rsp\n ret\n.endr\n"
        ".size many_sites, . - many_sites\n");
extern const char many_sites[];
#endif

static void too_many_sites(void) {
#ifdef __x86_64__
  for (size_t i = 0; i < 70000; i++) {
    void *p = ((alloc_function)(uintptr_t)(many_sites + i * 16))(49152);
    CHECK(p != NULL);
    free(p);
  }
  printf("size 49152 70000 70000\n");
#else
  printf("code for x86-64 only\n");
  exit(77);
#endif
}

int main(int argc, char **argv) {
  static const struct test_case cases[] = {
      {"take_turns", take_turns},        {"deep_bind", deep_bind},   {"deep_bind_others", deep_bind_others},
      {"namespaces", namespaces},        {"cxx_plugin", cxx_plugin}, {"generated_code", generated_code},
      {"too_many_sites", too_many_sites}};
  return RUN_CASE(argc, argv, cases);
}

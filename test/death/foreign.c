// SPDX-License-Identifier: BSD-2-Clause
//
// foreign CALL WHERE: a pointer that no allocator gave out: stack, data, constant, text, thread (another thread's
// stack), mapped, file, unmapped, wild, break.
#include "mapping.h"
#include "misuse.h"
#include <sys/mman.h>

static uint64_t data_object[64] __attribute__((aligned(64))) = {1};
static const uint64_t constant_object[64] __attribute__((aligned(64))) = {1};

// The middle one of three pages, with guards on both sides, so that no neighbour merges with it.
static void *map_page(int flags, int fd) {
  char *p = mmap(NULL, 3 * 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mmap(p + 65536, 65536, PROT_READ, MAP_PRIVATE | MAP_FIXED | flags, fd, 0);
}

static void *unmapped(void) {
  for (size_t size = 16; size <= 32768; size += 16 + size / 8) // no zone shall begin, and map, in the hole
    free(alloc_here(size));
  void *p = map_page(MAP_ANONYMOUS, -1);
  munmap((char *)p - 65536, 3 * 65536);
  return p;
}

static void *broken(void) {
  char *p = sbrk(65536);
  return (void *)(((uintptr_t)p + 4096) & ~(uintptr_t)15);
}

static void *on_thread_stack(void *call) {
  uint64_t object[8] __attribute__((aligned(64))) = {0};
  announce("%s of %p, which is not from malloc9: it lies in %s", (char *)call, (void *)object, mapping_of(object));
  misuse(call, object);
  exit(calm ? 0 : 3);
}

static void *pointer_to(const char *where, void *stack_object) {
  if (strcmp(where, "data") == 0)
    return data_object;
  if (strcmp(where, "constant") == 0)
    return hide((void *)(uintptr_t)constant_object);
  if (strcmp(where, "text") == 0)
    return (void *)((uintptr_t)&pointer_to & ~(uintptr_t)15);
  if (strcmp(where, "mapped") == 0)
    return map_page(MAP_ANONYMOUS, -1);
  if (strcmp(where, "file") == 0)
    return map_page(0, open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (strcmp(where, "unmapped") == 0)
    return unmapped();
  if (strcmp(where, "wild") == 0)
    return (void *)0xdeadbeefdeadbee0;
  if (strcmp(where, "break") == 0)
    return broken();
  return stack_object;
}

int main(int argc, char **argv) {
  begin(argc, argv);
  uint64_t object[8] __attribute__((aligned(64))) = {0};
  const char *call = word_argument(argc, argv, 1, "free");
  const char *where = word_argument(argc, argv, 2, "stack");
  free(alloc_here(100));
  if (strcmp(where, "thread") == 0)
    in_thread(on_thread_stack, (void *)(uintptr_t)call);
  void *p = pointer_to(where, hide(object));
  announce("%s of %p, which is not from malloc9: it lies in %s", call, p, mapping_of(p));
  return misuse(call, p);
}
